//! What Redis stores: claims of messages that are sent once, and which message shows the result of a session.
//!
//! Telegram delivers an update again when it was not confirmed, and `sendMessage` has no key that makes its repetition harmless. So a
//! message is claimed immediately before each attempt, and the claim is released after an attempt that certainly did not send it. A
//! claim that outlives its process means that the message may have been sent: the answer to a command is not sent again. A notice that
//! protects an account is sent again: each of its attempts has a claim of its own, and a mark shows that it was sent.
//! Without Redis, this process remembers its own claims, and only a crash at that time doubles a message.

use std::collections::{HashSet, VecDeque};

use arrakis_cache::{Cache, CacheKey, MarkerClaim, Ttl};
use parking_lot::Mutex;
use uuid::Uuid;

/// For how long Telegram delivers an update (<https://core.telegram.org/bots/api#getting-updates>): 24 hours.
const UPDATE: Ttl = Ttl::seconds(25 * 3600);
/// For how long the handling of an update is claimed. After a SIGKILL, the update is handled again after this time.
const HANDLING: Ttl = Ttl::seconds(30);
/// For how long a notice is shown: docs/telegram.md.
const NOTICE: Ttl = Ttl::seconds(30 * 24 * 3600);
/// For how long the message of a session is edited: its time, and a day in which the service may be down.
const MESSAGE: Ttl = Ttl::seconds(25 * 3600);
/// Time between two replies in one group.
const GROUP: Ttl = Ttl::seconds(60);
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
    /// The handling of an update by one process; released when it is handled.
    Handling(i64),
}

impl MessageClaim {
    fn kind(self) -> &'static str {
        match self {
            Self::Answer(_) => "telegram-update",
            Self::Notice(..) => "telegram-notice",
            Self::Effect(_) => "telegram-press",
            Self::Handling(_) => "telegram-handling",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Answer(update) | Self::Effect(update) | Self::Handling(update) => update.to_string(),
            Self::Notice(notice, 1) => notice.to_string(),
            Self::Notice(notice, attempt) => format!("{notice}-{attempt}"),
        }
    }

    fn ttl(self) -> Ttl {
        match self {
            Self::Answer(_) | Self::Effect(_) => UPDATE,
            Self::Notice(..) => NOTICE,
            Self::Handling(_) => HANDLING,
        }
    }
}

/// The claims of messages, and the message of each session. In Redis; the claims also in memory, for the time without Redis.
#[derive(Debug)]
pub(crate) struct MessageClaims {
    cache: Cache,
    own: Mutex<Own>,
}

/// The claims of this process.
#[derive(Debug, Default)]
struct Own {
    claims: HashSet<String>,
    order: VecDeque<String>,
}

impl Own {
    /// False when it was claimed before.
    fn claim(&mut self, claim: String) -> bool {
        if !self.claims.insert(claim.clone()) {
            return false;
        }
        self.order.push_back(claim);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.claims.remove(&oldest);
        }
        true
    }

    fn release(&mut self, claim: &str) {
        if self.claims.remove(claim) {
            // Otherwise the place that it leaves would end a later claim of the same name too early.
            self.order.retain(|other| other != claim);
        }
    }
}

impl MessageClaims {
    /// Claims in this cache; no claim of this process yet.
    pub(crate) fn new(cache: Cache) -> Self {
        Self {
            cache,
            own: Mutex::default(),
        }
    }

    /// Whether an update was answered, or its answer was about to be sent.
    pub(crate) async fn is_answered(&self, update: i64) -> bool {
        let claim = MessageClaim::Answer(update);
        if self.own.lock().claims.contains(&format!("{}:{update}", claim.kind())) {
            return true;
        }
        let key = CacheKey::new(claim.kind(), &[&update]);
        self.cache.has_marker(&key).await
    }

    /// Claims a message or an effect. False when it was claimed before.
    pub(crate) async fn claim(&self, claim: MessageClaim) -> bool {
        let (kind, id) = (claim.kind(), claim.id());
        if !self.own.lock().claim(format!("{kind}:{id}")) {
            return false;
        }
        let key = CacheKey::new(kind, &[&id]);
        if self.cache.claim_marker(&key, claim.ttl()).await == MarkerClaim::Taken {
            // It is another process's, which may release it.
            self.own.lock().release(&format!("{kind}:{id}"));
            return false;
        }
        true
    }

    /// Releases a claim that this process holds, after an attempt that certainly changed nothing.
    pub(crate) async fn release(&self, claim: MessageClaim) {
        let (kind, id) = (claim.kind(), claim.id());
        self.own.lock().release(&format!("{kind}:{id}"));
        let key = CacheKey::new(kind, &[&id]);
        self.cache.clear_marker(&key).await;
    }

    /// Marks that a notice was sent, so that it is not sent again although its deletion fails.
    pub(crate) async fn set_sent(&self, notice: Uuid) {
        self.cache.set_marker(&sent_key(notice), NOTICE).await;
    }

    /// Whether a notice was certainly sent.
    pub(crate) async fn is_sent(&self, notice: Uuid) -> bool {
        self.cache.has_marker(&sent_key(notice)).await
    }

    /// Claims the reply in a group that opens the private chat: one a minute. False when it was claimed before, and without Redis.
    pub(crate) async fn claim_group(&self, chat: i64) -> bool {
        let key = CacheKey::new("telegram-group", &[&chat]);
        self.cache.claim_marker(&key, GROUP).await == MarkerClaim::Claimed
    }

    /// Stores the id of the message with the link of a session, which is edited to show the result.
    pub(crate) async fn set_message(&self, session: Uuid, message: i64) {
        if !self.cache.store(&session_key(session), MESSAGE, &message).await {
            tracing::info!(session.id = %session, "Redis is unavailable: the session's result will be a new message, not an edit of the link");
        }
    }

    /// The id of the message with the link of a session; `None` when it is not stored, and without Redis.
    pub(crate) async fn message(&self, session: Uuid) -> Option<i64> {
        self.cache.stored(&session_key(session)).await
    }
}

fn sent_key(notice: Uuid) -> CacheKey {
    CacheKey::new("telegram-notice-sent", &[&notice])
}

fn session_key(session: Uuid) -> CacheKey {
    CacheKey::new("telegram-message", &[&session])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_claims_are_bounded() {
        let mut own = Own::default();
        for number in 0..REMEMBERED + 10 {
            assert!(own.claim(number.to_string()));
        }
        assert!(!own.claim((REMEMBERED + 9).to_string()));
        assert_eq!(own.claims.len(), REMEMBERED);
        assert!(own.claim("0".to_owned()), "the oldest claims are forgotten");
        own.release("0");
        assert!(own.claim("0".to_owned()), "a released claim is free");
        assert_eq!(own.claims.len(), own.order.len());
    }
}
