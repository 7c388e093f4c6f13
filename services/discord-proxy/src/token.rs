//! The bot token, and whether Discord refuses it.
//!
//! A 401 only makes the token suspected: one route may refuse it, or an intermediary may have returned the 401. `token_check.rs` then
//! checks the token, and only that check finds it refused. A refused token is checked again at intervals. When Discord accepts it, it
//! is used again, here and, through Redis (`token_marks.rs`), at every replica.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrakis_config::Secret;
use arrakis_discord_http::{ErrorBody, Response};
use arrakis_runtime::HealthComponent;
use http::{HeaderValue, StatusCode};
use parking_lot::{Mutex, MutexGuard};
use prometheus::IntGauge;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};

/// The bot token and its status.
#[derive(Debug)]
pub(crate) struct BotToken {
    authorization: HeaderValue,
    fingerprint: String,
    operator_hash: [u8; 32],
    state: Mutex<State>,
    is_refused: watch::Sender<bool>,
    suspected: Notify,
    /// Held while health is updated, so that the latest state is written last. Never held together with `state`: `/health` reads the
    /// state under a lock of its own.
    health_lock: Mutex<()>,
    health: HealthComponent,
    metric: IntGauge,
}

#[derive(Debug, Default)]
struct State {
    refusal: Option<TokenRefusal>,
    /// When this replica last changed the status itself: replies of Redis to earlier queries do not count.
    changed: Option<Instant>,
    /// Since when Redis has the refusal.
    shared: Option<Instant>,
    /// Marks in Redis that were confirmed no later than this do not count. Milliseconds since 1970.
    cleared_ms: u64,
    /// Whether `cleared_ms` is not in Redis yet.
    must_clear: bool,
    /// The route whose 401 made the token suspected.
    suspected_by: Option<String>,
}

/// Discord refuses the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRefusal {
    /// When it was found, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it was last confirmed, in milliseconds since 1970.
    pub confirmed_ms: u64,
    /// The replica that found or confirmed it.
    pub found_by: String,
    /// When this replica checks the token again, in milliseconds since 1970.
    pub next_check_ms: Option<u64>,
}

impl BotToken {
    /// A token that counts as accepted until a check finds it refused.
    ///
    /// # Errors
    /// A header cannot carry the token.
    pub(crate) fn new(
        token: &Secret,
        health: HealthComponent,
        metric: IntGauge,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut authorization = HeaderValue::try_from(format!("Bot {}", token.expose()))?;
        authorization.set_sensitive(true);
        health.up_with("not refused");
        Ok(Self {
            authorization,
            fingerprint: fingerprint(token.expose()),
            operator_hash: operator_hash(&operator_credential(token)),
            state: Mutex::default(),
            is_refused: watch::Sender::new(false),
            suspected: Notify::new(),
            health_lock: Mutex::default(),
            health,
            metric,
        })
    }

    /// `Bot {token}`, marked as sensitive.
    pub(crate) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    /// The first 16 digits of the token's SHA-256, which identify the token without revealing it.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// SHA-256 of [`operator_credential`].
    pub(crate) fn operator_hash(&self) -> &[u8; 32] {
        &self.operator_hash
    }

    /// Whether Discord refuses the token.
    pub(crate) fn is_refused(&self) -> bool {
        *self.is_refused.borrow()
    }

    /// Waits until Discord refuses the token.
    pub(crate) async fn wait_until_refused(&self) {
        // The sender lives as long as `self`, so this ends only when the condition holds.
        let _ = self.is_refused.subscribe().wait_for(|is_refused| *is_refused).await;
    }

    /// The refusal, if Discord refuses the token.
    pub(crate) fn refusal(&self) -> Option<TokenRefusal> {
        self.state.lock().refusal.clone()
    }

    /// Records that a call with the token was answered 401: a check is needed.
    pub(crate) fn suspect(&self, route: &str) {
        if self.is_refused() {
            return;
        }
        self.state.lock().suspected_by = Some(route.to_owned());
        self.suspected.notify_one();
    }

    /// Waits until the token is suspected, and returns the route whose 401 is the reason.
    pub(crate) async fn wait_until_suspected(&self) -> String {
        loop {
            if let Some(route) = self.state.lock().suspected_by.take() {
                return route;
            }
            self.suspected.notified().await;
        }
    }

    /// Records a check of the replica `found_by` by which Discord refuses the token.
    pub(crate) fn set_refused(&self, found_by: &str) {
        let now = now_ms();
        let mut state = self.state.lock();
        let refusal = TokenRefusal {
            since_ms: state.refusal.as_ref().map_or(now, |refusal| refusal.since_ms),
            confirmed_ms: now,
            found_by: found_by.to_owned(),
            next_check_ms: None,
        };
        state.changed = Some(Instant::now());
        state.shared = None;
        self.apply_refusal(state, refusal);
    }

    /// Records that Discord accepts the token by a check of this replica, or that an operator cleared the refusal.
    pub(crate) fn clear(&self, reason: &str) {
        let mut state = self.state.lock();
        let confirmed_ms = state.refusal.as_ref().map_or(0, |refusal| refusal.confirmed_ms);
        state.cleared_ms = now_ms().max(confirmed_ms);
        state.must_clear = true;
        state.changed = Some(Instant::now());
        self.apply_acceptance(state, reason);
    }

    /// Applies the mark in Redis, as read by a query that was sent at `sent`.
    pub(crate) fn apply_mark(&self, mark: Option<TokenRefusal>, sent: Instant) {
        let mut state = self.state.lock();
        if state.changed.is_some_and(|at| at > sent) {
            return;
        }
        match mark {
            Some(mark) if mark.confirmed_ms > state.cleared_ms => {
                state.shared = Some(sent);
                let next_check_ms = state.refusal.as_ref().and_then(|refusal| refusal.next_check_ms);
                let refusal = TokenRefusal { next_check_ms, ..mark };
                if state.refusal.as_ref() != Some(&refusal) {
                    self.apply_refusal(state, refusal);
                }
            }
            Some(_) => {}
            // Whatever removed the mark: if Discord still refuses the token, the next 401 restores it.
            None if state.refusal.is_some() && state.shared.is_some_and(|at| at < sent) => {
                self.apply_acceptance(
                    state,
                    "by a check of another replica Discord accepts it, or an operator cleared the refusal",
                );
            }
            None => {}
        }
    }

    /// Records that Redis has the refusal.
    pub(crate) fn refusal_shared(&self) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.shared = Some(now);
        // Replies to queries that were sent before do not count.
        state.changed = Some(now);
    }

    /// The refusal that Redis does not have yet.
    pub(crate) fn unshared_refusal(&self) -> Option<TokenRefusal> {
        let state = self.state.lock();
        state.refusal.clone().filter(|_| state.shared.is_none())
    }

    /// Marks in Redis that were confirmed no later than this are to be removed.
    pub(crate) fn to_clear(&self) -> Option<u64> {
        let state = self.state.lock();
        state.must_clear.then_some(state.cleared_ms)
    }

    /// Records that Redis has no mark from before `cleared_ms`.
    pub(crate) fn cleared(&self, cleared_ms: u64) {
        let mut state = self.state.lock();
        if state.cleared_ms == cleared_ms {
            state.must_clear = false;
            state.changed = Some(Instant::now());
        }
    }

    /// Sets when this replica checks a refused token again.
    pub(crate) fn set_next_check(&self, at_ms: u64) {
        if let Some(refusal) = &mut self.state.lock().refusal {
            refusal.next_check_ms = Some(at_ms);
        }
        self.update_health();
    }

    fn update_health(&self) {
        let _lock = self.health_lock.lock();
        match self.refusal() {
            Some(refusal) => self.health.down(advice(&refusal)),
            None => self.health.up_with("not refused"),
        }
    }

    fn apply_refusal(&self, mut state: MutexGuard<'_, State>, refusal: TokenRefusal) {
        let is_new = state.refusal.is_none();
        let text = advice(&refusal);
        state.refusal = Some(refusal);
        state.suspected_by = None;
        drop(state);
        self.metric.set(1);
        if is_new {
            tracing::error!(fingerprint = self.fingerprint, "{text}");
        }
        self.update_health();
        self.is_refused.send_replace(true);
    }

    fn apply_acceptance(&self, mut state: MutexGuard<'_, State>, reason: &str) {
        let was_refused = state.refusal.take().is_some();
        state.shared = None;
        state.suspected_by = None;
        drop(state);
        self.is_refused.send_replace(false);
        self.metric.set(0);
        if was_refused {
            tracing::warn!(fingerprint = self.fingerprint, reason, "the bot token is used again");
        }
        self.update_health();
    }
}

/// The text in `/health`.
fn advice(refusal: &TokenRefusal) -> String {
    let next = refusal
        .next_check_ms
        .map_or_else(String::new, |at| format!(" next check at {};", rfc3339(at)));
    format!(
        "Discord refuses the bot token (401, and 401 again to GET /users/@me) since {}, found by replica {}; calls that need it \
         are answered 503; last confirmed at {};{next} a token that Discord accepts again is used after that check, or at once \
         with `arrakis-discord-proxy token clear`; for a new token set DISCORD_TOKEN and restart each replica",
        rfc3339(refusal.since_ms),
        refusal.found_by,
        rfc3339(refusal.confirmed_ms),
    )
}

/// A time in milliseconds since 1970 as RFC 3339, in seconds.
pub(crate) fn rfc3339(ms: u64) -> String {
    let nanos = i128::from(ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{ms} ms after 1970"))
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether Discord refuses the bot token by this response: 401 in Discord's error form, with code 0 ("401: Unauthorized") or 40001
/// (<https://discord.com/developers/docs/topics/opcodes-and-status-codes>). A response in another form is an intermediary's; 50027
/// concerns a webhook's token.
pub(crate) fn refuses_token(response: &Response) -> bool {
    response.status == StatusCode::UNAUTHORIZED
        && matches!(ErrorBody::read(&response.body).discord_code(), Some(0 | 40_001))
}

/// The credential of an operator's commands. It is derived from the bot token, so that only its holders have it.
pub(crate) fn operator_credential(token: &Secret) -> Secret {
    Secret::new(hex::encode(Sha256::digest(format!(
        "arrakis-discord-proxy operator\0{}",
        token.expose()
    ))))
}

/// The hash that is compared instead of a credential.
pub(crate) fn operator_hash(credential: &Secret) -> [u8; 32] {
    Sha256::digest(credential.expose()).into()
}

fn fingerprint(token: &str) -> String {
    hex::encode(&Sha256::digest(token)[..8])
}

#[cfg(test)]
mod tests {
    use arrakis_runtime::{Health, HealthStatus};
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn token(health: &Health) -> BotToken {
        let metric = IntGauge::new("dead", "dead").unwrap();
        BotToken::new(&Secret::new("abc.def"), health.component("token"), metric).unwrap()
    }

    fn mark(confirmed_ms: u64) -> TokenRefusal {
        TokenRefusal {
            since_ms: 1,
            confirmed_ms,
            found_by: "other".to_owned(),
            next_check_ms: None,
        }
    }

    #[test]
    fn health_of_a_refused_token_has_its_history_and_advice() {
        let health = Health::default();
        let token = token(&health);
        assert_eq!((health.status(), token.is_refused()), (HealthStatus::Up, false));
        token.suspect("GET /guilds/{guild}");
        assert_eq!((health.status(), token.is_refused()), (HealthStatus::Up, false));
        token.set_refused("0123");
        token.set_next_check(1_800_000_000_000);
        assert_eq!((health.status(), token.metric.get()), (HealthStatus::Down, 1));
        let words = &health.unhealthy_components()[0];
        for word in [
            "since 20",
            "replica 0123",
            "2027-01-15T08:00:00Z",
            "DISCORD_TOKEN",
            "token clear",
        ] {
            assert!(words.contains(word), "{word} is missing in {words}");
        }
        assert!(!format!("{token:?}").contains("abc.def"));
        token.clear("accepted");
        assert_eq!((health.status(), token.metric.get()), (HealthStatus::Up, 0));
    }

    #[test]
    fn refusal_whose_mark_was_removed_ends() {
        let token = token(&Health::default());
        token.apply_mark(Some(mark(5)), Instant::now());
        assert!(token.is_refused());
        token.apply_mark(None, Instant::now());
        assert!(!token.is_refused());
    }

    #[test]
    fn refusal_that_was_never_shared_remains() {
        let token = token(&Health::default());
        token.set_refused("here");
        token.apply_mark(None, Instant::now());
        assert!(token.is_refused() && token.unshared_refusal().is_some());
        let before = Instant::now();
        token.refusal_shared();
        token.apply_mark(None, before);
        assert!(token.is_refused(), "the query was sent before the mark was written");
        token.apply_mark(None, Instant::now());
        assert!(!token.is_refused());
    }

    #[test]
    fn old_mark_does_not_revert_a_clearing() {
        let token = token(&Health::default());
        token.apply_mark(Some(mark(5)), Instant::now());
        token.clear("cleared by an operator");
        token.apply_mark(Some(mark(5)), Instant::now());
        assert!(!token.is_refused());
        let at = token.to_clear().unwrap();
        token.cleared(at);
        assert_eq!(token.to_clear(), None);
        token.apply_mark(Some(mark(at + 1)), Instant::now());
        assert!(token.is_refused(), "a later confirmation counts");
    }

    #[test]
    fn only_a_401_in_discords_error_form_counts() {
        let response = |status: u16, body: &str| Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        for (status, body, counts) in [
            (401, r#"{"message":"401: Unauthorized","code":0}"#, true),
            (
                401,
                r#"{"message":"Unauthorized. Provide a valid token and try again","code":40001}"#,
                true,
            ),
            (401, r#"{"message":"Invalid Webhook Token","code":50027}"#, false),
            (401, "<html>proxy authentication required</html>", false),
            (401, r#"{"error":"unauthorized"}"#, false),
            (401, r#"{"code":0}"#, false),
            (401, "", false),
            (403, r#"{"message":"Forbidden","code":0}"#, false),
            (407, r#"{"message":"401: Unauthorized","code":0}"#, false),
            (200, r#"{"message":"401: Unauthorized","code":0}"#, false),
        ] {
            assert_eq!(refuses_token(&response(status, body)), counts, "{status} {body}");
        }
    }

    #[test]
    fn fingerprints_and_operator_credentials_differ_between_tokens() {
        assert_ne!(fingerprint("a"), fingerprint("b"));
        assert_eq!(fingerprint("a").len(), 16);
        let (a, b) = (
            operator_credential(&Secret::new("a")),
            operator_credential(&Secret::new("b")),
        );
        assert_ne!(a.expose(), b.expose());
        assert_eq!(a.expose().len(), 64);
    }
}
