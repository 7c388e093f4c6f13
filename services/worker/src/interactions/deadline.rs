//! The two time limits of an interaction, on Discord's clock: three seconds for the first response, fifteen minutes for its token.
//!
//! The interaction's id contains the time at which Discord created it. The local clock may be wrong, so an offset is added: the one
//! that this process measured from Discord's responses, else the ingestor's from the labels. If the two differ, the one that makes
//! the interaction younger is used: a late first response costs one call (10062), one that is not sent costs the reply.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrakis_discord::{ORIGINAL_LIFETIME, RESPONSE_WINDOW};
use twilight_util::snowflake::Snowflake;

/// Error bound of the estimate of Discord's clock. A first response that is late by less than this is tried: if it is late, Discord
/// refuses it with 10062.
const UNCERTAINTY: Duration = Duration::from_millis(500);
/// An edit is not sent if the token may expire before it reaches Discord: the 401 for an expired token counts as an invalid request.
const EDIT_MARGIN: Duration = Duration::from_secs(15);

/// The creation time of an interaction, and the offset of Discord's clock.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    created_ms: i64,
    offset_ms: i64,
}

impl Deadline {
    /// The deadline of an interaction. `offset_ms` is Discord's clock minus the local clock.
    pub fn new(interaction: &impl Snowflake, offset_ms: i64) -> Self {
        Self {
            created_ms: interaction.timestamp(),
            offset_ms,
        }
    }

    /// Age of the interaction; zero if its creation is in the future.
    pub fn age(&self) -> Duration {
        self.age_at(SystemTime::now())
    }

    fn age_at(&self, now: SystemTime) -> Duration {
        let now_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(self.offset_ms);
        let age_ms = now_ms.saturating_sub(self.created_ms);
        Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
    }

    /// Whether a first response would certainly be too late.
    pub fn response_is_late(&self) -> bool {
        self.age() > RESPONSE_WINDOW + UNCERTAINTY
    }

    /// Time left for the first response; at least 100 ms, so that one is tried if it may be in time.
    pub fn response_left(&self) -> Duration {
        (RESPONSE_WINDOW + UNCERTAINTY)
            .saturating_sub(self.age())
            .max(Duration::from_millis(100))
    }

    /// Whether an edit or follow-up can still be sent.
    pub fn token_is_valid(&self) -> bool {
        self.token_is_valid_after(Duration::ZERO)
    }

    /// Whether an edit or follow-up can still be sent after this wait.
    pub fn token_is_valid_after(&self, wait: Duration) -> bool {
        self.age() + wait + EDIT_MARGIN < ORIGINAL_LIFETIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Created at 2026-11-21 00:00:00 UTC.
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
        // The local clock is an hour ahead, as the offset shows.
        assert_eq!(
            age(-3_600_000, CREATED_MS + 3_600_000 + 700),
            Duration::from_millis(700)
        );
        // Created in the future.
        assert_eq!(age(0, CREATED_MS - 5000), Duration::ZERO);
    }

    fn created(ago: Duration) -> Deadline {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Deadline {
            created_ms: i64::try_from((now - ago).as_millis()).unwrap(),
            offset_ms: 0,
        }
    }

    #[test]
    fn response_and_token_have_their_own_limits() {
        assert!(!created(Duration::from_millis(100)).response_is_late());
        assert!(created(Duration::from_secs(5)).response_is_late());
        assert!(created(Duration::from_secs(800)).token_is_valid());
        assert!(!created(Duration::from_secs(800)).token_is_valid_after(Duration::from_secs(125)));
        assert!(!created(Duration::from_secs(895)).token_is_valid());
    }
}
