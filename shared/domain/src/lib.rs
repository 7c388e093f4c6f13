//! Types and rules of a token-gated community.
//!
//! Owns: exact balances, ranks, addresses, tier ladders, badges, eligibility zones, what roles a member should have, and
//! the shape of a theme. Refuses: input and output of any kind, time, randomness, floating point, and anything of ours:
//! every function here is a pure function of its arguments.
//!
//! To add a rule, add a variant to the enum that lists its kind ([`TierRule`], [`BadgeRule`], [`RoleRule`]); the compiler
//! names the places that decide what it means.

mod address;
mod badge;
mod balance;
mod color;
mod eligibility;
mod evaluation;
mod grouped;
mod key;
mod ladder;
mod permission;
mod progress;
mod rank;
mod roles;
mod rule;
mod server;
mod theme;

pub use address::{Address, AddressError};
pub use badge::{ACTIVITY_WINDOW_DAYS, Badge, BadgeRule, MemberFacts};
pub use balance::{Balance, BalanceError};
pub use color::{Color, ColorError};
pub use eligibility::{EntryThreshold, Zone, Zones};
pub use evaluation::{Evaluation, EvaluationDifference};
pub use grouped::{Grouped, Rounding};
pub use key::{BadgeId, CategoryKey, ChannelKey, KeyError, RoleKey, RuleSetId, ThemeId, TierId};
pub use ladder::{Ladder, LadderError, Rung, TierChange};
pub use permission::{Permission, Permissions, PermissionsError, UnknownPermission};
pub use progress::{Missing, Progress};
pub use rank::{Rank, RankError};
pub use roles::{Protection, Role, RoleBindings, RoleDifference, RoleId, RoleRule};
pub use ruint::aliases::U256;
pub use rule::{RankRange, RankRangeError, Standing, TierRule, TierRuleError};
pub use server::{
    Access, Audience, Category, Channel, ChannelKind, DefaultNotifications, ExplicitContentFilter, Overwrite,
    ServerSettings, VerificationLevel,
};
pub use theme::{Flag, Plan, Posts, Theme, Tier, Value, Variable, VariableType, Words};
