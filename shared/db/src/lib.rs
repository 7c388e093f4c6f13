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
mod alerts;
mod api_keys;
mod approvals;
mod audit;
mod background_permits;
mod backup_runs;
mod backup_usage;
mod badges;
mod bot_presence;
pub mod catalogue;
mod checkpoints;
mod checksum;
mod circuit_breaker;
mod column;
mod community;
mod community_health;
mod configuration;
mod configuration_versions;
mod council;
mod database;
mod directory;
mod eligibility;
mod eligibility_sync;
mod error;
mod evaluation_input;
mod feature_gates;
mod ids;
mod inbox;
mod jobs;
mod kill_switches;
mod leader;
mod leaderboard;
mod login;
pub mod mfa;
mod migrate;
pub mod named_query;
mod notifications;
mod operator_notices;
mod plan_change;
mod pool;
mod posts;
mod presence;
mod profile_imports;
mod profiles;
mod published_eligibility;
mod ranking_position;
mod reconcile;
pub mod registry;
mod rollout;
pub mod scratch;
mod statements;
mod synthesis;
mod telegram_notices;
mod tier_imports;
mod token_profiles;
mod verification_sessions;

pub use activity::Activity;
pub use admin::{Admin, CommunitySummary};
pub use alerts::{AlertEvent, AlertMessage, AlertOutcome, Alerts, NewAlert, Subscription};
pub use api_keys::{ApiKey, ApiKeyScope, ApiKeyScopeError, NewApiKey};
pub use approvals::{
    APPROVAL_VALIDITY, Approval, ApprovalActor, ApprovalDecision, ApprovalDestination, ApprovalEvent,
    ApprovalEventType, ApprovalSignature, ApprovalState, ApprovalVerdict, ApprovalVia, Approvals, DecisionAttempt,
    DecisionCode, DecisionOutcome, DueApprovalMessage, NewApproval, UnknownApprovalText,
};
pub use audit::{Actor, AuditEntry, NewAuditEntry};
pub use backup_runs::{BackupRun, BackupRuns, DueTask};
pub use backup_usage::{BackupUsage, BackupUsageState, BackupUseOutcome, NewBackupUse};
pub use badges::{BadgeLineageEntry, BadgeSource, Badges, HeldBadge, ShareOutcome};
pub use bot_presence::{BotAbsence, BotPresence};
pub use checkpoints::{
    CHECKPOINT_KEPT, CheckpointPurpose, CheckpointSummary, Checkpoints, MAX_CHECKPOINTS, NewCheckpoint,
    StoredCheckpoint, StoredRestore, TEARDOWN_FREEZE,
};
pub use checksum::{Checksum, ChecksumError};
pub use circuit_breaker::with_connection_wait;
pub use community::{Communities, Community, Frozen, NewCommunity, PLAN_CONSTRAINT};
pub use community_health::{FailedJobs, OpenJobs, RecordedProblem};
pub use configuration::{
    BoundRole, CONFIGURATION_VERSION, CommunityConfiguration, ConfigurationError, GateSetting, NamedChannel,
    PostSetting, ServerNames, TierThreshold,
};
pub use configuration_versions::{
    ConfigurationVersion, ConfigurationVersions, FrozenConfiguration, MAX_VERSION, PROBLEMS_NAMED,
    RunningConfiguration, ShadowHealth, ShadowProblem, VERSIONS_KEPT, VersionCause,
};
pub use council::{FormerHolder, Seat, SeatHolder};
pub use database::{Database, DatabaseOptions, GlobalTx, PoolUsage, TenantTx};
pub use directory::{DirectoryEntry, DirectoryFilter, DirectoryPage};
pub use eligibility::{Eligibility, Holder, SNAPSHOT_RANKS, SyncHealth, TokenSummary};
pub use eligibility_sync::{
    EventBatch, HoldingsStep, NewOverride, RollBackStep, StoredBlock, StoredOverride, SyncCursor, SyncRun,
    SyncedHolding, TokenEvent,
};
pub use error::DbError;
pub use evaluation_input::EvaluationInput;
pub use feature_gates::{FeatureGate, FeatureGateChanges};
pub use ids::{CommunityId, GuildId, SnowflakeError, UserId};
pub use jobs::{JobOutcome, JobRow, JobStart, JobState, Jobs, NewJob, OverviewJob};
pub use kill_switches::{EndProof, KillSwitchStep, KillSwitches, StepState, StoredStep};
pub use leader::{LeaderElection, Leadership};
pub use leaderboard::{CommunityCounts, LeaderboardEntry, LeaderboardPage, MemberStanding};
pub use migrate::{MigrationSummary, migrate, newest_schema_version, schema_fingerprint};
pub use notifications::{NewNotification, NotificationEvent, NotificationKind, Notifications};
pub use operator_notices::{LostNotice, OperatorNotices, TakenNotice};
pub use plan_change::{PlanChange, PlanChanged, THEME_GRACE};
pub use posts::{Arrival, AwardedBadge, LEADERBOARD_CHECK, NewArrival, Post, PostKind, Posts, RankMove, UnknownPost};
pub use presence::{GatewayPosition, Presence};
pub use profile_imports::{
    ActivityRow, BadgeRow, ChangedMember, MemberRows, MemberToUndo, MemberWrite, NewProfileImport, ProfileImport,
    ProfileImportState, ProfileImports, ProfileRow, SharedBadge, TierReachedRow, WrittenMember,
};
pub use profiles::{JoinOutcome, Profile, Profiles, WALLET_UNIQUE_CONSTRAINT};
pub use published_eligibility::{PublishedSnapshot, PublishedStanding, PublishedWallets};
pub use ranking_position::RankingPosition;
pub use reconcile::{ReconcileReports, RuleChange, RuleChangeEnd, RuleChanges, StoredReport};
pub use rollout::CanaryShare;
pub use synthesis::{Manifests, ServerStates, StateHold, StateHolder, StoredManifest, SynthesisSlots};
pub use telegram_notices::{NewTelegramNotice, StoredTelegramNotice, TelegramNotices};
pub use tier_imports::{ImportedTier, TierImport, TierImportCounts, TierImportState, TierImports};
pub use token_profiles::{ProfileStandard, TokenProfile, TokenProfileId, TokenProfileIdError};
pub use verification_sessions::{
    MAX_ATTEMPTS, MAX_STARTS, NewVerificationSession, START_WINDOW, SessionAccount, SessionKey, SessionNetwork,
    SessionProof, SessionStart, SessionState, VerificationSession, VerificationSessions,
};
