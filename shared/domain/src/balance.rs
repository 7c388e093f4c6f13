//! Exact token amounts: 256-bit integers of 18 decimals, never floats.
//!
//! Parses and prints amounts without loss. Signs, exponents, thousands separators and more than 18 decimals are refused,
//! because programs interpret them differently. For display see [`Balance::grouped`].

use std::fmt;
use std::str::FromStr;

use ruint::aliases::U256;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::grouped::{GroupedBalance, Rounding};

/// An amount of a token in raw units of 10⁻¹⁸ token.
///
/// `Display` and `FromStr` use decimal tokens (`1111.5`). Serde uses raw units as a decimal string
/// (`"1111500000000000000000"`), which no JSON parser rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Balance(U256);

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BalanceError {
    /// There are no digits before the decimal point or after it.
    #[error("an amount needs digits on both sides of its point, like `6.9` or `69`")]
    MissingDigits,
    /// A character that is neither a digit nor the decimal point.
    #[error("`{0}` is not allowed in an amount; write digits and at most one point, like `1111.5`")]
    UnexpectedCharacter(char),
    /// More than 18 decimals.
    #[error("an amount has at most 18 decimals, this one has {0}")]
    TooManyDecimals(usize),
    /// The raw units exceed 256 bits.
    #[error("the amount is larger than a 256-bit integer of 18 decimals can hold")]
    TooLarge,
}

impl Balance {
    /// Decimals of a token.
    pub const DECIMALS: usize = 18;
    /// Zero.
    pub const ZERO: Self = Self(U256::ZERO);
    /// The largest amount.
    pub const MAX: Self = Self(U256::MAX);
    /// One raw unit, the smallest amount above zero.
    pub const ONE_UNIT: Self = Self(U256::ONE);
    /// Raw units in one token.
    const UNITS_PER_TOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

    /// The amount of this many raw units, as a chain reports them for a token with 18 decimals.
    #[must_use]
    pub const fn from_units(units: U256) -> Self {
        Self(units)
    }

    /// The amount of this many whole tokens.
    #[must_use]
    pub fn from_tokens(tokens: u64) -> Self {
        Self(U256::from(tokens) * Self::UNITS_PER_TOKEN)
    }

    /// The raw units.
    #[must_use]
    pub const fn units(self) -> U256 {
        self.0
    }

    /// Parses raw units in decimal digits, the format of PostgreSQL's `numeric` and of serde.
    ///
    /// # Errors
    ///
    /// When the text is not digits only, or exceeds 256 bits.
    pub fn from_units_text(text: &str) -> Result<Self, BalanceError> {
        if text.is_empty() {
            return Err(BalanceError::MissingDigits);
        }
        check_digits(text)?;
        U256::from_str_radix(text, 10)
            .map(Self)
            .map_err(|_| BalanceError::TooLarge)
    }

    /// The raw units in decimal digits; [`Balance::from_units_text`] parses them.
    #[must_use]
    pub fn units_text(self) -> String {
        self.0.to_string()
    }

    /// Whether the amount is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum; `None` when it exceeds 256 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference; `None` when `other` is larger.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The difference; zero when `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// For display: with thousands separators and all decimals, `1,111.5`.
    #[must_use]
    pub fn grouped(self) -> GroupedBalance {
        GroupedBalance::new(self, Self::DECIMALS, Rounding::Down)
    }

    /// For display: with thousands separators, rounded to `places` decimals. Use [`Rounding::Down`] for a holding, so that
    /// 68.999999999999999999 does not print as 69, and [`Rounding::Up`] for an amount that is still needed.
    #[must_use]
    pub fn grouped_to(self, places: usize, rounding: Rounding) -> GroupedBalance {
        GroupedBalance::new(self, places, rounding)
    }

    /// Whole tokens and the raw units beyond them.
    pub(crate) fn split(self) -> (U256, u64) {
        let (whole, fraction) = self.0.div_rem(Self::UNITS_PER_TOKEN);
        // The remainder is below 10¹⁸ and so fits the lowest limb.
        (whole, fraction.as_limbs()[0])
    }
}

fn check_digits(text: &str) -> Result<(), BalanceError> {
    match text.chars().find(|c| !c.is_ascii_digit()) {
        Some(other) => Err(BalanceError::UnexpectedCharacter(other)),
        None => Ok(()),
    }
}

impl FromStr for Balance {
    type Err = BalanceError;

    fn from_str(text: &str) -> Result<Self, BalanceError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(BalanceError::MissingDigits),
            Some(parts) => parts,
            None => (text, ""),
        };
        if whole.is_empty() {
            return Err(BalanceError::MissingDigits);
        }
        check_digits(whole)?;
        check_digits(fraction)?;
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > Self::DECIMALS {
            return Err(BalanceError::TooManyDecimals(fraction.len()));
        }
        Self::from_units_text(&format!("{whole}{fraction:0<width$}", width = Self::DECIMALS))
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = self.split();
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{fraction:0width$}", width = Self::DECIMALS);
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Balance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UnitsVisitor;
        impl Visitor<'_> for UnitsVisitor {
            type Value = Balance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("raw token units as a decimal string, like \"69000000000000000000\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Balance, E> {
                Balance::from_units_text(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(UnitsVisitor).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_balance() -> impl Strategy<Value = Balance> {
        any::<[u64; 4]>().prop_map(|limbs| Balance::from_units(U256::from_limbs(limbs)))
    }

    proptest! {
        #[test]
        fn decimal_text_round_trips(balance in any_balance()) {
            prop_assert_eq!(balance.to_string().parse::<Balance>(), Ok(balance));
        }

        #[test]
        fn unit_text_and_json_round_trip(balance in any_balance()) {
            prop_assert_eq!(Balance::from_units_text(&balance.units_text()), Ok(balance));
            let json = serde_json::to_string(&balance).unwrap();
            prop_assert_eq!(&json, &format!("\"{}\"", balance.units_text()));
            prop_assert_eq!(serde_json::from_str::<Balance>(&json).unwrap(), balance);
        }

        #[test]
        fn order_is_that_of_the_units(left in any_balance(), right in any_balance()) {
            prop_assert_eq!(left.cmp(&right), left.units().cmp(&right.units()));
        }

        #[test]
        fn grouping_only_adds_commas(balance in any_balance()) {
            prop_assert_eq!(balance.grouped().to_string().replace(',', ""), balance.to_string());
        }
    }

    #[test]
    fn one_unit_below_a_threshold_is_not_rounded() {
        let below: Balance = "68.999999999999999999".parse().unwrap();
        assert_eq!(below.units_text(), "68999999999999999999");
        assert_eq!(below.checked_add(Balance::ONE_UNIT), Some(Balance::from_tokens(69)));
        assert!(below < Balance::from_tokens(69));
    }

    #[test]
    fn trailing_zeros_are_not_printed() {
        for (text, printed) in [
            ("0", "0"),
            ("69.0", "69"),
            ("006.90", "6.9"),
            ("0.000000000000000001", "0.000000000000000001"),
        ] {
            assert_eq!(text.parse::<Balance>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn malformed_amount_is_refused_with_the_reason() {
        use BalanceError::{MissingDigits, TooLarge, TooManyDecimals, UnexpectedCharacter};
        for (text, error) in [
            ("", MissingDigits),
            (".5", MissingDigits),
            ("5.", MissingDigits),
            ("-1", UnexpectedCharacter('-')),
            ("+1", UnexpectedCharacter('+')),
            ("1e18", UnexpectedCharacter('e')),
            ("1_000", UnexpectedCharacter('_')),
            ("1,000", UnexpectedCharacter(',')),
            ("1.2.3", UnexpectedCharacter('.')),
            ("٣", UnexpectedCharacter('٣')),
            ("0.0000000000000000001", TooManyDecimals(19)),
            // 2²⁵⁶ raw units: one more than fits.
            (
                "115792089237316195423570985008687907853269984665640564039457.584007913129639936",
                TooLarge,
            ),
        ] {
            assert_eq!(text.parse::<Balance>(), Err(error), "{text}");
        }
        let largest = "115792089237316195423570985008687907853269984665640564039457.584007913129639935";
        assert_eq!(largest.parse::<Balance>(), Ok(Balance::MAX));
        assert_eq!(Balance::from_units_text("1.5"), Err(UnexpectedCharacter('.')));
    }

    #[test]
    fn json_numbers_are_refused() {
        assert!(serde_json::from_str::<Balance>("69").is_err());
        assert!(serde_json::from_str::<Balance>("\"6.9\"").is_err());
    }
}
