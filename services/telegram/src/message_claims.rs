//! What Redis stores: claims of messages that are sent once, and which message shows the result of a session.
//!
//! Telegram delivers an update again when it was not confirmed, and `sendMessage` has no key that makes its repetition harmless. So a
//! message is claimed immediately before it is sent: after a crash behind the claim it is not sent again. The time between claim and send
//! is that of one command of Redis; a crash within it costs the message, which the log of the next start cannot show.
//! Without Redis, this process remembers its own claims, and only a crash at that time doubles a message.

use std::collections::{HashSet, VecDeque};
use std::fmt::Display;

use arrakis_cache::{Cache, CacheKey, MarkerClaim, Ttl};
use parking_lot::Mutex;
use uuid::Uuid;

/// For how long Telegram delivers an update (<https://core.telegram.org/bots/api#getting-updates>): 24 hours.
const UPDATE: Ttl = Ttl::seconds(25 * 3600);
/// For how long a notice is shown: docs/telegram.md.
const NOTICE: Ttl = Ttl::seconds(30 * 24 * 3600);
/// For how long the message of a session is edited: its time, and a day in which the service may be down.
const MESSAGE: Ttl = Ttl::seconds(25 * 3600);
/// Time between two replies in one group.
const GROUP: Ttl = Ttl::seconds(60);
/// Claims of this process that are remembered.
const REMEMBERED: usize = 4096;

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
        let key = CacheKey::new("telegram-update", &[&update.to_string()]);
        self.cache.has_marker(&key).await
    }

    /// Claims the answer to an update. False when it was claimed before.
    pub(crate) async fn claim_answer(&self, update: i64) -> bool {
        self.claim("telegram-update", &update, UPDATE).await
    }

    /// Claims the message of a notice. False when it was claimed before.
    pub(crate) async fn claim_notice(&self, notice: Uuid) -> bool {
        self.claim("telegram-notice", &notice, NOTICE).await
    }

    /// Releases a claim, after a message that was certainly not sent.
    pub(crate) async fn release_notice(&self, notice: Uuid) {
        self.own.lock().claims.remove(&format!("telegram-notice:{notice}"));
        let key = CacheKey::new("telegram-notice", &[&notice.to_string()]);
        self.cache.clear_marker(&key).await;
    }

    /// Claims the reply in a group that opens the private chat: one a minute. False when it was claimed before, and without Redis.
    pub(crate) async fn claim_group(&self, chat: i64) -> bool {
        let key = CacheKey::new("telegram-group", &[&chat]);
        self.cache.claim_marker(&key, GROUP).await == MarkerClaim::Claimed
    }

    async fn claim(&self, kind: &str, id: &(dyn Display + Sync), ttl: Ttl) -> bool {
        if !self.own.lock().claim(format!("{kind}:{id}")) {
            return false;
        }
        let key = CacheKey::new(kind, &[&id.to_string()]);
        self.cache.claim_marker(&key, ttl).await != MarkerClaim::Taken
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
    }
}
