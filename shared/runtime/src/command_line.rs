//! Parsing of a service's command line with clap.

use std::process::ExitCode;

use clap::Parser;

use crate::USAGE_EXIT_CODE;

/// Parses the arguments of the process.
///
/// # Errors
/// The exit code of the process, after the output of help or version (0) or of an error (64, where clap's own code is 2).
pub fn parse_arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // A closed pipe is not an error.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { USAGE_EXIT_CODE } else { 0 })
    })
}
