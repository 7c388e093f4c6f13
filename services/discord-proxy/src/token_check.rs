//! Asks Discord whether it accepts the bot token: `GET /users/@me`, which every valid token may call.
//!
//! Three occasions: a call was answered 401 (the second opinion), a dead token's interval is over or a replica starts (a probe),
//! an operator wants to know. Only a 401 in Discord's own form to this very call marks the token dead, and only a 2xx makes a
//! dead one alive: whatever else comes, or nothing, changes nothing. A dead token costs a few invalid requests an hour, over all
//! replicas together where Redis is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use prometheus::IntCounterVec;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use arrakis_contracts::proxy::Urgency;
use bytes::Bytes;

use crate::call::{Call, Manner};
use crate::callers::Caller;
use crate::config::TokenTuning;
use crate::forward::Forwarder;
use crate::limits::HEARTBEAT;
use crate::route::{Route, segments};
use crate::token::{BotToken, now_ms, says_unauthorized};
use crate::token_marks::TokenMarks;
use crate::upstream::Sent;

/// The call that every valid token may make.
const PATH: &str = "/users/@me";
/// Longest time of one check, its turn included.
const LONGEST: Duration = Duration::from_secs(10);
/// A 401 so soon after Discord accepted the token is not asked about again: that route refuses, and not the token.
const TRUSTED: Duration = Duration::from_secs(5);
/// A check that came to no answer is repeated no sooner.
const NO_ANSWER: Duration = Duration::from_secs(1);
/// A replica that starts with a dead token checks it at once, but all starting replicas together no more often than this.
const STARTS: Duration = Duration::from_secs(30);

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 401, in Discord's form.
    Refused,
    /// 2xx.
    Accepted,
    /// Anything else, in words.
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
    pub(crate) checks: IntCounterVec,
    /// One check at a time.
    pub(crate) checking: Mutex<()>,
}

impl TokenCheck {
    /// Where Redis says that the token is dead, checks it before anybody is served, so that a restart finds a token that is
    /// accepted again.
    pub(crate) async fn at_start(&self) {
        if self.token.is_dead() && self.marks.may_check("check:start", &self.replica, STARTS).await {
            self.probe().await;
        }
    }

    /// Gives second opinions and probes a dead token, until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut quiet_until = Instant::now();
        let mut interval = self.tuning.first_check;
        let mut next: Option<Instant> = None;
        while !stop.is_cancelled() {
            self.share().await;
            let dead = self.token.is_dead();
            if !dead {
                (interval, next) = (self.tuning.first_check, None);
            } else if next.is_none() {
                next = Some(self.schedule(interval));
            }
            tokio::select! {
                route = self.token.suspected(), if !dead => {
                    if Instant::now() >= quiet_until {
                        quiet_until = Instant::now() + self.second_opinion(&route).await;
                    }
                }
                () = sleep_until(next), if next.is_some() => {
                    let mine = self.marks.may_check("check", &self.replica, interval.mul_f64(0.7)).await;
                    if mine && self.probe().await == Outcome::Refused {
                        interval = (interval * 2).min(self.tuning.longest_interval);
                    }
                    next = None;
                }
                () = self.token.died(), if !dead => {}
                // A token that is alive again is noticed, and Redis that was away is told.
                () = tokio::time::sleep(HEARTBEAT), if dead || self.token.to_clear().is_some() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// What an operator's command does: the finding is forgotten, everywhere, and Discord is asked at once.
    pub(crate) async fn clear(&self) -> Outcome {
        self.token.clear("an operator cleared the finding");
        self.share().await;
        self.check(Turn::Waits).await
    }

    /// Whether every replica can know what this one knows.
    pub(crate) fn is_shared(&self) -> bool {
        self.token.to_clear().is_none() && self.token.unshared().is_none()
    }

    fn schedule(&self, interval: Duration) -> Instant {
        let wait = interval.mul_f64(rand::random_range(0.8..1.2));
        self.token
            .next_check(now_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        Instant::now() + wait
    }

    /// Answers for how long further 401s need no second opinion.
    async fn second_opinion(&self, route: &str) -> Duration {
        tracing::warn!(
            route,
            "Discord answered 401 to a call with the bot token; asking GET {PATH} whether the token is valid"
        );
        match self.check(Turn::Waits).await {
            Outcome::Refused => Duration::ZERO,
            Outcome::Accepted => {
                tracing::warn!(route, "Discord accepts the bot token: the 401 is about this call alone");
                TRUSTED
            }
            Outcome::Unknown(why) => {
                tracing::warn!(
                    route,
                    why,
                    "whether Discord accepts the bot token is not known; it is used on"
                );
                NO_ANSWER
            }
        }
    }

    /// A check of a dead token. It waits for no turn: nothing else that needs the token is sent.
    async fn probe(&self) -> Outcome {
        let outcome = self.check(Turn::Now).await;
        if let Outcome::Unknown(why) = &outcome {
            tracing::warn!(why, "whether Discord accepts the bot token again is not known");
        }
        outcome
    }

    async fn check(&self, turn: Turn) -> Outcome {
        let _one = self.checking.lock().await;
        let outcome = match tokio::time::timeout(LONGEST, self.ask(turn)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown(format!("no answer within {} s", LONGEST.as_secs())),
        };
        let name = match &outcome {
            Outcome::Refused => "refused",
            Outcome::Accepted => "accepted",
            Outcome::Unknown(_) => "unknown",
        };
        self.checks.with_label_values(&[name]).inc();
        match outcome {
            Outcome::Refused => {
                self.token.refused(&self.replica);
                self.share().await;
            }
            Outcome::Accepted if self.token.is_dead() => {
                self.token.clear("Discord accepts it again");
                self.share().await;
            }
            _ => {}
        }
        outcome
    }

    async fn ask(&self, turn: Turn) -> Outcome {
        let Some(call) = own_call() else {
            return Outcome::Unknown("the call cannot be made".to_owned());
        };
        match self.forwarder.once(Arc::new(call), turn == Turn::Waits).await {
            Ok(Sent::Answered(answer)) if says_unauthorized(&answer) => Outcome::Refused,
            Ok(Sent::Answered(answer)) if answer.status.is_success() => Outcome::Accepted,
            Ok(Sent::Answered(answer)) => Outcome::Unknown(format!("GET {PATH} was answered {}", answer.status)),
            Ok(Sent::Not(why) | Sent::Lost(why)) => Outcome::Unknown(why),
            Err(refusal) => Outcome::Unknown(refusal.message),
        }
    }

    /// Tells Redis what it does not know yet. What fails is tried again with the next heartbeat.
    async fn share(&self) {
        if let Some(cleared_ms) = self.token.to_clear() {
            match self.marks.clear(cleared_ms).await {
                Ok(()) => self.token.cleared(cleared_ms),
                Err(trouble) => {
                    tracing::debug!(%trouble, "the other replicas do not know yet that the token is used again");
                }
            }
        }
        if let Some(death) = self.token.unshared() {
            match self.marks.share(&death).await {
                Ok(()) => self.token.death_shared(),
                Err(trouble) => tracing::debug!(%trouble, "the other replicas do not know yet that the token is dead"),
            }
        }
    }
}

/// A call of the proxy's own that every valid token may make.
pub(crate) fn own_call() -> Option<Call> {
    let path = format!("/api/v10{PATH}");
    let route = Route::of(&Method::GET, &segments(&path).ok()?);
    let manner = Manner {
        tenant: None,
        urgency: Some(Urgency::Interactive),
        deadline: Some(LONGEST),
        class: None,
    };
    Some(Call::new(
        Arc::new(Caller::of_the_proxy()),
        (Method::GET, PATH.to_owned()),
        route,
        (&HeaderMap::new(), Bytes::new()),
        manner,
        (Instant::now(), LONGEST),
    ))
}

/// Whether a check waits for its turn under the bot's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waits,
    Now,
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
