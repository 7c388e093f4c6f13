//! Postgres: migrations, tenant transactions, queries. The only crate that knows sqlx.
//!
//! Owns the schema (`migrations/`), the three logins' rights, the doors to the data ([`Database::tenant`] for one
//! community's rows, [`Database::global`] for what belongs to none, [`Admin`] for the few operations that span communities)
//! and one module of queries per entity. Refuses rules: what a tier is or a badge takes is the domain's.
//!
//! To add a query: a method in its entity's module, with a condition on the tenant of its own besides row-level security,
//! then `deploy/dev/sqlx-prepare.sh`. To add a table: `migrations/README.md`.

mod admin;
pub mod catalogue;
mod database;
mod error;
mod ids;
pub mod measure;
mod migrate;
pub mod scratch;

pub use admin::{Admin, CommunityLine};
pub use database::{Database, DatabaseOptions, GlobalTx, PoolUse, TenantTx};
pub use error::DbError;
pub use ids::{CommunityId, GuildId, SnowflakeError, UserId};
pub use migrate::{Migrated, fingerprint, migrate, newest_version};
