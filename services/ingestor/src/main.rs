//! `arrakis-ingestor`: see `arrakis-ingestor --help`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use arrakis_config::Service;
use arrakis_ingestor::{Config, serve};
use arrakis_runtime::{HealthEndpoint, Threads, USAGE_EXIT_CODE, check_health};

const HELP: &str = "\
Receives Discord's gateway events and publishes them to RabbitMQ

The ingestor serves until SIGTERM. It reads its configuration from the environment; see .env.example.

Usage: arrakis-ingestor [OPTION]
       arrakis-ingestor healthcheck [livez|readyz]

`healthcheck` requests a health endpoint of the running ingestor at HEALTH_ADDR (default: readyz); its exit code is 0 when it
answers 200.

Options:
  -h, --help     Print help
  -V, --version  Print version

Exit codes: 0 stopped by a signal, 1 failure, 64 invalid command line, 78 invalid configuration.";

fn main() -> ExitCode {
    // Two options and a subcommand need no clap, which would add to the memory of a process that is to stay small.
    let mut arguments = std::env::args_os().skip(1);
    let Some(argument) = arguments.next() else {
        // One thread: the work of an event is tens of microseconds, and every further thread costs memory and wake-ups.
        return arrakis_runtime::run(Service::Ingestor, Threads::One, Config::read, serve);
    };
    match argument.to_str() {
        Some("-h" | "--help") => print(HELP),
        Some("-V" | "--version") => print(concat!("arrakis-ingestor ", env!("CARGO_PKG_VERSION"))),
        Some("healthcheck") => healthcheck(arguments.collect()),
        _ => usage_error(format_args!("unexpected argument '{}' found", argument.display())),
    }
}

fn healthcheck(arguments: Vec<OsString>) -> ExitCode {
    let is_help = |argument: &OsString| matches!(argument.to_str(), Some("-h" | "--help"));
    if arguments.iter().any(is_help) {
        return print(HELP);
    }
    let mut arguments = arguments.into_iter();
    let endpoint = arguments.next();
    let endpoint = endpoint.map(|name| name.to_string_lossy().parse::<HealthEndpoint>());
    match (endpoint.transpose(), arguments.next()) {
        (Ok(endpoint), None) => check_health(Service::Ingestor, endpoint.unwrap_or_default()),
        (Err(error), _) => usage_error(error),
        (Ok(_), Some(more)) => usage_error(format_args!("unexpected argument '{}' found", more.display())),
    }
}

fn usage_error(error: impl Display) -> ExitCode {
    // There is no other output when standard error is closed.
    let _ = writeln!(io::stderr(), "error: {error}\n\nFor more information, try '--help'.");
    ExitCode::from(USAGE_EXIT_CODE)
}

/// Prints to standard output. A closed pipe is not an error.
fn print(text: impl Display) -> ExitCode {
    let _ = writeln!(io::stdout(), "{text}");
    ExitCode::SUCCESS
}
