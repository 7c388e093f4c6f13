//! The zones of the ranking (council, eligible, waitlist, outside) and the entry threshold.

use crate::{Balance, Rank};

/// The last rank of each zone. Every community uses [`Zones::STANDARD`]; tests use others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zones {
    /// The last rank with a seat on the council.
    pub council: Rank,
    /// The last rank that is eligible.
    pub entry: Rank,
    /// The last rank of the waitlist zone.
    pub waitlist: Rank,
}

impl Zones {
    /// Council: ranks 1 to 7; eligible: 8 to 69; waitlist: 70 to 100.
    pub const STANDARD: Self = Self {
        council: Rank::literal(7),
        entry: Rank::literal(69),
        waitlist: Rank::literal(100),
    };

    /// The zone of a rank; a wallet without a rank is outside.
    #[must_use]
    pub fn zone_of(&self, rank: Option<Rank>) -> Zone {
        match rank {
            Some(rank) if rank <= self.council => Zone::Council,
            Some(rank) if rank <= self.entry => Zone::Eligible,
            Some(rank) if rank <= self.waitlist => Zone::Waitlist,
            _ => Zone::Outside,
        }
    }
}

/// A zone of the ranking. A greater zone is a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// No rank, or a rank behind the waitlist zone.
    Outside,
    /// Eligible as soon as a better rank becomes free.
    Waitlist,
    /// Admitted to the community.
    Eligible,
    /// Admitted, with a seat on the council.
    Council,
}

impl Zone {
    /// Whether a rank in this zone is eligible.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        self >= Self::Eligible
    }
}

/// The entry threshold: the holding above which a wallet has an eligible rank now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryThreshold {
    /// There are fewer wallets than eligible ranks: any holding is enough.
    PlacesFree {
        /// Number of eligible ranks without a wallet.
        free: u32,
    },
    /// Every eligible rank has a wallet.
    Holding {
        /// Holding of the last eligible rank. Of equal holdings the earlier one ranks better, so entry takes more than this.
        balance: Balance,
    },
}

impl EntryThreshold {
    /// The threshold for holdings in order of rank, best first; only the first `zones.entry` of them matter.
    #[must_use]
    pub fn of(zones: Zones, holdings: impl IntoIterator<Item = Balance>) -> Self {
        let places = zones.entry.get();
        let mut taken = 0;
        for balance in holdings {
            taken += 1;
            if taken == places {
                return Self::Holding { balance };
            }
        }
        Self::PlacesFree { free: places - taken }
    }

    /// How far a holding is below the threshold; zero for an equal one. An eligible rank requires a holding above the
    /// threshold, so more than this distance.
    #[must_use]
    pub fn distance(&self, held: Balance) -> Balance {
        match self {
            Self::PlacesFree { .. } => Balance::ZERO,
            Self::Holding { balance } => balance.saturating_sub(held),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_their_boundaries() {
        for (rank, zone) in [
            (1, Zone::Council),
            (7, Zone::Council),
            (8, Zone::Eligible),
            (69, Zone::Eligible),
            (70, Zone::Waitlist),
            (100, Zone::Waitlist),
            (101, Zone::Outside),
            (u32::MAX, Zone::Outside),
        ] {
            assert_eq!(Zones::STANDARD.zone_of(Rank::new(rank)), zone, "rank {rank}");
            assert_eq!(zone.is_eligible(), rank <= 69);
        }
        assert_eq!(Zones::STANDARD.zone_of(None), Zone::Outside);
    }

    #[test]
    fn entry_threshold_is_the_holding_of_the_last_eligible_rank() {
        let holdings = (1..=200).rev().map(Balance::from_tokens);
        let threshold = EntryThreshold::of(Zones::STANDARD, holdings);
        assert_eq!(
            threshold,
            EntryThreshold::Holding {
                balance: Balance::from_tokens(132)
            }
        );
        assert_eq!(threshold.distance("131.5".parse().unwrap()).to_string(), "0.5");
        assert_eq!(threshold.distance(Balance::from_tokens(132)), Balance::ZERO);
        assert_eq!(threshold.distance(Balance::from_tokens(500)), Balance::ZERO);
    }

    #[test]
    fn places_are_free_with_fewer_wallets_than_eligible_ranks() {
        let sixty_eight = (0..68).map(|_| Balance::from_tokens(1));
        let threshold = EntryThreshold::of(Zones::STANDARD, sixty_eight);
        assert_eq!(threshold, EntryThreshold::PlacesFree { free: 1 });
        assert_eq!(threshold.distance(Balance::ZERO), Balance::ZERO);
    }
}
