//! The api: public eligibility, users and servers for admins with API keys, the wallet page, and approvals of plans, over HTTP.
//!
//! A request passes `envelope` (request id, metrics, security headers, the body of an error), `limits` (rate limit of the client's
//! address), for admin routes `authentication` (API key, its rate limit), and its handler in `routes`. Every error is a `problem`,
//! whose table has the status of each. `openapi` collects the description of the routes from the handlers. `restore` decides what the restore
//! of a checkpoint changes, and `approvals` shows plans at Slack. Business rules are in `arrakis-domain`, SQL is in `arrakis-db`.
//!
//! To add a route: a file below `routes`, a line in its `mod.rs`, and a test on the mirrored path below `tests/it`.

mod approvals;
mod authentication;
mod body;
mod caller_tx;
mod client_address;
mod code_checks;
mod config;
mod envelope;
mod health;
mod jobs;
mod key_watch;
mod limits;
mod metrics;
mod openapi;
mod problem;
mod record;
mod refusals;
mod restore;
mod routes;
mod running_exports;
mod services;
mod startup;

use arrakis_runtime::{Fatal, Runtime};
use tokio::net::TcpListener;

pub use crate::approvals::{ApprovalConfig, SlackConfig};
pub use crate::client_address::{TrustedProxies, TrustedProxiesError};
pub use crate::config::{Config, Tuning};
pub use crate::problem::{PROBLEMS, ProblemKind};
pub use crate::startup::serve_on;

/// Listens at the configured address, and serves until shutdown.
///
/// # Errors
/// The address or another setting cannot be used.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        let example = "API_ADDR=127.0.0.1:8070";
        Fatal::configuration(format!(
            "API_ADDR={} cannot be used: {error}; example: {example}",
            config.listen
        ))
    })?;
    serve_on(listener, config, runtime).await
}
