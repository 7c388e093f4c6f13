//! The bot token: what it is, its fingerprint, and whether Discord has refused it.
//!
//! Once dead it stays dead in this process: a new token comes with a new process. Other replicas learn it through Redis
//! (`limits/shared.rs`), under the fingerprint, so that a new token starts clean.

use std::sync::atomic::{AtomicBool, Ordering};

use arrakis_config::Secret;
use arrakis_runtime::Component;
use http::HeaderValue;
use prometheus::IntGauge;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

/// The token of one bot.
#[derive(Debug)]
pub(crate) struct BotToken {
    authorization: HeaderValue,
    fingerprint: String,
    died: CancellationToken,
    told: AtomicBool,
    health: Component,
    metric: IntGauge,
}

impl BotToken {
    /// A token that is good until Discord says otherwise.
    ///
    /// # Errors
    /// It cannot stand in a header.
    pub(crate) fn new(
        token: &Secret,
        health: Component,
        metric: IntGauge,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut authorization = HeaderValue::try_from(format!("Bot {}", token.expose()))?;
        authorization.set_sensitive(true);
        health.up_with("not refused");
        Ok(Self {
            authorization,
            fingerprint: fingerprint(token.expose()),
            died: CancellationToken::new(),
            told: AtomicBool::new(false),
            health,
            metric,
        })
    }

    /// `Bot {token}`, marked sensitive.
    pub(crate) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// A few digits that tell tokens apart and give nothing away.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether Discord refused it.
    pub(crate) fn is_dead(&self) -> bool {
        self.died.is_cancelled()
    }

    /// Waits until Discord refuses it.
    pub(crate) async fn died(&self) {
        self.died.cancelled().await;
    }

    /// Discord answered 401 to a call that carried it, here or at another replica.
    pub(crate) fn mark_dead(&self, heard: &str) {
        if self.died.is_cancelled() {
            return;
        }
        self.died.cancel();
        self.metric.set(1);
        self.health.down(format!(
            "Discord refused the bot token (401, {heard}); nothing that needs it is sent; set a new DISCORD_TOKEN and restart"
        ));
        tracing::error!(
            fingerprint = self.fingerprint,
            "Discord refused the bot token ({heard})"
        );
    }

    /// Whether the other replicas still have to be told.
    pub(crate) fn must_tell(&self) -> bool {
        self.is_dead() && !self.told.load(Ordering::Acquire)
    }

    /// The other replicas can know.
    pub(crate) fn told(&self) {
        self.told.store(true, Ordering::Release);
    }
}

fn fingerprint(token: &str) -> String {
    Sha256::digest(token)[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use arrakis_runtime::{Health, Status};

    use super::*;

    #[test]
    fn a_dead_token_says_what_to_do_and_never_shows_itself() {
        let health = Health::default();
        let metric = IntGauge::new("dead", "dead").unwrap();
        let token = BotToken::new(&Secret::new("abc.def"), health.component("token"), metric.clone()).unwrap();
        assert_eq!((health.status(), metric.get()), (Status::Up, 0));
        token.mark_dead("here");
        assert_eq!((health.status(), metric.get()), (Status::Down, 1));
        assert!(
            health.troubles()[0].contains("DISCORD_TOKEN"),
            "{:?}",
            health.troubles()
        );
        assert!(!format!("{token:?}").contains("abc.def"));
    }

    #[test]
    fn fingerprints_tell_tokens_apart() {
        assert_ne!(fingerprint("a"), fingerprint("b"));
        assert_eq!(fingerprint("a").len(), 16);
    }
}
