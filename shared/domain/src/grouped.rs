//! Balances for display: with thousands separators, rounded on request, by integer arithmetic only.

use std::fmt;

use ruint::aliases::U256;

use crate::Balance;

/// Direction in which an amount is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards zero, for a holding: it is never overstated.
    Down,
    /// Away from zero, for an amount that is still needed: it is never understated.
    Up,
}

/// A balance that prints as `1,111.5`. Created by [`Balance::grouped`] and [`Balance::grouped_to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupedBalance {
    whole: U256,
    /// The fraction in units of `10^-places`.
    fraction: u64,
    places: usize,
}

impl GroupedBalance {
    pub(crate) fn new(balance: Balance, places: usize, rounding: Rounding) -> Self {
        let (whole, units) = balance.split();
        let places = places.min(Balance::DECIMALS);
        let mut step = 1_u64;
        for _ in places..Balance::DECIMALS {
            step *= 10;
        }
        let cut = rounding == Rounding::Up && !units.is_multiple_of(step);
        let fraction = units / step + u64::from(cut);
        // Rounding up may carry into the whole tokens, which are far below 2²⁵⁶.
        if fraction > 0 && fraction == 10_u64.pow(u32::try_from(places).unwrap_or_default()) {
            return Self {
                whole: whole + U256::ONE,
                fraction: 0,
                places,
            };
        }
        Self {
            whole,
            fraction,
            places,
        }
    }
}

impl fmt::Display for GroupedBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.whole.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3 + 1 + self.places);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        if self.fraction > 0 {
            let decimals = format!("{:0width$}", self.fraction, width = self.places);
            text.push('.');
            text.push_str(decimals.trim_end_matches('0'));
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(text: &str, places: usize, rounding: Rounding) -> String {
        text.parse::<Balance>()
            .unwrap()
            .grouped_to(places, rounding)
            .to_string()
    }

    #[test]
    fn thousands_are_separated() {
        for (text, printed) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("1111.5", "1,111.5"),
            ("1234567.000000000000000001", "1,234,567.000000000000000001"),
        ] {
            assert_eq!(text.parse::<Balance>().unwrap().grouped().to_string(), printed);
        }
    }

    #[test]
    fn amount_is_rounded_in_the_given_direction() {
        assert_eq!(grouped("68.999999999999999999", 2, Rounding::Down), "68.99");
        assert_eq!(grouped("68.999999999999999999", 2, Rounding::Up), "69");
        assert_eq!(grouped("0.000000000000000001", 2, Rounding::Down), "0");
        assert_eq!(grouped("0.000000000000000001", 2, Rounding::Up), "0.01");
        assert_eq!(grouped("1.05", 2, Rounding::Up), "1.05");
        assert_eq!(grouped("999.5", 0, Rounding::Up), "1,000");
        assert_eq!(grouped("999.5", 0, Rounding::Down), "999");
        assert_eq!(grouped("7", 0, Rounding::Up), "7");
        assert_eq!(grouped("1.5", 40, Rounding::Down), "1.5");
        assert_eq!(
            Balance::MAX
                .grouped_to(0, Rounding::Up)
                .to_string()
                .matches(',')
                .count(),
            19
        );
    }
}
