//! Checks whether Discord accepts the bot token, by `GET /users/@me`, which every valid token may call.
//!
//! A check is made when a call was answered 401, when the interval of a refused token ends, when a replica starts with a refused
//! token, and by an operator's command. Only a 401 in Discord's error form to this call finds the token refused, and only a 2xx finds
//! it accepted; every other result changes nothing. A refused token costs a few invalid requests an hour, of all replicas together
//! while Redis is available.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::IntCounterVec;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, PROBE_PATH, PROBE_TIMEOUT};
use crate::config::TokenTuning;
use crate::forward::{Dispatch, Forwarder};
use crate::limits::HEARTBEAT;
use crate::token::{BotToken, now_ms, refuses_token};
use crate::token_marks::TokenMarks;

/// After a check by which Discord accepts the token, a 401 in this time starts no other check: the route is refused, not the token.
const ACCEPTED_TTL: Duration = Duration::from_secs(5);
/// Time after a check without a result before the next one.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Replicas that start with a refused token share one check in this time.
const START_INTERVAL: Duration = Duration::from_secs(30);

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckResult {
    /// 401, in Discord's error form.
    Refused,
    /// 2xx.
    Accepted,
    /// Anything else, with the reason.
    Unknown(String),
}

/// Checks of the token.
#[derive(Debug)]
pub(crate) struct TokenCheck {
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) token: Arc<BotToken>,
    pub(crate) marks: TokenMarks,
    pub(crate) replica: String,
    pub(crate) tuning: TokenTuning,
    /// `arrakis_proxy_token_checks_total`.
    pub(crate) checks: IntCounterVec,
    /// Serialises checks.
    pub(crate) checking: Mutex<()>,
}

impl TokenCheck {
    /// Checks a token that Redis has as refused before the first caller is served, so that a restart finds a token that Discord
    /// accepts again.
    pub(crate) async fn at_start(&self) {
        let claims = async || {
            self.marks
                .claim_check("check:start", &self.replica, START_INTERVAL)
                .await
        };
        if self.token.is_refused() && claims().await {
            self.check_refused().await;
        }
    }

    /// Checks a suspected token, and a refused one at intervals, until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut no_check_until = Instant::now();
        let mut interval = self.tuning.first_check;
        let mut next: Option<Instant> = None;
        while !stop.is_cancelled() {
            self.share().await;
            let is_refused = self.token.is_refused();
            if !is_refused {
                (interval, next) = (self.tuning.first_check, None);
            } else if next.is_none() {
                next = Some(self.schedule(interval));
            }
            tokio::select! {
                route = self.token.wait_until_suspected(), if !is_refused => {
                    if Instant::now() >= no_check_until {
                        no_check_until = Instant::now() + self.check_suspected(&route).await;
                    }
                }
                () = sleep_until(next), if next.is_some() => {
                    let claimed = self
                        .marks
                        .claim_check("check", &self.replica, interval.mul_f64(0.7))
                        .await;
                    if claimed && self.check_refused().await == CheckResult::Refused {
                        interval = (interval * 2).min(self.tuning.longest_interval);
                    }
                    next = None;
                }
                () = self.token.wait_until_refused(), if !is_refused => {}
                // Reacts to a token that is accepted again, and writes to a Redis that is available again.
                () = tokio::time::sleep(HEARTBEAT), if is_refused || self.token.to_clear().is_some() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Clears the refusal at every replica and checks the token, for an operator.
    pub(crate) async fn clear(&self) -> CheckResult {
        self.token.clear("an operator cleared the refusal");
        self.share().await;
        self.check(Dispatch::Queued).await
    }

    /// Whether Redis has the status of this replica.
    pub(crate) fn is_shared(&self) -> bool {
        self.token.to_clear().is_none() && self.token.unshared_refusal().is_none()
    }

    fn schedule(&self, interval: Duration) -> Instant {
        let wait = interval.mul_f64(rand::random_range(0.8..1.2));
        self.token
            .set_next_check(now_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        Instant::now() + wait
    }

    /// Checks a suspected token. Returns for how long further 401s start no check.
    async fn check_suspected(&self, route: &str) -> Duration {
        tracing::warn!(
            route,
            "Discord answered 401 to a call with the bot token; the token is checked with GET {PROBE_PATH}"
        );
        match self.check(Dispatch::Queued).await {
            CheckResult::Refused => Duration::ZERO,
            CheckResult::Accepted => {
                tracing::warn!(route, "Discord accepts the bot token: the 401 concerns this route only");
                ACCEPTED_TTL
            }
            CheckResult::Unknown(reason) => {
                tracing::warn!(
                    route,
                    reason,
                    "the check of the bot token has no result; the token stays in use"
                );
                RETRY_AFTER
            }
        }
    }

    /// Checks a refused token. The call needs no permit: no other call with the token is sent.
    async fn check_refused(&self) -> CheckResult {
        let result = self.check(Dispatch::Immediate).await;
        if let CheckResult::Unknown(reason) = &result {
            tracing::warn!(
                reason,
                "the check of the refused bot token has no result; it stays refused"
            );
        }
        result
    }

    async fn check(&self, dispatch: Dispatch) -> CheckResult {
        let _serialised = self.checking.lock().await;
        let result = match tokio::time::timeout(PROBE_TIMEOUT, self.probe(dispatch)).await {
            Ok(result) => result,
            Err(_) => CheckResult::Unknown(format!("no response within {} s", PROBE_TIMEOUT.as_secs())),
        };
        let name = match &result {
            CheckResult::Refused => "refused",
            CheckResult::Accepted => "accepted",
            CheckResult::Unknown(_) => "unknown",
        };
        self.checks.with_label_values(&[name]).inc();
        match result {
            CheckResult::Refused => {
                self.token.set_refused(&self.replica);
                self.share().await;
            }
            CheckResult::Accepted if self.token.is_refused() => {
                self.token.clear("Discord accepts it again");
                self.share().await;
            }
            _ => {}
        }
        result
    }

    async fn probe(&self, dispatch: Dispatch) -> CheckResult {
        let Some(call) = Call::probe() else {
            return CheckResult::Unknown("the call cannot be built".to_owned());
        };
        match self.forwarder.send_once(Arc::new(call), dispatch).await {
            Ok(Ok(response)) if refuses_token(&response) => CheckResult::Refused,
            Ok(Ok(response)) if response.status.is_success() => CheckResult::Accepted,
            Ok(Ok(response)) => CheckResult::Unknown(format!("GET {PROBE_PATH} was answered {}", response.status)),
            Ok(Err(error)) => CheckResult::Unknown(error.to_string()),
            Err(refusal) => CheckResult::Unknown(refusal.message),
        }
    }

    /// Writes to Redis what it does not have yet. A failed write is repeated with the next heartbeat.
    async fn share(&self) {
        if let Some(cleared_ms) = self.token.to_clear() {
            match self.marks.clear(cleared_ms).await {
                Ok(()) => self.token.cleared(cleared_ms),
                Err(error) => tracing::debug!(%error, "the record of the refused token is not removed from Redis yet"),
            }
        }
        if let Some(refusal) = self.token.unshared_refusal() {
            match self.marks.share(&refusal).await {
                Ok(()) => self.token.refusal_shared(),
                Err(error) => tracing::debug!(%error, "the refusal of the token is not written to Redis yet"),
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
