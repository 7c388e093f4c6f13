//! The clients and settings that handlers share.

use std::sync::Arc;

use arrakis_broker::{Publisher, Topology};
use arrakis_cache::{Cache, LocalBuckets};
use arrakis_config::PublicAddress;
use arrakis_db::{Admin, Database};
use arrakis_kill_switch::KillSwitchControl;
use arrakis_security::mfa::SecretCipher;
use arrakis_themes::Registry;
use arrakis_verification::Verification;
use bytes::Bytes;

use crate::approvals::{ApprovalConfig, Slack};
use crate::client_address::TrustedProxies;
use crate::code_checks::CodeChecks;
use crate::config::Tuning;
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::running_exports::RunningExports;

/// The clients and settings that handlers share. Handlers have it as their state, in an [`Arc`].
#[derive(Debug)]
pub(crate) struct Services {
    /// PostgreSQL with the application's login: tables without a tenant, and one community's rows.
    pub(crate) database: Database,
    /// PostgreSQL with the admin login: API keys by hash, and requests with keys for all communities.
    pub(crate) admin: Admin,
    /// Redis, which counts rate limits for all replicas.
    pub(crate) cache: Cache,
    /// Token buckets in memory, which count rate limits while Redis is unavailable.
    pub(crate) local_buckets: LocalBuckets,
    /// Refused requests of admin routes, for the audit log.
    pub(crate) refusals: Refusals,
    /// Exports in progress, of which a key may have two.
    pub(crate) exports: RunningExports,
    /// Publishes jobs to RabbitMQ.
    pub(crate) publisher: Publisher,
    /// The queues, which the status page shows.
    pub(crate) topology: Arc<Topology>,
    /// Discord users who see the whole platform on the status page.
    pub(crate) operators: Vec<u64>,
    /// Verification of wallets, for the wallet page.
    pub(crate) verification: Verification,
    /// Encryption of the secrets of second factors; `None` without `MFA_ENCRYPTION_KEY`.
    pub(crate) mfa: Option<SecretCipher>,
    /// Checks of codes in progress, one for each person.
    pub(crate) code_checks: CodeChecks,
    /// The themes: what a community's plan includes, and which roles and tiers a theme has.
    pub(crate) themes: Registry,
    /// Turns the kill switch on and off.
    pub(crate) kill_switch: KillSwitchControl,
    /// Who requests and decides about plans.
    pub(crate) approvals: ApprovalConfig,
    /// The Slack app; `None` where none is configured.
    pub(crate) slack: Option<Slack>,
    pub(crate) metrics: Metrics,
    /// `VERIFY_BASE_URL`: where members open the wallet page; also the server that the OpenAPI document names.
    pub(crate) public_address: PublicAddress,
    /// `API_TRUSTED_PROXIES`: connections from these report the client address.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Age of the ranking from which answers mark it as stale.
    pub(crate) stale_after: time::Duration,
    pub(crate) tuning: Tuning,
    /// The OpenAPI document as JSON, made once at the start.
    pub(crate) openapi: Bytes,
}

/// State of the handlers.
pub(crate) type ApiState = Arc<Services>;
