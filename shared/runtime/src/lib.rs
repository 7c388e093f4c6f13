//! Start, shutdown and health endpoints of every service.
//!
//! Order: configuration → logs → health endpoints → the service → drain. Owns signals, exit codes, `/livez`, `/readyz`, `/health`
//! and `/metrics`, and the HTTP server with its limits. This crate does not depend on the services: each receives a [`Runtime`].

pub use arrakis_fail_point as fail_point;

#[cfg(feature = "command-line")]
mod command_line;
mod descriptors;
mod health;
mod health_check;
mod health_server;
mod http;
mod memory;
mod process_metrics;
mod runtime;
mod shutdown;
mod start;

#[cfg(feature = "command-line")]
pub use command_line::{CheckTask, HealthCheck, parse_arguments};
pub use descriptors::raise_open_file_limit;
pub use health::{Health, HealthComponent, HealthStatus};
pub use health_check::{HealthEndpoint, check_health};
pub use health_server::health_router;
pub use http::{ConnectionCloser, HttpLimits, HttpServer};
pub use memory::resident_bytes;
pub use runtime::Runtime;
pub use shutdown::Shutdown;
pub use start::{Fatal, Threads, install_crypto_provider, run};

/// Exit code of a service for an invalid command line (`EX_USAGE` of `sysexits.h`).
pub const USAGE_EXIT_CODE: u8 = 64;
