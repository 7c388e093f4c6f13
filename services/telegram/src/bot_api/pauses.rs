//! The pauses that Telegram demands by 429. An answer does not state whether its limit is that of a chat or of the bot.
//!
//! A 429 pauses its chat. While several chats are paused at once, the limit is that of the bot, and every chat is paused.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Chats that are paused at once while the limit is that of the bot.
const CHATS_OF_A_GLOBAL_LIMIT: usize = 5;

/// Longest pause of a chat because of the pauses of others.
const MAX_GLOBAL_PAUSE: Duration = Duration::from_secs(2);

/// The pauses of chats.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    chats: HashMap<i64, Instant>,
}

impl Pauses {
    /// Records that Telegram demands a pause of this chat.
    pub(super) fn add(&mut self, chat: i64, pause: Duration, now: Instant) {
        self.chats.retain(|_, end| *end > now);
        // A pause of centuries would be no valid time.
        let end = now + pause.min(Duration::from_secs(24 * 3600));
        self.chats.insert(chat, end);
    }

    /// For how long no message may be sent to this chat.
    pub(super) fn of(&mut self, chat: i64, now: Instant) -> Option<Duration> {
        self.chats.retain(|_, end| *end > now);
        let end = if self.chats.len() >= CHATS_OF_A_GLOBAL_LIMIT {
            // The shortest one, within bounds: after it, a call shows whether the limit still applies.
            let shortest = self.chats.values().min().copied();
            let of_all = shortest.map(|end| end.min(now + MAX_GLOBAL_PAUSE));
            self.chats.get(&chat).copied().max(of_all)
        } else {
            self.chats.get(&chat).copied()
        };
        end.map(|end| end - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chat_is_paused_alone_and_many_pause_all() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        let seconds = Duration::from_secs;
        pauses.add(1, seconds(7), now);
        assert_eq!(pauses.of(1, now), Some(seconds(7)));
        assert_eq!(pauses.of(2, now), None);
        assert_eq!(pauses.of(1, now + seconds(7)), None);
        for chat in 1..=5_i64 {
            pauses.add(chat, seconds(chat.unsigned_abs()), now);
        }
        assert_eq!(pauses.of(9, now), Some(seconds(1)));
        assert_eq!(pauses.of(3, now), Some(seconds(3)));
        assert_eq!(pauses.of(9, now + seconds(1)), None, "one chat is not paused any more");
        pauses.add(1, Duration::MAX, now);
        assert!(pauses.of(1, now).is_some());
    }
}
