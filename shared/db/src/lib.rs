//! PostgreSQL: migrations, tenant transactions, queries. The only crate that uses sqlx.
//!
//! Owns the schema (`migrations/`), the checks of the three logins' rights, the transactions ([`Database::tenant`] for one
//! community's rows, [`Database::global`] for tables without a tenant, [`Admin`] for the few operations that span
//! communities), and one module of queries for each entity. Contains no rules: `arrakis-domain` defines tiers and badges.
//!
//! To add a query: a method in its entity's module, with its own condition on the tenant besides row-level security, then
//! `deploy/dev/sqlx-prepare.sh`. To add a table: `migrations/README.md`.

mod activity;
mod admin;
mod api_keys;
mod audit;
mod background_permits;
mod badges;
pub mod catalogue;
mod circuit_breaker;
mod column;
mod community;
mod database;
mod eligibility;
mod eligibility_sync;
mod error;
mod evaluation_input;
mod ids;
mod inbox;
mod jobs;
mod leader;
mod leaderboard;
mod login;
mod migrate;
pub mod named_query;
mod notifications;
mod pool;
mod presence;
mod profiles;
mod published_eligibility;
mod ranking_position;
pub mod registry;
pub mod scratch;
mod statements;
mod telegram_notices;
mod token_profiles;
mod verification_sessions;

pub use activity::Activity;
pub use admin::{Admin, CommunitySummary};
pub use api_keys::{ApiKey, ApiKeyScope, ApiKeyScopeError, NewApiKey};
pub use audit::{Actor, AuditEntry, NewAuditEntry};
pub use badges::{BadgeLineageEntry, BadgeSource, Badges, HeldBadge, ShareOutcome};
pub use circuit_breaker::with_connection_wait;
pub use community::{Communities, Community, Frozen, NewCommunity};
pub use database::{Database, DatabaseOptions, GlobalTx, PoolUsage, TenantTx};
pub use eligibility::{Eligibility, Holder, SNAPSHOT_RANKS, SyncHealth, TokenSummary};
pub use eligibility_sync::{
    EventBatch, HoldingsStep, NewOverride, RollBackStep, StoredBlock, StoredOverride, SyncCursor, SyncRun,
    SyncedHolding, TokenEvent,
};
pub use error::DbError;
pub use evaluation_input::EvaluationInput;
pub use ids::{CommunityId, GuildId, SnowflakeError, UserId};
pub use jobs::{JobOutcome, JobRow, JobStart, JobState, Jobs, NewJob};
pub use leader::{LeaderElection, Leadership};
pub use leaderboard::{CommunityCounts, LeaderboardEntry, LeaderboardPage, MemberStanding};
pub use migrate::{MigrationSummary, migrate, newest_schema_version, schema_fingerprint};
pub use notifications::{NewNotification, NotificationEvent, NotificationKind, Notifications};
pub use presence::{GatewayPosition, Presence};
pub use profiles::{JoinOutcome, Profile, Profiles, WALLET_UNIQUE_CONSTRAINT};
pub use published_eligibility::{PublishedSnapshot, PublishedStanding, PublishedWallets};
pub use ranking_position::RankingPosition;
pub use telegram_notices::{NewTelegramNotice, StoredTelegramNotice, TelegramNotices};
pub use token_profiles::{ProfileStandard, TokenProfile, TokenProfileId, TokenProfileIdError};
pub use verification_sessions::{
    MAX_ATTEMPTS, MAX_STARTS, NewVerificationSession, START_WINDOW, SessionAccount, SessionKey, SessionNetwork,
    SessionProof, SessionStart, SessionState, VerificationSession, VerificationSessions,
};
