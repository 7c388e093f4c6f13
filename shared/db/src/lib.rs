//! Postgres: migrations, tenant transactions, queries. The only crate that knows sqlx.
//!
//! Owns the schema (`migrations/`), the three logins' rights, the doors to the data ([`Database::tenant`] for one
//! community's rows, [`Database::global`] for what belongs to none, [`Admin`] for the few operations that span communities)
//! and one module of queries per entity. Refuses rules: what a tier is or a badge takes is the domain's.
//!
//! To add a query: a method in its entity's module, with a condition on the tenant of its own besides row-level security,
//! then `deploy/dev/sqlx-prepare.sh`. To add a table: `migrations/README.md`.

mod activity;
mod admin;
mod audit;
mod background;
mod badges;
mod breaker;
pub mod catalogue;
mod community;
mod database;
mod eligibility;
mod error;
mod ids;
mod inbox;
mod jobs;
mod leader;
mod leaderboard;
mod login;
mod measurable;
pub mod measure;
mod migrate;
mod pool;
mod presence;
mod profiles;
mod ranking_place;
mod row;
pub mod scratch;
mod statements;
mod token_profiles;

pub use activity::Activity;
pub use admin::{Admin, CommunityLine};
pub use audit::{Actor, AuditEntry, NewAuditEntry};
pub use badges::{BadgeSource, Badges, HeldBadge, LineageEntry, SHARED_ALREADY};
pub use breaker::patiently;
pub use community::{Communities, Community, Frozen, NewCommunity};
pub use database::{Database, DatabaseOptions, GlobalTx, PoolUse, TenantTx};
pub use eligibility::{Eligibility, Holder, SyncHealth, TokenFace};
pub use error::DbError;
pub use ids::{CommunityId, GuildId, SnowflakeError, UserId};
pub use jobs::{JobRow, JobState, Jobs, NewJob, Outcome, Start};
pub use leader::{Leader, Leadership};
pub use leaderboard::{CommunityNumbers, LeaderboardEntry, LeaderboardPage, MemberStanding};
pub use measurable::Measurable;
pub use migrate::{Migrated, fingerprint, migrate, newest_version};
pub use presence::{Presence, Told};
pub use profiles::{Join, Profile, Profiles, WALLET_IS_ANOTHERS};
pub use ranking_place::RankingPlace;
pub use token_profiles::{TokenProfile, TokenProfileId, TokenProfileIdError};
