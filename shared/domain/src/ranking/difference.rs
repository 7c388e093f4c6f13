//! The difference of two rankings.

use std::collections::BTreeMap;

use super::{Place, Ranking};
use crate::{Address, EntryThreshold, Zone, Zones};

/// What changed for a wallet. A change may be of several kinds: a wallet that is promoted from the waitlist leaves the waitlist and
/// becomes eligible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It had no rank and has one.
    Added,
    /// It had a rank and has none.
    Removed,
    /// Its rank is eligible and was not.
    BecameEligible,
    /// Its rank was eligible and is not.
    LostEligibility,
    /// It has a seat on the council (Naib) and had none.
    PromotedToCouncil,
    /// It had a seat on the council (Naib) and has none.
    DemotedFromCouncil,
    /// Its rank is in the waitlist zone and was not.
    EnteredWaitlist,
    /// Its rank was in the waitlist zone and is not.
    LeftWaitlist,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Added,
        Self::Removed,
        Self::BecameEligible,
        Self::LostEligibility,
        Self::PromotedToCouncil,
        Self::DemotedFromCouncil,
        Self::EnteredWaitlist,
        Self::LeftWaitlist,
    ];

    /// The kind as the database stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::BecameEligible => "became_eligible",
            Self::LostEligibility => "lost_eligibility",
            Self::PromotedToCouncil => "promoted_to_council",
            Self::DemotedFromCouncil => "demoted_from_council",
            Self::EnteredWaitlist => "entered_waitlist",
            Self::LeftWaitlist => "left_waitlist",
        }
    }
}

/// A wallet whose rank or holding differs between two rankings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletChange {
    /// The wallet.
    pub address: Address,
    /// Its place before; `None` without a rank.
    pub before: Option<Place>,
    /// Its place after; `None` without a rank.
    pub after: Option<Place>,
}

impl WalletChange {
    /// The zones of the ranks before and after.
    #[must_use]
    pub fn zones(&self, zones: Zones) -> (Zone, Zone) {
        let zone = |place: Option<Place>| zones.zone_of(place.map(|place| place.rank));
        (zone(self.before), zone(self.after))
    }

    /// The kinds of the change; none when the rank stayed in its zone.
    #[must_use]
    pub fn kinds(&self, zones: Zones) -> Vec<ChangeKind> {
        let (before, after) = self.zones(zones);
        let (added, removed) = (self.before.is_none(), self.after.is_none());
        let is_kind = |kind: &ChangeKind| match kind {
            ChangeKind::Added => added && !removed,
            ChangeKind::Removed => removed && !added,
            ChangeKind::BecameEligible => after.is_eligible() && !before.is_eligible(),
            ChangeKind::LostEligibility => before.is_eligible() && !after.is_eligible(),
            ChangeKind::PromotedToCouncil => after == Zone::Council && before != Zone::Council,
            ChangeKind::DemotedFromCouncil => before == Zone::Council && after != Zone::Council,
            ChangeKind::EnteredWaitlist => after == Zone::Waitlist && before != Zone::Waitlist,
            ChangeKind::LeftWaitlist => before == Zone::Waitlist && after != Zone::Waitlist,
        };
        ChangeKind::ALL.into_iter().filter(is_kind).collect()
    }

    /// The better one of the ranks before and after; `u32::MAX` without any.
    #[must_use]
    pub fn best_rank(&self) -> u32 {
        let ranks = [self.before, self.after];
        let ranks = ranks.into_iter().flatten().map(|place| place.rank.get());
        ranks.min().unwrap_or(u32::MAX)
    }
}

/// The entry threshold before and after a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThresholdChange {
    /// The threshold before.
    pub before: EntryThreshold,
    /// The threshold after.
    pub after: EntryThreshold,
}

/// The difference of two rankings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankingDifference {
    /// Each wallet whose rank or holding changed, in order of the address.
    pub changes: Vec<WalletChange>,
    /// The change of the entry threshold; `None` when it is the same.
    pub threshold: Option<ThresholdChange>,
}

impl RankingDifference {
    /// The difference of two rankings.
    #[must_use]
    pub fn between(before: &Ranking, after: &Ranking, zones: Zones) -> Self {
        let (mut left, mut right) = (by_address(before).peekable(), by_address(after).peekable());
        let mut changes = Vec::new();
        loop {
            let address = match (left.peek(), right.peek()) {
                (Some((one, _)), Some((other, _))) => *one.min(other),
                (Some((one, _)), None) | (None, Some((one, _))) => *one,
                (None, None) => break,
            };
            let is_its = |(found, _): &(Address, Place)| *found == address;
            let before = left.next_if(is_its).map(|(_, place)| place);
            let after = right.next_if(is_its).map(|(_, place)| place);
            if before != after {
                changes.push(WalletChange { address, before, after });
            }
        }
        let thresholds = (before.entry_threshold(zones), after.entry_threshold(zones));
        Self {
            changes,
            threshold: (thresholds.0 != thresholds.1).then_some(ThresholdChange {
                before: thresholds.0,
                after: thresholds.1,
            }),
        }
    }

    /// The change of a wallet; `None` when it has none.
    #[must_use]
    pub fn of(&self, address: Address) -> Option<&WalletChange> {
        let found = self.changes.binary_search_by_key(&address, |change| change.address);
        found.ok().and_then(|index| self.changes.get(index))
    }

    /// The ranking after the changes, when `before` is the ranking before them.
    #[must_use]
    pub fn apply(&self, before: &Ranking) -> Ranking {
        let mut places: BTreeMap<Address, Place> = before.places().collect();
        for change in &self.changes {
            match change.after {
                Some(place) => places.insert(change.address, place),
                None => places.remove(&change.address),
            };
        }
        let mut ordered: Vec<_> = places.into_iter().collect();
        ordered.sort_unstable_by_key(|(_, place)| place.rank);
        Ranking::of_ordered(
            ordered
                .into_iter()
                .map(|(address, place)| (address, place.held))
                .collect(),
        )
    }
}

/// The places of a ranking in order of the addresses.
fn by_address(ranking: &Ranking) -> impl Iterator<Item = (Address, Place)> {
    let mut places: Vec<_> = ranking.places().collect();
    places.sort_unstable_by_key(|(address, _)| *address);
    places.into_iter()
}
