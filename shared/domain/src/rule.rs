//! Tier rules: a range of ranks, a minimum balance, or both.

use std::fmt;
use std::str::FromStr;

use crate::{Balance, Rank};

/// Rank and holding of a member's wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Rank of the wallet; `None` outside of the ranking.
    pub rank: Option<Rank>,
    /// Holding of the wallet.
    pub balance: Balance,
}

impl Standing {
    /// The standing with this rank and holding.
    #[must_use]
    pub const fn new(rank: Option<Rank>, balance: Balance) -> Self {
        Self { rank, balance }
    }
}

/// A range of ranks from `first` to `last`, both included; open-ended without `last`. Written `8-69`, `5`, `1001+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RankRange {
    first: Rank,
    last: Option<Rank>,
}

/// Why a text or a pair is not a range of ranks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankRangeError {
    /// The text is not of the form `8-69`, `5` or `1001+`.
    #[error("`{0}` is not a range of ranks; write `8-69`, `5` or `1001+`")]
    Malformed(String),
    /// The first rank is behind the last.
    #[error("the range of ranks `{0}-{1}` runs backwards; write `{1}-{0}`")]
    Backwards(Rank, Rank),
}

impl RankRange {
    /// The range with these ends; open-ended without `last`.
    ///
    /// # Errors
    ///
    /// When `last` is better than `first`.
    pub fn new(first: Rank, last: Option<Rank>) -> Result<Self, RankRangeError> {
        match last {
            Some(last) if last < first => Err(RankRangeError::Backwards(first, last)),
            _ => Ok(Self { first, last }),
        }
    }

    /// The best rank of the range.
    #[must_use]
    pub const fn first(self) -> Rank {
        self.first
    }

    /// The worst rank of the range; `None` for an open-ended one.
    #[must_use]
    pub const fn last(self) -> Option<Rank> {
        self.last
    }

    /// Whether this rank is at least as good as the worst one of the range. A better rank than `first` counts, too: a
    /// member with such a rank gets this tier when the balance is below a higher tier's minimum.
    #[must_use]
    pub fn reached_by(self, rank: Rank) -> bool {
        self.last.is_none_or(|last| rank <= last)
    }

    /// Whether both ranges contain a common rank.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.reached_by(other.first) && other.reached_by(self.first)
    }
}

impl FromStr for RankRange {
    type Err = RankRangeError;

    fn from_str(text: &str) -> Result<Self, RankRangeError> {
        let malformed = || RankRangeError::Malformed(text.to_owned());
        // Parsing an integer accepts a plus sign; a range does not.
        let rank = |part: &str| {
            let part = part.trim();
            if part.starts_with('+') {
                Err(malformed())
            } else {
                part.parse().map_err(|_| malformed())
            }
        };
        if let Some(first) = text.strip_suffix('+') {
            return Self::new(rank(first)?, None);
        }
        match text.split_once('-') {
            Some((first, last)) => Self::new(rank(first)?, Some(rank(last)?)),
            None => rank(text).map(|only| Self {
                first: only,
                last: Some(only),
            }),
        }
    }
}

impl fmt::Display for RankRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            None => write!(f, "{}+", self.first),
            Some(last) if last == self.first => write!(f, "{last}"),
            Some(last) => write!(f, "{}-{last}", self.first),
        }
    }
}

/// What one tier requires: ranks, a minimum balance, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierRule {
    ranks: Option<RankRange>,
    minimum: Option<Balance>,
}

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TierRuleError {
    /// The rule requires nothing, so every member would hold the tier.
    #[error("a tier rule needs `ranks`, `minimum`, or both")]
    Empty,
    /// The minimum is zero, so every member would hold the tier.
    #[error("a minimum balance must be above 0; otherwise every member would hold the tier")]
    ZeroMinimum,
}

impl TierRule {
    /// A rule with a range of ranks, a minimum balance, or both.
    ///
    /// # Errors
    ///
    /// When every member would meet it: with neither, or with a minimum of zero.
    pub fn new(ranks: Option<RankRange>, minimum: Option<Balance>) -> Result<Self, TierRuleError> {
        if minimum.is_some_and(Balance::is_zero) {
            return Err(TierRuleError::ZeroMinimum);
        }
        if ranks.is_none() && minimum.is_none() {
            return Err(TierRuleError::Empty);
        }
        Ok(Self { ranks, minimum })
    }

    /// The required ranks, if any.
    #[must_use]
    pub const fn ranks(&self) -> Option<RankRange> {
        self.ranks
    }

    /// The required balance, if any.
    #[must_use]
    pub const fn minimum(&self) -> Option<Balance> {
        self.minimum
    }

    /// Whether a member with this standing meets the rule. A better rank and a larger balance then meet it, too: tiers are
    /// monotone in both.
    #[must_use]
    pub fn holds(&self, standing: Standing) -> bool {
        let rank = self
            .ranks
            .is_none_or(|ranks| standing.rank.is_some_and(|rank| ranks.reached_by(rank)));
        let balance = self.minimum.is_none_or(|minimum| standing.balance >= minimum);
        rank && balance
    }
}

/// For display: `rank 8-69`, `1,111 or more`, `rank 1-7 with 5,000 or more`.
impl fmt::Display for TierRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ranks, self.minimum) {
            (Some(ranks), Some(minimum)) => write!(f, "rank {ranks} with {} or more", minimum.grouped()),
            (Some(ranks), None) => write!(f, "rank {ranks}"),
            (None, Some(minimum)) => write!(f, "{} or more", minimum.grouped()),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(number: u32) -> Rank {
        Rank::new(number).unwrap()
    }

    #[test]
    fn ranges_parse_and_print() {
        for (text, first, last) in [
            ("1-7", 1, Some(7)),
            ("5", 5, Some(5)),
            ("1001+", 1001, None),
            ("8 - 69", 8, Some(69)),
        ] {
            let range: RankRange = text.parse().unwrap();
            assert_eq!((range.first().get(), range.last().map(Rank::get)), (first, last));
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        for text in [
            "",
            "-",
            "0-7",
            "7-",
            "-7",
            "a-b",
            "1-2-3",
            "1–7",
            "+7",
            "1-+7",
            "++",
            "4294967296",
        ] {
            assert!(
                matches!(text.parse::<RankRange>(), Err(RankRangeError::Malformed(_))),
                "{text}"
            );
        }
        assert_eq!(
            "7-1".parse::<RankRange>().unwrap_err().to_string(),
            "the range of ranks `7-1` runs backwards; write `1-7`"
        );
    }

    #[test]
    fn overlap_is_symmetric() {
        for (left, right, overlap) in [
            ("1-7", "8-69", false),
            ("1-7", "7-9", true),
            ("1-100", "5", true),
            ("9+", "1-8", false),
            ("9+", "10+", true),
        ] {
            let (left, right): (RankRange, RankRange) = (left.parse().unwrap(), right.parse().unwrap());
            assert_eq!(
                (left.overlaps(right), right.overlaps(left)),
                (overlap, overlap),
                "{left} {right}"
            );
        }
    }

    #[test]
    fn rule_of_rank_and_balance_requires_both() {
        let rule = TierRule::new(Some("1-7".parse().unwrap()), Some(Balance::from_tokens(100))).unwrap();
        assert!(rule.holds(Standing::new(Some(rank(7)), Balance::from_tokens(100))));
        assert!(!rule.holds(Standing::new(Some(rank(8)), Balance::from_tokens(100))));
        assert!(!rule.holds(Standing::new(None, Balance::MAX)));
        assert!(!rule.holds(Standing::new(Some(rank(1)), "99.999999999999999999".parse().unwrap())));
        assert_eq!(rule.to_string(), "rank 1-7 with 100 or more");
    }

    #[test]
    fn rules_that_every_member_meets_are_refused() {
        assert_eq!(TierRule::new(None, None), Err(TierRuleError::Empty));
        assert_eq!(
            TierRule::new(None, Some(Balance::ZERO)),
            Err(TierRuleError::ZeroMinimum)
        );
    }
}
