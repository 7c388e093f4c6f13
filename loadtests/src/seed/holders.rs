//! The wallets and their balances: a few hundred, with one on each side of every tier boundary.

use arrakis_domain::{Address, Balance};
use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

/// A wallet and its balance. The position in the list is its rank: equal balances rank by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The wallet.
    pub address: Address,
    /// Its balance.
    pub held: Balance,
}

/// Balances at which the `balance` rules of the theme `sietch` change, in tokens, from the highest.
const BOUNDARIES: [&str; 7] = ["1111", "888", "690", "420", "222", "69", "6.9"];
/// Balance of the last eligible rank, 69; rank 70 has the same balance and is younger.
const ENTRY: u64 = 1_500;
/// Number of wallets between two boundaries.
const BETWEEN: usize = 34;

/// All holders, from rank 1.
pub(super) fn holders(random: &mut ChaCha8Rng) -> Vec<Holder> {
    let mut held = Vec::new();
    // First the council, then Fedaykin down to rank 70.
    held.extend([48_200_u64, 41_075, 36_900, 30_010, 24_444, 19_800, 12_345].map(Balance::from_tokens));
    let mut middle: Vec<_> = (0..61).map(|_| fraction(random, ENTRY + 1, 12_000)).collect();
    middle.sort_unstable_by(|a, b| b.cmp(a));
    held.extend(middle);
    held.extend([Balance::from_tokens(ENTRY), Balance::from_tokens(ENTRY)]);
    let mut upper = Balance::from_tokens(ENTRY);
    for boundary in BOUNDARIES.map(tokens) {
        let mut band: Vec<_> = (0..BETWEEN).map(|_| between(random, boundary, upper)).collect();
        band.push(upper.saturating_sub(Balance::ONE_UNIT));
        band.push(boundary);
        band.sort_unstable_by(|a, b| b.cmp(a));
        held.extend(band);
        upper = boundary;
    }
    held.extend(["6.899999999999999999", "5", "1", "0.5", "0.000000000000000001"].map(tokens));
    held.into_iter()
        .map(|held| Holder {
            address: Address::from_bytes(random.random()),
            held,
        })
        .collect()
}

/// Parses a literal of this file.
#[expect(
    clippy::expect_used,
    reason = "the literals of this file are balances, which the tests show"
)]
fn tokens(text: &str) -> Balance {
    text.parse().expect("a balance")
}

/// A random balance with two decimals.
fn fraction(random: &mut ChaCha8Rng, low: u64, high: u64) -> Balance {
    tokens(&format!(
        "{}.{:02}",
        random.random_range(low..high),
        random.random_range(0..100)
    ))
}

/// A balance strictly between two others.
fn between(random: &mut ChaCha8Rng, low: Balance, high: Balance) -> Balance {
    let span = high.saturating_sub(low).units();
    let thousandths = arrakis_domain::U256::from(random.random_range(1..1_000_u32));
    let above = span / arrakis_domain::U256::from(1_000_u32) * thousandths;
    Balance::from_units(low.units() + above)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_boundary_has_a_wallet_on_each_side() {
        let holders = holders(&mut ChaCha8Rng::seed_from_u64(1));
        assert!(holders.is_sorted_by(|a, b| a.held >= b.held));
        let has = |held: Balance| holders.iter().any(|holder| holder.held == held);
        for boundary in BOUNDARIES.map(tokens) {
            assert!(
                has(boundary) && has(boundary.saturating_sub(Balance::ONE_UNIT)),
                "{boundary}"
            );
        }
        assert_eq!(holders[68].held, holders[69].held, "the line is a tie");
        assert!((300..600).contains(&holders.len()), "{}", holders.len());
    }

    #[test]
    fn addresses_are_unique() {
        let holders = holders(&mut ChaCha8Rng::seed_from_u64(1));
        let mut addresses: Vec<_> = holders.iter().map(|holder| holder.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), holders.len());
    }
}
