//! `arrakis-worker`: see `arrakis-worker --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match arrakis_runtime::parse_arguments() {
        Ok(arguments) => arrakis_worker::run(arguments),
        Err(exit_code) => exit_code,
    }
}
