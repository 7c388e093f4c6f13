//! The pauses that Telegram demands by 429. An answer does not state whether its limit is that of a chat or of the bot.
//!
//! A 429 pauses its chat. When several chats are paused and no message was sent since, the limit is that of the bot, and every chat is
//! paused. A message that is sent shows that the limits before it are those of chats.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Chats that are paused, without a message that was sent since, while the limit is that of the bot.
const CHATS_OF_A_GLOBAL_LIMIT: usize = 5;

/// Longest pause of a chat because of the pauses of others.
const MAX_GLOBAL_PAUSE: Duration = Duration::from_secs(2);

/// The pause of a chat.
#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Instant,
    end: Instant,
}

/// The pauses of chats.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    chats: HashMap<i64, Pause>,
    /// When the latest call that Telegram executed was started.
    executed: Option<Instant>,
}

impl Pauses {
    /// Records that Telegram demands a pause of this chat.
    pub(super) fn add(&mut self, chat: i64, pause: Duration, now: Instant) {
        self.chats.retain(|_, pause| pause.end > now);
        // A pause of centuries would be no valid time.
        let end = now + pause.min(Duration::from_secs(24 * 3600));
        self.chats.insert(chat, Pause { since: now, end });
    }

    /// Records that Telegram has executed a call that was started at this time: the pauses before it are those of their chats alone.
    pub(super) fn executed(&mut self, started: Instant) {
        self.executed = self.executed.max(Some(started));
    }

    /// For how long no message may be sent to this chat.
    pub(super) fn of(&mut self, chat: i64, now: Instant) -> Option<Duration> {
        self.chats.retain(|_, pause| pause.end > now);
        let own = self.chats.get(&chat).map(|pause| pause.end);
        own.max(self.global_end(now)).map(|end| end - now)
    }

    /// The end of the pause of all chats: the shortest pause, within bounds. After it, a call shows whether the limit still applies.
    fn global_end(&self, now: Instant) -> Option<Instant> {
        let since_executed = |pause: &&Pause| self.executed.is_none_or(|executed| pause.since > executed);
        let ends: Vec<Instant> = self
            .chats
            .values()
            .filter(since_executed)
            .map(|pause| pause.end)
            .collect();
        let shortest = ends.iter().min().filter(|_| ends.len() >= CHATS_OF_A_GLOBAL_LIMIT)?;
        Some((*shortest).min(now + MAX_GLOBAL_PAUSE))
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

    #[test]
    fn message_that_is_sent_ends_the_pause_of_all() {
        let (mut pauses, start) = (Pauses::default(), Instant::now());
        let (seconds, hour) = (Duration::from_secs, Duration::from_secs(3600));
        for chat in 1..=5 {
            pauses.add(chat, hour, start + seconds(1));
        }
        let now = start + seconds(2);
        pauses.executed(start);
        assert_eq!(
            pauses.of(9, now),
            Some(seconds(2)),
            "the call was started before the pauses"
        );
        pauses.executed(now);
        assert_eq!(pauses.of(9, now), None);
        assert_eq!(pauses.of(1, now), Some(hour - seconds(1)), "its own pause stays");
        pauses.executed(start);
        assert_eq!(pauses.of(9, now), None, "an older call that ends later changes nothing");
        for chat in 6..=9 {
            pauses.add(chat, hour, now + seconds(1));
        }
        assert_eq!(pauses.of(20, now + seconds(1)), None, "four since the last message");
        pauses.add(10, hour, now + seconds(1));
        assert_eq!(pauses.of(20, now + seconds(1)), Some(seconds(2)));
    }
}
