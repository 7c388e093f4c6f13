//! The one start-up and shutdown path of every service, with its health endpoints.
//!
//! Order: configuration → logs → health server → the service → drain. Owns the signals, the exit codes and `/livez`,
//! `/readyz`, `/health`, `/metrics`. Refuses to know what a service does: it hands over a [`Runtime`] and waits.

pub use arrakis_fail_point as fail_point;

mod descriptors;
mod health;
mod http;
mod memory;
mod server;
mod shutdown;
mod start;

pub use descriptors::raise_limit;
pub use health::{Component, Health, Status};
pub use http::{HttpLimits, HttpServer};
pub use memory::resident_bytes;
pub use server::router;
pub use shutdown::Shutdown;
pub use start::{Fatal, Runtime, Threads, install_crypto, run};
