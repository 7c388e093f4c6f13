//! The database on a real PostgreSQL: isolation of tenants, rights, migrations, and the queries of each entity.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod alerts;
mod api_keys;
mod approvals;
mod backup;
mod backup_runs;
mod backup_usage;
mod badge_shares;
mod bot_presence;
mod catalogue;
mod checkpoints;
mod commit;
mod directory;
mod eligibility;
mod eligibility_sync;
mod fixtures;
mod isolation;
mod jobs;
mod kill_switches;
mod leader;
mod members;
mod mfa;
mod migrations;
mod offline_data;
mod operator_notices;
mod plans;
mod pool;
mod posts;
mod reconcile;
mod registry;
mod rights;
mod rollouts;
mod shared_facts;
mod synthesis;
mod telegram_notices;
mod tier_imports;
mod verification_sessions;
