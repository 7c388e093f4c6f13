//! Options of an emulator's start, set by the command line and by tests.

use std::net::{Ipv4Addr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngExt as _, SeedableRng as _, distr::Alphanumeric, rngs::StdRng};

use crate::model::{Id, Intents};

/// Options of the start. [`Options::default`] listens on free loopback ports.
#[derive(Clone, Debug)]
pub struct Options {
    /// Listen address of REST.
    pub rest_addr: SocketAddr,
    /// Listen address of the gateway.
    pub gateway_addr: SocketAddr,
    /// Listen address for RESUME.
    pub resume_addr: SocketAddr,
    /// Listen address of the control API and the page.
    pub control_addr: SocketAddr,
    /// Host names accepted by the control API and the page, besides loopback names and the listen address.
    pub control_hosts: Vec<String>,
    /// Bot token; `None` derives one from the application id.
    pub token: Option<String>,
    /// Application id, which is also the bot's user id.
    pub application_id: Id,
    /// Name of application and bot.
    pub application_name: String,
    /// Seed of generated data.
    pub seed: u64,
    /// Whether REST enforces its rate limits.
    pub rate_limits: bool,
    /// Identifies allowed in 24 hours.
    pub session_start_limit: u32,
    /// Number of identify buckets.
    pub max_concurrency: u32,
    /// Recommended shard count; `None` derives it from the number of servers.
    pub shards: Option<u64>,
    /// Privileged intents that are switched on.
    pub privileged_intents: Intents,
    /// Heartbeat interval in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// Number of records that the ledger keeps; 0 keeps none.
    pub traffic_kept: usize,
    /// Characters of each body that the ledger keeps. 16,384 are enough for nearly every body.
    pub ledger_bodies: usize,
}

impl Default for Options {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            rest_addr: free,
            gateway_addr: free,
            resume_addr: free,
            control_addr: free,
            control_hosts: Vec::new(),
            token: None,
            application_id: Id(1_100_000_000_000_000_001),
            application_name: "Arrakis".to_owned(),
            seed: 1,
            rate_limits: true,
            session_start_limit: 1_000,
            max_concurrency: 1,
            shards: None,
            privileged_intents: Intents::PRIVILEGED,
            heartbeat_interval_ms: 41_250,
            traffic_kept: 100_000,
            ledger_bodies: 200,
        }
    }
}

/// A well-formed bot token of this application, always the same: id, time and signature, each in base64url.
#[must_use]
pub fn default_token(application: Id) -> String {
    token_of(application, application.0)
}

/// A well-formed bot token, decided by `salt`.
pub(crate) fn token_of(application: Id, salt: u64) -> String {
    let mut random = StdRng::seed_from_u64(salt);
    let mut text = |length: usize| -> String {
        (&mut random)
            .sample_iter(Alphanumeric)
            .take(length)
            .map(char::from)
            .collect()
    };
    format!(
        "{}.G{}.{}",
        URL_SAFE_NO_PAD.encode(application.to_string()),
        text(5),
        text(38)
    )
}
