//! `arrakis-ingestor`: see `arrakis-ingestor --help`.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_ingestor::{Config, serve};
use arrakis_runtime::{Threads, USAGE_EXIT_CODE};

const HELP: &str = "\
Receives Discord's gateway events and publishes them to RabbitMQ

The ingestor serves until SIGTERM. It reads its configuration from the environment; see .env.example.

Usage: arrakis-ingestor [OPTION]

Options:
  -h, --help     Print help
  -V, --version  Print version

Exit codes: 0 stopped by a signal, 1 failure, 64 invalid command line, 78 invalid configuration.";

fn main() -> ExitCode {
    // Two options need no clap, which would add to the memory of a process that is to stay small.
    let Some(argument) = std::env::args_os().nth(1) else {
        // One thread: the work of an event is tens of microseconds, and every further thread costs memory and wake-ups.
        return arrakis_runtime::run(Service::Ingestor, Threads::One, Config::read, serve);
    };
    match argument.to_str() {
        Some("-h" | "--help") => print(HELP),
        Some("-V" | "--version") => print(concat!("arrakis-ingestor ", env!("CARGO_PKG_VERSION"))),
        _ => {
            let argument = argument.display();
            // There is no other output when standard error is closed.
            let _ = writeln!(
                io::stderr(),
                "error: unexpected argument '{argument}' found\n\nFor more information, try '--help'."
            );
            ExitCode::from(USAGE_EXIT_CODE)
        }
    }
}

/// Prints to standard output. A closed pipe is not an error.
fn print(text: impl Display) -> ExitCode {
    let _ = writeln!(io::stdout(), "{text}");
    ExitCode::SUCCESS
}
