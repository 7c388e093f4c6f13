//! What Redis stores: claims of messages that are sent once, and which message shows the result of a session.
//!
//! Telegram delivers an update again when it was not confirmed, and `sendMessage` has no key that makes its repetition harmless. So a
//! message is claimed immediately before each attempt, and the claim is released after an attempt that certainly did not send it. A
//! claim that outlives its process means that the message may have been sent: the answer to a command is not sent again. A notice that
//! protects an account is sent again: each of its attempts has a claim of its own, and a mark shows that it was sent.
//! Without Redis, this process remembers its own claims, and only a crash at that time doubles a message.

use std::collections::{HashMap, VecDeque};

use arrakis_cache::{Cache, CacheKey, MarkerClaim, Ttl};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

/// For how long Telegram delivers an update (<https://core.telegram.org/bots/api#getting-updates>): 24 hours.
pub(crate) const UPDATE: Ttl = Ttl::seconds(25 * 3600);
/// For how long the handling of an update is claimed: longer than the attempts at the api (at most 36 s) and at Telegram (at most 25 s)
/// take together. After a SIGKILL, the update is handled again after this time.
const HANDLING: Ttl = Ttl::seconds(75);
/// For how long a notice is shown: docs/telegram.md.
const NOTICE: Ttl = Ttl::seconds(30 * 24 * 3600);
/// For how long the message of a session is edited: its time, and a day in which the service may be down.
const MESSAGE: Ttl = Ttl::seconds(25 * 3600);
/// Claims of this process that are remembered.
const REMEMBERED: usize = 4096;

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageClaim {
    /// The answer to the update with this id.
    Answer(i64),
    /// A notice, and which attempt with an unknown outcome this is: 1 for the first.
    Notice(Uuid, u8),
    /// The effect of the press of a button, by the id of its update.
    Effect(i64),
    /// The handling of a command by one process; released when it is handled.
    Handling(i64),
    /// The handling of a delivery to the webhook; released when it is handled.
    Delivery(i64),
}

impl MessageClaim {
    fn kind(self) -> &'static str {
        match self {
            Self::Answer(_) => "telegram-update",
            Self::Notice(..) => "telegram-notice",
            Self::Effect(_) => "telegram-press",
            Self::Handling(_) => "telegram-handling",
            Self::Delivery(_) => "telegram-delivery",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Answer(update) | Self::Effect(update) | Self::Handling(update) | Self::Delivery(update) => {
                update.to_string()
            }
            Self::Notice(notice, 1) => notice.to_string(),
            Self::Notice(notice, attempt) => format!("{notice}-{attempt}"),
        }
    }

    fn ttl(self) -> Ttl {
        match self {
            Self::Answer(_) | Self::Effect(_) => UPDATE,
            Self::Notice(..) => NOTICE,
            Self::Handling(_) | Self::Delivery(_) => HANDLING,
        }
    }

    /// Its name among the claims of this process.
    fn name(self) -> String {
        format!("{}:{}", self.kind(), self.id())
    }
}

/// A claim that this process holds. Without a release, it stays claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldClaim {
    claim: MessageClaim,
    /// When it was claimed, immediately before its marker was set.
    since: Instant,
}

/// The claims of messages, and the message of each session. In Redis; the claims also in memory, for the time without Redis.
#[derive(Debug)]
pub(crate) struct MessageClaims {
    cache: Cache,
    /// Id of the bot. Ids of updates and messages are those of one bot, and several bots may use one Redis.
    bot: String,
    own: Mutex<Own>,
}

/// The claims of this process.
#[derive(Debug, Default)]
struct Own {
    claims: Claims,
    /// Released claims whose markers were not cleared in Redis.
    uncleared: Claims,
}

/// The latest [`REMEMBERED`] claims, with the times at which they were claimed.
#[derive(Debug, Default)]
struct Claims {
    since: HashMap<String, Instant>,
    order: VecDeque<String>,
}

impl Claims {
    /// False when it was added before.
    fn add(&mut self, name: String, since: Instant) -> bool {
        if self.since.contains_key(&name) {
            return false;
        }
        self.since.insert(name.clone(), since);
        self.order.push_back(name);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.since.remove(&oldest);
        }
        true
    }

    fn remove(&mut self, name: &str) -> Option<Instant> {
        let since = self.since.remove(name)?;
        // Otherwise the place that it leaves would end a later claim of the same name too early.
        self.order.retain(|other| other != name);
        Some(since)
    }
}

impl MessageClaims {
    /// Claims of the bot with this id in this cache; no claim of this process yet.
    pub(crate) fn new(cache: Cache, bot: &str) -> Self {
        Self {
            cache,
            bot: bot.to_owned(),
            own: Mutex::default(),
        }
    }

    /// Whether an update was answered, or its answer was about to be sent.
    pub(crate) async fn is_answered(&self, update: i64) -> bool {
        let claim = MessageClaim::Answer(update);
        if self.own.lock().claims.since.contains_key(&claim.name()) {
            return true;
        }
        self.cache.has_marker(&self.key(claim)).await && !self.is_uncleared(claim)
    }

    /// Claims a message or an effect. `None` when it was claimed before.
    pub(crate) async fn claim(&self, claim: MessageClaim) -> Option<HeldClaim> {
        let (name, since) = (claim.name(), Instant::now());
        if !self.own.lock().claims.add(name.clone(), since) {
            return None;
        }
        let key = self.key(claim);
        if self.cache.claim_marker(&key, claim.ttl()).await == MarkerClaim::Taken {
            if !self.is_uncleared(claim) {
                // It is another process's, which may release it.
                self.own.lock().claims.remove(&name);
                return None;
            }
            // The marker of this process's earlier claim: from now on it is the one of this claim.
            self.cache.set_marker(&key, claim.ttl()).await;
        }
        self.own.lock().uncleared.remove(&name);
        Some(HeldClaim { claim, since })
    }

    /// Releases a claim, after an attempt that certainly changed nothing. When its time has ended, its marker in Redis may be that of
    /// another process, and stays.
    pub(crate) async fn release(&self, held: HeldClaim) {
        let (claim, name) = (held.claim, held.claim.name());
        let is_held = held.since.elapsed() < claim.ttl().length();
        let is_uncleared = is_held && !self.cache.clear_marker(&self.key(claim)).await;
        let mut own = self.own.lock();
        own.claims.remove(&name);
        if is_uncleared {
            own.uncleared.add(name, held.since);
        }
    }

    /// Whether the marker of a claim in Redis is that of a released claim of this process.
    fn is_uncleared(&self, claim: MessageClaim) -> bool {
        let own = self.own.lock();
        let since = own.uncleared.since.get(&claim.name());
        since.is_some_and(|since| since.elapsed() < claim.ttl().length())
    }

    /// Marks that a notice was sent, so that it is not sent again although its deletion fails.
    pub(crate) async fn set_sent(&self, notice: Uuid) {
        self.cache.set_marker(&self.sent_key(notice), NOTICE).await;
    }

    /// Whether a notice was certainly sent.
    pub(crate) async fn is_sent(&self, notice: Uuid) -> bool {
        self.cache.has_marker(&self.sent_key(notice)).await
    }

    /// Stores the id of the message with the link of a session, which is edited to show the result.
    pub(crate) async fn set_message(&self, session: Uuid, message: i64) {
        if !self.cache.store(&self.session_key(session), MESSAGE, &message).await {
            tracing::info!(session.id = %session, "Redis is unavailable: the session's result will be a new message, not an edit of the link");
        }
    }

    /// The id of the message with the link of a session; `None` when it is not stored, and without Redis.
    pub(crate) async fn message(&self, session: Uuid) -> Option<i64> {
        self.cache.stored(&self.session_key(session)).await
    }

    fn key(&self, claim: MessageClaim) -> CacheKey {
        CacheKey::new(claim.kind(), &[&self.bot, &claim.id()])
    }

    fn sent_key(&self, notice: Uuid) -> CacheKey {
        CacheKey::new("telegram-notice-sent", &[&self.bot, &notice])
    }

    fn session_key(&self, session: Uuid) -> CacheKey {
        CacheKey::new("telegram-message", &[&self.bot, &session])
    }
}

#[cfg(test)]
mod tests {
    use arrakis_cache::CacheOptions;
    use arrakis_config::Secret;

    use super::*;

    #[test]
    fn remembered_claims_are_bounded() {
        let (mut claims, now) = (Claims::default(), Instant::now());
        for number in 0..REMEMBERED + 10 {
            assert!(claims.add(number.to_string(), now));
        }
        assert!(!claims.add((REMEMBERED + 9).to_string(), now));
        assert_eq!(claims.since.len(), REMEMBERED);
        assert!(claims.add("0".to_owned(), now), "the oldest claims are forgotten");
        assert_eq!(claims.remove("0"), Some(now));
        assert!(claims.add("0".to_owned(), now), "a released claim is free");
        assert_eq!(claims.since.len(), claims.order.len());
    }

    #[tokio::test]
    async fn released_claim_whose_marker_was_not_cleared_is_that_of_this_process_until_it_expires() {
        let unreachable = Secret::new("redis://127.0.0.1:1".to_owned());
        let claims = MessageClaims::new(Cache::new(&unreachable, CacheOptions::default()).unwrap(), "123");
        let (answer, delivery) = (MessageClaim::Answer(1), MessageClaim::Delivery(2));
        let held = claims.claim(answer).await.unwrap();
        assert_eq!(claims.claim(answer).await, None);
        assert!(!claims.is_uncleared(answer) && claims.is_answered(1).await);
        claims.release(held).await;
        assert!(claims.is_uncleared(answer) && !claims.is_answered(1).await);
        assert!(claims.claim(answer).await.is_some());
        assert!(!claims.is_uncleared(answer), "it is claimed again");

        let mut held = claims.claim(delivery).await.unwrap();
        held.since = held.since.checked_sub(HANDLING.length()).unwrap();
        claims.release(held).await;
        assert!(!claims.is_uncleared(delivery), "its marker has expired");
        assert!(claims.claim(delivery).await.is_some());
    }
}
