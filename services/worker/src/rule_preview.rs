//! What a change of a community's rules would do to its members.

use arrakis_db::UserId;
use arrakis_domain::TierId;

/// A member whose tier changes with the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierMove {
    /// The member.
    pub user: UserId,
    /// Name in the community.
    pub name: String,
    /// Tier by the rules in force.
    pub before: Option<TierId>,
    /// Tier by the other rules.
    pub after: Option<TierId>,
}

/// What a change of the rule set would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulePreview {
    /// Members who lose a tier or get a lower one, in the order of their ids.
    pub lose: Vec<TierMove>,
    /// Number of members who get a higher tier.
    pub gain: usize,
    /// Number of members whose tier stays.
    pub same: usize,
}
