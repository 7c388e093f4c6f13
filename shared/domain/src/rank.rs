//! Ranks: positions in the ranking of wallets, from 1.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A position in the ranking of wallets, from 1. A smaller rank is better; `Ord` is that of the number, so the better rank
/// is the lesser one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rank(NonZeroU32);

/// A number that is not a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rank is a whole number from 1 to {}", u32::MAX)]
pub struct RankError;

impl Rank {
    /// The best rank.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The rank with this number; `None` for 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// For constants of this crate, which are above zero.
    pub(crate) const fn literal(number: u32) -> Self {
        match Self::new(number) {
            Some(rank) => rank,
            None => Self::FIRST,
        }
    }

    /// The number, from 1.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Rank {
    type Err = RankError;

    fn from_str(text: &str) -> Result<Self, RankError> {
        text.parse().map(Self).map_err(|_| RankError)
    }
}

impl TryFrom<u32> for Rank {
    type Error = RankError;

    fn try_from(number: u32) -> Result<Self, RankError> {
        Self::new(number).ok_or(RankError)
    }
}

/// For columns, which hold signed integers.
impl TryFrom<i64> for Rank {
    type Error = RankError;

    fn try_from(number: i64) -> Result<Self, RankError> {
        u32::try_from(number).ok().and_then(Self::new).ok_or(RankError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_negative_numbers_are_refused() {
        assert_eq!(Rank::new(0), None);
        assert_eq!("0".parse::<Rank>(), Err(RankError));
        assert_eq!(Rank::try_from(-1_i64), Err(RankError));
        assert_eq!(Rank::try_from(i64::from(u32::MAX) + 1), Err(RankError));
        assert!(serde_json::from_str::<Rank>("0").is_err());
        assert_eq!(serde_json::from_str::<Rank>("69").unwrap().get(), 69);
    }
}
