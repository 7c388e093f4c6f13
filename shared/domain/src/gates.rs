//! Feature gates: the tier from which a command, or a part of one, can be used in a community.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::{GateKey, Ladder, TierId};

/// The feature gates of a community: a tier for each command or feature that is not open to every member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureGates(BTreeMap<GateKey, TierId>);

impl FeatureGates {
    /// Whether there is no gate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The gates with their tiers, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&GateKey, &TierId)> {
        self.0.iter()
    }

    /// The tier from which the command or feature can be used; `None` when it is open to every member. A gate whose tier is not in
    /// the ladder (one of an earlier theme) does not apply.
    #[must_use]
    pub fn tier_of(&self, key: &str, ladder: &Ladder) -> Option<&TierId> {
        self.0.get(key).filter(|tier| ladder.rule(tier).is_some())
    }

    /// The tier that a member with the tier `held` lacks for the command or feature; `None` when the member can use it.
    #[must_use]
    pub fn missing_tier(&self, key: &str, held: Option<&TierId>, ladder: &Ladder) -> Option<&TierId> {
        self.tier_of(key, ladder)
            .filter(|from| ladder.compare(held, Some(*from)) == Ordering::Less)
    }
}

impl FromIterator<(GateKey, TierId)> for FeatureGates {
    fn from_iter<I: IntoIterator<Item = (GateKey, TierId)>>(gates: I) -> Self {
        Self(gates.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::tests::ladder;

    fn tier(id: &str) -> TierId {
        TierId::new(id).unwrap()
    }

    fn gates(gates: &[(&str, &str)]) -> FeatureGates {
        let gates = gates.iter();
        gates.map(|(key, id)| (GateKey::new(*key).unwrap(), tier(id))).collect()
    }

    #[test]
    fn gate_is_open_from_its_tier_on() {
        let ladder = ladder(&[("naib", "1-7", ""), ("fedaykin", "8-69", ""), ("hajra", "", "6.9")]);
        let gates = gates(&[("leaderboard", "fedaykin")]);
        let missing = |held: Option<&str>| {
            let held = held.map(tier);
            gates.missing_tier("leaderboard", held.as_ref(), &ladder).cloned()
        };
        assert_eq!(missing(None), Some(tier("fedaykin")));
        assert_eq!(missing(Some("hajra")), Some(tier("fedaykin")));
        assert_eq!(missing(Some("fedaykin")), None);
        assert_eq!(missing(Some("naib")), None);
        assert_eq!(gates.missing_tier("stats", None, &ladder), None);
    }

    #[test]
    fn gate_of_a_tier_that_is_not_in_the_ladder_does_not_apply() {
        let ladder = ladder(&[("gold", "1-10", "")]);
        let gates = gates(&[("leaderboard", "fedaykin"), ("stats", "gold")]);
        assert_eq!(gates.missing_tier("leaderboard", None, &ladder), None);
        assert_eq!(gates.missing_tier("stats", None, &ladder), Some(&tier("gold")));
    }
}
