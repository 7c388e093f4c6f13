//! The two limits of an interaction's life, counted on Discord's clock.
//!
//! An interaction's id holds when Discord made it. Our clock may be off, so "now" is ours plus an offset: the one that this
//! process measured by Discord's own answers, else the ingestor's, which came with the labels. While they contradict each other, the
//! one by which the interaction is youngest: a first response that is late costs one call (10062), one not sent costs the answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrakis_discord::{ORIGINAL_LIFETIME, RESPONSE_WINDOW};
use twilight_util::snowflake::Snowflake;

/// How far our estimate of Discord's clock may be off. Who is late by less than this is asked about anyway: Discord refuses
/// with 10062, which costs nothing, and who was in time after all is answered.
const UNCERTAINTY: Duration = Duration::from_millis(500);
/// An edit is not begun when the token may die before it arrives; a dead token's 401 counts against the invalid-request
/// budget.
const EDIT_MARGIN: Duration = Duration::from_secs(15);

/// When Discord made an interaction, and what time it is there.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    created_ms: i64,
    offset_ms: i64,
}

impl Deadline {
    /// `offset_ms` is Discord's clock minus ours.
    pub fn new(interaction: &impl Snowflake, offset_ms: i64) -> Self {
        Self {
            created_ms: interaction.timestamp(),
            offset_ms,
        }
    }

    /// How old the interaction is; zero for one from the future.
    pub fn age(&self) -> Duration {
        self.age_at(SystemTime::now())
    }

    fn age_at(&self, now: SystemTime) -> Duration {
        let now_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(self.offset_ms);
        let age_ms = now_ms.saturating_sub(self.created_ms);
        Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
    }

    /// Whether the first response would certainly come too late.
    pub fn response_is_late(&self) -> bool {
        self.age() > RESPONSE_WINDOW + UNCERTAINTY
    }

    /// What is left for the first response, at least a moment so that a doubtful one is tried.
    pub fn response_left(&self) -> Duration {
        (RESPONSE_WINDOW + UNCERTAINTY)
            .saturating_sub(self.age())
            .max(Duration::from_millis(100))
    }

    /// Whether an edit or follow-up may still be sent.
    pub fn token_lives(&self) -> bool {
        self.token_lives_after(Duration::ZERO)
    }

    /// Whether it may still be sent after waiting so long.
    pub fn token_lives_after(&self, wait: Duration) -> bool {
        self.age() + wait + EDIT_MARGIN < ORIGINAL_LIFETIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made at 2026-11-21 00:00:00 UTC.
    const CREATED_MS: u64 = 1_795_219_200_000;

    fn age(offset_ms: i64, now_ms: u64) -> Duration {
        let deadline = Deadline {
            created_ms: CREATED_MS.cast_signed(),
            offset_ms,
        };
        deadline.age_at(UNIX_EPOCH + Duration::from_millis(now_ms))
    }

    #[test]
    fn age_is_counted_on_discords_clock() {
        assert_eq!(age(0, CREATED_MS + 1500), Duration::from_millis(1500));
        // Our clock is an hour ahead, and the offset says so.
        assert_eq!(
            age(-3_600_000, CREATED_MS + 3_600_000 + 700),
            Duration::from_millis(700)
        );
        // From the future: new.
        assert_eq!(age(0, CREATED_MS - 5000), Duration::ZERO);
    }

    fn made(ago: Duration) -> Deadline {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Deadline {
            created_ms: i64::try_from((now - ago).as_millis()).unwrap(),
            offset_ms: 0,
        }
    }

    #[test]
    fn both_limits_hold() {
        assert!(!made(Duration::from_millis(100)).response_is_late());
        assert!(made(Duration::from_secs(5)).response_is_late());
        assert!(made(Duration::from_secs(800)).token_lives());
        assert!(!made(Duration::from_secs(800)).token_lives_after(Duration::from_secs(125)));
        assert!(!made(Duration::from_secs(895)).token_lives());
    }
}
