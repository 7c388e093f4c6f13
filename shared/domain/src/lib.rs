//! Types and rules of a token-gated community.
//!
//! Owns exact balances, ranks, addresses, tier ladders, badges, feature gates, the ranking of wallets and its zones, the roles that a member should
//! have, and the structure of a theme. Every function is a pure function of its arguments: no input or output, no clock, no
//! random source, no floating point, no dependency on another crate of the workspace.
//!
//! To add a rule, add a variant to its enum ([`BadgeRule`], [`RoleRule`]) or a field to [`TierRule`]; the compiler reports
//! the matches that must handle it.

mod address;
mod alert;
mod backup_use;
mod badge;
mod balance;
mod color;
mod eligibility;
mod evaluation;
mod gates;
mod grouped;
mod key;
mod ladder;
mod permission;
mod progress;
mod rank;
mod ranking;
mod roles;
mod rule;
mod server;
mod theme;
mod time_zone;

pub use address::{Address, AddressError, CheckedAddressError};
pub use alert::{AlertDelivery, AlertKind, AlertSettings, QuietHours, UnknownAlertValue};
pub use backup_use::{BackupUse, UnknownBackupUse, UseLimit};
pub use badge::{ACTIVITY_WINDOW_DAYS, Badge, BadgeRule, MemberFacts};
pub use balance::{Balance, BalanceError};
pub use color::{Color, ColorError};
pub use eligibility::{EntryThreshold, Zone, Zones};
pub use evaluation::{Evaluation, EvaluationDifference};
pub use gates::FeatureGates;
pub use grouped::{GroupedBalance, Rounding};
pub use key::{BadgeId, CategoryKey, ChannelKey, GateKey, KeyError, RoleKey, RuleSetId, ThemeId, TierId};
pub use ladder::{Ladder, LadderError, Rung, TierChange};
pub use permission::{Permission, Permissions, PermissionsError, UnknownPermission};
pub use progress::{Progress, Shortfall};
pub use rank::{Rank, RankError};
pub use ranking::{
    ChangeKind, Holding, LogPosition, OverrideEffect, Place, Ranking, RankingDifference, ThresholdChange, WalletChange,
    scale_to_balance,
};
pub use roles::{Role, RoleBindings, RoleDifference, RoleId, RoleProtection, RoleRule, TierRoles, UnknownTierRoles};
pub use ruint::aliases::U256;
pub use rule::{RankRange, RankRangeError, Standing, TierRule, TierRuleError};
pub use server::{
    Access, Audience, Category, Channel, ChannelKind, DefaultNotifications, ExplicitContentFilter, Overwrite,
    ServerSettings, VerificationLevel,
};
pub use theme::{FeatureFlag, Plan, PostChannels, Theme, ThemeWords, Tier, UnknownPlan, Value, Variable, VariableType};
pub use time_zone::{TimeZone, TimeZoneError};
