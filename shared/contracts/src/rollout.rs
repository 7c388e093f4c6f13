//! Which servers belong to a share, by consistent hashing of their ids.
//!
//! A server has one point from 0 to 9,999, which follows from its id. A share of n percent has the servers below n · 100. So every process
//! decides alike without asking another, a larger share contains every smaller one, and no server changes sides when the share stays.

use sha2::{Digest, Sha256};

/// Points of the circle.
const POINTS: u64 = 10_000;

/// The point of a server.
#[must_use]
pub fn point(guild: u64) -> u64 {
    // Ids have the time of creation in their upper bits, so a plain remainder would follow the age of servers.
    let mut hash = Sha256::new();
    hash.update(b"arrakis-canary\0");
    hash.update(guild.to_be_bytes());
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first) % POINTS
}

/// Whether a server belongs to a share of this many percent.
#[must_use]
pub fn is_in_share(guild: u64, percent: u8) -> bool {
    point(guild) < u64::from(percent.min(100)) * (POINTS / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids as Discord makes them, a minute apart.
    fn guilds() -> impl Iterator<Item = u64> {
        (0..20_000_u64).map(|number| (600_000_000_000 + number * 60_000) << 22)
    }

    #[test]
    fn larger_share_contains_every_smaller_one() {
        for guild in guilds().take(2_000) {
            let mut was_in = false;
            for percent in 0..=100 {
                let is_in = is_in_share(guild, percent);
                assert!(is_in || !was_in, "{guild} left at {percent} %");
                was_in = is_in;
            }
            assert!(was_in && !is_in_share(guild, 0), "{guild}");
            assert!(is_in_share(guild, 255), "more than all is all");
        }
    }

    #[test]
    fn share_has_about_its_number_of_servers() {
        for percent in [10, 50] {
            let found = guilds().filter(|guild| is_in_share(*guild, percent)).count();
            let wanted = 20_000 * usize::from(percent) / 100;
            // Five standard deviations of a random choice.
            assert!(found.abs_diff(wanted) < 360, "{percent} %: {found}");
        }
    }

    /// The points are part of the contract between builds: two builds that differ would hand over different servers.
    #[test]
    fn points_do_not_change() {
        let points: Vec<u64> = [1, 1_200_000_000_000_000_000, u64::MAX].map(point).to_vec();
        assert_eq!(points, POINTS_OF_SAMPLES);
    }

    const POINTS_OF_SAMPLES: [u64; 3] = [230, 6_213, 7_753];
}
