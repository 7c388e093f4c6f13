//! Parsing of a service's command line with clap.

use std::process::ExitCode;

use arrakis_config::Service;
use clap::{Args, Parser, Subcommand};

use crate::{HealthEndpoint, USAGE_EXIT_CODE, check_health};

/// Subcommands of a service that has no others.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum CheckTask {
    /// Requests a health endpoint of the running service at `HEALTH_ADDR`; the exit code is 0 when it answers 200
    Healthcheck(HealthCheck),
}

impl CheckTask {
    /// Runs the check. Returns the exit code of the process.
    pub fn run(self, service: Service) -> ExitCode {
        match self {
            Self::Healthcheck(check) => check.run(service),
        }
    }
}

/// Arguments of the subcommand `healthcheck`.
#[derive(Debug, Clone, Copy, Args)]
pub struct HealthCheck {
    /// Endpoint: the process runs, or the service accepts work
    #[arg(value_enum, default_value_t)]
    endpoint: HealthEndpoint,
}

impl HealthCheck {
    /// Runs the check. Returns the exit code of the process.
    pub fn run(self, service: Service) -> ExitCode {
        check_health(service, self.endpoint)
    }
}

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
