//! The bot token: what it is, and whether Discord refuses it.
//!
//! A 401 makes the token suspect and no more: one route may refuse it, and what stands between Discord and us may answer 401
//! too. `token_check.rs` asks for a second opinion, and only that one marks the token dead. A dead token is checked again at
//! intervals; when Discord accepts it, it is alive again, here and, by way of Redis (`token_marks.rs`), at every replica.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrakis_config::Secret;
use arrakis_runtime::HealthComponent;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use prometheus::IntGauge;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};

use crate::upstream::Answer;

/// The token of one bot.
#[derive(Debug)]
pub(crate) struct BotToken {
    authorization: HeaderValue,
    fingerprint: String,
    operator: [u8; 32],
    state: Mutex<State>,
    dead: watch::Sender<bool>,
    suspected: Notify,
    /// Held while health is told, so that the newest state is told last. Never together with `state`: whoever reads health holds
    /// a lock of its own and asks for the state.
    telling: Mutex<()>,
    health: HealthComponent,
    metric: IntGauge,
}

#[derive(Debug, Default)]
struct State {
    death: Option<Death>,
    /// When this replica last changed its mind by itself: what Redis said before that is old.
    decided: Option<Instant>,
    /// Since when Redis is known to hold the death that is in force.
    shared: Option<Instant>,
    /// A mark in Redis that was confirmed no later than this is no longer true. Milliseconds since 1970.
    cleared_ms: u64,
    /// Redis has not been told of `cleared_ms` yet.
    must_clear: bool,
    /// The route whose 401 made the token suspect.
    suspect: Option<String>,
}

/// That Discord refuses the token, and who found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// When it was found, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it was last confirmed, in milliseconds since 1970.
    pub confirmed_ms: u64,
    /// The replica that found or confirmed it.
    pub by: String,
    /// When this replica checks it again.
    pub next_check_ms: Option<u64>,
}

impl BotToken {
    /// A token that is accepted until Discord says otherwise.
    ///
    /// # Errors
    /// It cannot stand in a header.
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
            operator: operator_hash(&operator_credential(token)),
            state: Mutex::default(),
            dead: watch::Sender::new(false),
            suspected: Notify::new(),
            telling: Mutex::default(),
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

    /// SHA-256 of the credential of [`operator_credential`].
    pub(crate) fn operator_hash(&self) -> &[u8; 32] {
        &self.operator
    }

    /// Whether Discord refuses it.
    pub(crate) fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Waits until Discord refuses it.
    pub(crate) async fn died(&self) {
        // The sender lives as long as `self`, so this ends only when the condition holds.
        let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
    }

    /// What is known of its death.
    pub(crate) fn death(&self) -> Option<Death> {
        self.state.lock().death.clone()
    }

    /// A call that carried it was answered 401: a second opinion is wanted.
    pub(crate) fn suspect(&self, route: &str) {
        if self.is_dead() {
            return;
        }
        self.state.lock().suspect = Some(route.to_owned());
        self.suspected.notify_one();
    }

    /// Waits until a second opinion is wanted, and answers the route whose 401 is the reason.
    pub(crate) async fn suspected(&self) -> String {
        loop {
            if let Some(route) = self.state.lock().suspect.take() {
                return route;
            }
            self.suspected.notified().await;
        }
    }

    /// A check of this replica found that Discord refuses it.
    pub(crate) fn refused(&self, by: &str) -> Death {
        let now = now_ms();
        let mut state = self.state.lock();
        let death = Death {
            since_ms: state.death.as_ref().map_or(now, |death| death.since_ms),
            confirmed_ms: now,
            by: by.to_owned(),
            next_check_ms: None,
        };
        state.decided = Some(Instant::now());
        state.shared = None;
        self.dies(state, death.clone());
        death
    }

    /// A check of this replica found that Discord accepts it, or an operator cleared the finding.
    pub(crate) fn clear(&self, why: &str) {
        let mut state = self.state.lock();
        let known = state.death.as_ref().map_or(0, |death| death.confirmed_ms);
        state.cleared_ms = now_ms().max(known);
        state.must_clear = true;
        state.decided = Some(Instant::now());
        self.revives(state, why);
    }

    /// What Redis holds, by an exchange that began at `asked`.
    pub(crate) fn heard(&self, mark: Option<Death>, asked: Instant) {
        let state = self.state.lock();
        if state.decided.is_some_and(|at| at > asked) {
            return;
        }
        match mark {
            Some(mark) if mark.confirmed_ms > state.cleared_ms => {
                let mut state = state;
                state.shared = Some(asked);
                let next_check_ms = state.death.as_ref().and_then(|death| death.next_check_ms);
                let known = Death { next_check_ms, ..mark };
                if state.death.as_ref() != Some(&known) {
                    self.dies(state, known);
                }
            }
            Some(_) => {}
            // Whatever made Redis forget it, a call that is answered 401 brings it back.
            None if state.death.is_some() && state.shared.is_some_and(|at| at < asked) => {
                self.revives(
                    state,
                    "another replica found that Discord accepts it, or an operator cleared it",
                );
            }
            None => {}
        }
    }

    /// Redis holds the death that is in force.
    pub(crate) fn death_shared(&self) {
        let mut state = self.state.lock();
        let now = Instant::now();
        state.shared = Some(now);
        // Exchanges that began before Redis held it say nothing.
        state.decided = Some(now);
    }

    /// The death that Redis does not hold yet.
    pub(crate) fn unshared(&self) -> Option<Death> {
        let state = self.state.lock();
        state.death.clone().filter(|_| state.shared.is_none())
    }

    /// Marks in Redis that were confirmed no later than this are to be taken away.
    pub(crate) fn to_clear(&self) -> Option<u64> {
        let state = self.state.lock();
        state.must_clear.then_some(state.cleared_ms)
    }

    /// Redis holds no mark from before `cleared_ms` any more.
    pub(crate) fn cleared(&self, cleared_ms: u64) {
        let mut state = self.state.lock();
        if state.cleared_ms == cleared_ms {
            state.must_clear = false;
            state.decided = Some(Instant::now());
        }
    }

    /// When this replica checks a dead token again.
    pub(crate) fn next_check(&self, at_ms: u64) {
        if let Some(death) = &mut self.state.lock().death {
            death.next_check_ms = Some(at_ms);
        }
        self.tell_health();
    }

    fn tell_health(&self) {
        let _telling = self.telling.lock();
        match self.death() {
            Some(death) => self.health.down(advice(&death)),
            None => self.health.up_with("not refused"),
        }
    }

    fn dies(&self, mut state: parking_lot::MutexGuard<'_, State>, death: Death) {
        let new = state.death.is_none();
        let words = advice(&death);
        state.death = Some(death);
        state.suspect = None;
        drop(state);
        self.metric.set(1);
        if new {
            tracing::error!(fingerprint = self.fingerprint, "{words}");
        }
        self.tell_health();
        self.dead.send_replace(true);
    }

    fn revives(&self, mut state: parking_lot::MutexGuard<'_, State>, why: &str) {
        let was_dead = state.death.take().is_some();
        state.shared = None;
        state.suspect = None;
        drop(state);
        self.dead.send_replace(false);
        self.metric.set(0);
        if was_dead {
            tracing::warn!(fingerprint = self.fingerprint, why, "the bot token is used again");
        }
        self.tell_health();
    }
}

/// What an operator reads in `/health`.
fn advice(death: &Death) -> String {
    let next = death
        .next_check_ms
        .map_or_else(String::new, |at| format!(" next check at {};", rfc3339(at)));
    format!(
        "Discord refuses the bot token (401, and 401 again to GET /users/@me) since {}, found by replica {}; calls that need it \
         are answered 503; last confirmed at {};{next} a token that Discord accepts again is used after that check, or at once \
         with `arrakis-discord-proxy token clear`; for a new token set DISCORD_TOKEN and restart each replica",
        rfc3339(death.since_ms),
        death.by,
        rfc3339(death.confirmed_ms),
    )
}

/// A moment as people read it.
pub(crate) fn rfc3339(ms: u64) -> String {
    let nanos = i128::from(ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{ms} ms after 1970"))
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether an answer says that Discord does not know the bot token: 401 in the form of Discord's own errors, with code 0
/// ("401: Unauthorized") or 40001 (<https://discord.com/developers/docs/topics/opcodes-and-status-codes>). An answer in another
/// form comes from something between Discord and us; 50027 speaks of a webhook's token.
pub(crate) fn says_unauthorized(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct DiscordError {
        code: i64,
        #[serde(rename = "message")]
        _message: String,
    }
    answer.status == StatusCode::UNAUTHORIZED
        && serde_json::from_slice::<DiscordError>(&answer.body).is_ok_and(|error| matches!(error.code, 0 | 40_001))
}

/// The credential of an operator's commands: whoever holds the bot token can make it, and nobody else.
pub(crate) fn operator_credential(token: &Secret) -> Secret {
    Secret::new(hex(&Sha256::digest(format!(
        "arrakis-discord-proxy operator\0{}",
        token.expose()
    ))))
}

/// What is compared in place of a credential.
pub(crate) fn operator_hash(credential: &Secret) -> [u8; 32] {
    Sha256::digest(credential.expose()).into()
}

fn fingerprint(token: &str) -> String {
    hex(&Sha256::digest(token)[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

    fn mark(confirmed_ms: u64) -> Death {
        Death {
            since_ms: 1,
            confirmed_ms,
            by: "other".to_owned(),
            next_check_ms: None,
        }
    }

    #[test]
    fn health_says_since_when_who_found_it_when_it_is_checked_and_what_to_do() {
        let health = Health::default();
        let token = token(&health);
        assert_eq!((health.status(), token.is_dead()), (HealthStatus::Up, false));
        token.suspect("GET /guilds/{guild}");
        assert_eq!((health.status(), token.is_dead()), (HealthStatus::Up, false));
        token.refused("0123");
        token.next_check(1_800_000_000_000);
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
    fn a_death_that_redis_no_longer_holds_is_over() {
        let token = token(&Health::default());
        token.heard(Some(mark(5)), Instant::now());
        assert!(token.is_dead());
        token.heard(None, Instant::now());
        assert!(!token.is_dead());
    }

    #[test]
    fn a_death_that_redis_never_held_stays() {
        let token = token(&Health::default());
        token.refused("here");
        token.heard(None, Instant::now());
        assert!(token.is_dead() && token.unshared().is_some());
        let before = Instant::now();
        token.death_shared();
        token.heard(None, before);
        assert!(token.is_dead(), "an exchange from before it was shared");
        token.heard(None, Instant::now());
        assert!(!token.is_dead());
    }

    #[test]
    fn an_old_mark_does_not_undo_a_clearing() {
        let token = token(&Health::default());
        token.heard(Some(mark(5)), Instant::now());
        token.clear("cleared by an operator");
        token.heard(Some(mark(5)), Instant::now());
        assert!(!token.is_dead());
        let at = token.to_clear().unwrap();
        token.cleared(at);
        assert_eq!(token.to_clear(), None);
        token.heard(Some(mark(at + 1)), Instant::now());
        assert!(token.is_dead(), "a later confirmation counts");
    }

    #[test]
    fn only_discords_own_401_counts() {
        let answer = |status: u16, body: &str| Answer {
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
            assert_eq!(says_unauthorized(&answer(status, body)), counts, "{status} {body}");
        }
    }

    #[test]
    fn fingerprints_and_operators_credentials_tell_tokens_apart() {
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
