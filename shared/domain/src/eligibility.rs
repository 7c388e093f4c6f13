//! The zones of the ranking: council, eligible, waiting, outside, and what the line between them costs.

use crate::{Balance, Rank};

/// Where the zones end. Every community ranks the same wallets, so there is one set of them; a field each, so that a test
/// can draw others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zones {
    /// The last rank with a seat on the council.
    pub council: Rank,
    /// The last rank that is eligible.
    pub entry: Rank,
    /// The last rank that may wait for a place.
    pub waitlist: Rank,
}

impl Zones {
    /// Ranks 1 to 7, 8 to 69, 70 to 100.
    pub const STANDARD: Self = Self {
        council: Rank::literal(7),
        entry: Rank::literal(69),
        waitlist: Rank::literal(100),
    };

    /// The zone of a rank; wallets without one are outside.
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

/// Where a rank lies. The greater is the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// No rank, or one behind the waitlist.
    Outside,
    /// May wait for a place.
    Waitlist,
    /// Has a place.
    Eligible,
    /// Has a seat on the council, and so a place.
    Council,
}

impl Zone {
    /// Whether a rank of this zone is eligible.
    #[must_use]
    pub fn is_eligible(self) -> bool {
        self >= Self::Eligible
    }
}

/// What entry takes now: what the last eligible rank holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryThreshold {
    /// Fewer wallets than places: any holding enters.
    PlacesFree {
        /// Places that nobody holds.
        free: u32,
    },
    /// Every place is taken.
    Holding {
        /// What the last eligible rank holds. Ties rank by who got there first, so entering takes more than this.
        balance: Balance,
    },
}

impl EntryThreshold {
    /// From holdings in order of rank, the best first; only the first `zones.entry` of them matter.
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

    /// How far a wallet outside the line is below it: zero for who is level with it and waits for having come later. To
    /// enter takes more than the distance.
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
    fn zones_end_where_they_should() {
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
    fn entry_takes_what_rank_69_holds() {
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
    fn fewer_holders_than_places_leave_the_door_open() {
        let sixty_eight = (0..68).map(|_| Balance::from_tokens(1));
        let threshold = EntryThreshold::of(Zones::STANDARD, sixty_eight);
        assert_eq!(threshold, EntryThreshold::PlacesFree { free: 1 });
        assert_eq!(threshold.distance(Balance::ZERO), Balance::ZERO);
    }
}
