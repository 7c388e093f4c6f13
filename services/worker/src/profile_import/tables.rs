//! The tables of a file with their columns. `docs/moving-in.md` lists the same.

use std::collections::BTreeMap;

use super::problems::Problems;

/// A table of the file.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether a file must have it.
    pub(super) required: bool,
    columns: &'static [(&'static str, Presence)],
}

/// Whether a table must have a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}
use Presence::{Optional, Required};

/// The members. It must be there.
pub(super) const PROFILES: Table = Table {
    name: "profiles",
    required: true,
    columns: &[
        ("user_id", Required),
        ("display_name", Required),
        ("joined_at", Required),
        ("wallet", Optional),
        ("verified_at", Optional),
        ("left_at", Optional),
        ("tier", Optional),
        ("tier_since", Optional),
        ("highest_tier", Optional),
        ("protected", Optional),
        ("hidden", Optional),
        ("waitlisted_at", Optional),
        ("commands", Optional),
        ("messages", Optional),
        ("last_active_at", Optional),
        ("created_at", Optional),
        ("updated_at", Optional),
    ],
};

/// Badges that members hold or held.
pub(super) const BADGES: Table = Table {
    name: "badges",
    required: false,
    columns: &[
        ("badge_id", Required),
        ("user_id", Required),
        ("badge", Required),
        ("source", Required),
        ("awarded_at", Required),
        ("awarded_by", Optional),
        ("reason", Optional),
        ("shared_from", Optional),
        ("revoked_at", Optional),
        ("revoked_by", Optional),
        ("revoke_reason", Optional),
    ],
};

/// When members first reached tiers.
pub(super) const TIERS_REACHED: Table = Table {
    name: "tiers_reached",
    required: false,
    columns: &[("user_id", Required), ("tier", Required), ("reached_at", Required)],
};

/// What members did on each day.
pub(super) const ACTIVITY: Table = Table {
    name: "activity",
    required: false,
    columns: &[
        ("user_id", Required),
        ("day", Required),
        ("commands", Optional),
        ("messages", Optional),
    ],
};

impl Table {
    /// The places of the columns. `None` with a problem for each column that is unknown, missing or there twice.
    pub(super) fn places(&self, found: &[&str], problems: &mut Problems) -> Option<BTreeMap<&'static str, usize>> {
        let before = problems.count();
        let mut places = BTreeMap::new();
        for (place, name) in found.iter().enumerate() {
            match self.columns.iter().find(|(column, _)| column == name) {
                None => problems.add(self.name, None, None, format!("unknown column `{name}`")),
                Some((column, _)) => {
                    if places.insert(*column, place).is_some() {
                        problems.add(self.name, None, None, format!("the column `{name}` is there twice"));
                    }
                }
            }
        }
        for (column, presence) in self.columns {
            if *presence == Required && !places.contains_key(column) {
                problems.add(self.name, None, None, format!("the column `{column}` is missing"));
            }
        }
        (problems.count() == before).then_some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(found: &[&str]) -> Vec<String> {
        let mut problems = Problems::default();
        let places = TIERS_REACHED.places(found, &mut problems);
        assert_eq!(places.is_none(), problems.count() > 0);
        problems.kept().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_are_found_in_any_order() {
        assert!(problems(&["tier", "reached_at", "user_id"]).is_empty());
    }

    #[test]
    fn unknown_missing_and_doubled_columns_are_problems() {
        assert_eq!(
            problems(&["tier", "Tier", "user_id", "tier"]),
            [
                "tiers_reached: unknown column `Tier`",
                "tiers_reached: the column `tier` is there twice",
                "tiers_reached: the column `reached_at` is missing",
            ]
        );
    }
}
