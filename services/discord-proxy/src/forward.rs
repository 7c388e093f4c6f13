//! A call's way to Discord and back: admitted, given a turn, sent, learned from, and repeated where the table allows it.
//!
//! What a failed attempt means is judged in `history.rs`. First responses to interactions take the way of `respond.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::ProxyError;
use arrakis_discord_http::CallClass;
use arrakis_runtime::fail_point;
use http::StatusCode;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use crate::admission::Admission;
use crate::budget::Budget;
use crate::call::Call;
use crate::history::{History, Next};
use crate::limits::headers::{self, Scope};
use crate::limits::{Fate, Limits, Pause, Slot};
use crate::metrics::Metrics;
use crate::pulse::Pulse;
use crate::refusal::Refusal;
use crate::route::Lane;
use crate::schedule::{NoTurn, Scheduler, Ticket, Want};
use crate::token::says_unauthorized;
use crate::upstream::{Answer, Sent, Upstream};

/// Everything on the way to Discord.
#[derive(Debug)]
pub(crate) struct Forwarder {
    /// Whether a call may go.
    pub admission: Admission,
    /// Turns under the bot's global limit.
    pub bot_turns: Scheduler,
    /// Turns of webhook tokens.
    pub webhook_turns: Scheduler,
    /// Limits.
    pub limits: Arc<Limits>,
    /// Invalid requests.
    pub budget: Arc<Budget>,
    /// Discord.
    pub upstream: Upstream,
    /// Whether Discord answers.
    pub pulse: Pulse,
    /// Counts.
    pub metrics: Metrics,
    /// Longest wait for one answer.
    pub attempt_timeout: Duration,
}

/// What became of a call, with how many times Discord was asked.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// Discord's answer.
    pub answer: Answer,
    /// Attempts.
    pub attempts: u32,
}

impl Forwarder {
    /// Brings a call to Discord and its answer back.
    ///
    /// # Errors
    /// Why the proxy answers by itself.
    pub(crate) async fn forward(self: &Arc<Self>, call: Arc<Call>) -> Result<Forwarded, Refusal> {
        if call.class == CallClass::TimeBound {
            return self.respond(call).await;
        }
        let mut history = History::new(&call);
        loop {
            let ticket = match self.turn(&call, history.attempts > 0).await {
                Ok(ticket) => ticket,
                Err(refusal) => return history.end(&call, refusal),
            };
            history.attempts += 1;
            let sent = self.attempt(&call, ticket, history.attempts).await;
            match history.judge(&call, sent) {
                Next::Tell(answer) => {
                    return Ok(Forwarded {
                        answer,
                        attempts: history.attempts,
                    });
                }
                Next::Refuse(refusal) => return Err(refusal),
                Next::Again { why, pause } => {
                    self.metrics.retried(why);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Sends a call of the proxy's own once. It waits for its turn, or goes at once where nothing else is sent.
    ///
    /// # Errors
    /// Why it was not sent.
    pub(crate) async fn once(self: &Arc<Self>, call: Arc<Call>, waits: bool) -> Result<Sent, Refusal> {
        let ticket = if waits {
            self.turn(&call, false).await?
        } else {
            if let Some(pause) = self.limits.edge_pause() {
                let words = "Discord's edge wants nothing from this address for a while";
                return Err(Refusal::new(ProxyError::WaitedTooLong, words).retry_after(pause));
            }
            None
        };
        Ok(self.attempt(&call, ticket, 1).await)
    }

    /// Sends a call of the proxy's own once and at once, whatever pause Discord asked for: it finds out whether the pause lasts.
    pub(crate) async fn probe(self: &Arc<Self>, call: Arc<Call>) -> Sent {
        self.attempt(&call, None, 1).await
    }

    /// Admits the call and waits for its turn. An interaction's callback needs none.
    async fn turn(&self, call: &Call, again: bool) -> Result<Option<Ticket>, Refusal> {
        let mut again = again;
        loop {
            self.admission.admit(call).await?;
            let turns = match call.route.lane {
                Lane::Callback => return Ok(None),
                Lane::Webhook => &self.webhook_turns,
                Lane::Bot => &self.bot_turns,
            };
            let want = Want {
                lane: call.lane.clone(),
                tenant: Arc::clone(&call.tenant),
                urgency: call.urgency,
                bot: call.route.lane.needs_token(),
                deadline: call.queue_deadline,
                again,
            };
            let ticket = turns.turn(want).await.map_err(|no_turn| refusal_for(&no_turn))?;
            // Much may have changed while it waited.
            self.admission.check(call)?;
            let Some(pause) = self.admission.edge_pause() else {
                return Ok(Some(ticket));
            };
            // Redis gave the turn before it was told of the pause.
            drop(ticket);
            tokio::time::sleep(pause).await;
            again = true;
        }
    }

    /// Sends the call once, and waits no longer than the caller does.
    async fn attempt(self: &Arc<Self>, call: &Arc<Call>, ticket: Option<Ticket>, attempt: u32) -> Sent {
        let task = self.begin(call, ticket, attempt);
        let ended = match call.deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), task).await {
                Ok(ended) => ended,
                Err(_) => return Sent::Lost("the caller's deadline passed before the answer came".to_owned()),
            },
            None => task.await,
        };
        ended.unwrap_or_else(|error| broken_off(&error))
    }

    /// Begins one attempt. It runs to its end even when the caller has left, so that limits learn of it.
    pub(crate) fn begin(self: &Arc<Self>, call: &Arc<Call>, ticket: Option<Ticket>, attempt: u32) -> JoinHandle<Sent> {
        let span = tracing::info_span!(
            "discord.call.send",
            route = call.route.template,
            class = call.class.name(),
            attempt,
            status = tracing::field::Empty,
            duration_ms = tracing::field::Empty
        );
        let (this, call) = (Arc::clone(self), Arc::clone(call));
        tokio::spawn(async move { this.send(&call, ticket).await }.instrument(span))
    }

    async fn send(&self, call: &Call, ticket: Option<Ticket>) -> Sent {
        let mut ticket = ticket;
        if let Some(ticket) = &mut ticket {
            ticket.sent();
        }
        let begun = Instant::now();
        self.metrics.in_flight.inc();
        let sent = self.upstream.send(call, self.attempt_timeout).await;
        self.metrics.in_flight.dec();
        let took = begun.elapsed();
        tracing::Span::current().record("duration_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.pulse.felt(&sent);
        match &sent {
            Sent::Answered(answer) => {
                tracing::Span::current().record("status", answer.status.as_u16());
                self.metrics.answered(call.route.class, answer.status, took);
                self.learn(call, answer, ticket).await;
            }
            Sent::Not(why) => {
                tracing::debug!(why, "not sent");
                self.metrics.unanswered(call.route.class);
                if let Some(ticket) = ticket {
                    ticket.settle(Fate::Unused).await;
                }
            }
            Sent::Lost(why) => {
                tracing::warn!(route = call.route.template, why, "no answer came");
                self.metrics.unanswered(call.route.class);
                if let Some(ticket) = ticket {
                    ticket.settle(Fate::Lost).await;
                }
            }
        }
        sent
    }

    /// Keeps what an answer tells, for this replica and the others.
    async fn learn(&self, call: &Call, answer: &Answer, ticket: Option<Ticket>) {
        let mut learned = headers::learn(answer.status, &answer.headers, &answer.body);
        if fail_point::skips("proxy.guard.pause") {
            learned.pause = None;
        }
        let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
        let scope = limited.then(|| headers::scope(&answer.headers, &answer.body));
        if let Some(scope) = scope {
            self.metrics.limited(scope);
            tracing::warn!(
                route = call.route.template,
                major = call.route.major,
                scope = scope.name(),
                "Discord answered 429"
            );
        }
        let invalid = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) || limited;
        if invalid && scope != Some(Scope::Shared) {
            self.budget.count(&call.cause);
        }
        let refused = call.route.lane.needs_token() && says_unauthorized(answer);
        if refused && !fail_point::skips("proxy.guard.token") {
            self.limits.suspect_token(&call.route.template);
        }
        match ticket {
            Some(ticket) => ticket.settle_behind(Fate::Answered(learned)),
            None if matches!(learned.pause, Some(Pause::Edge(_) | Pause::Global(_))) => {
                self.limits.complete(&no_slot(call), &Fate::Answered(learned)).await;
            }
            None => {}
        }
    }
}

/// A callback, or a call of the proxy's own, has no place to give back; only a pause of all calls is told.
fn no_slot(call: &Call) -> Slot {
    Slot {
        id: String::new(),
        route: Arc::clone(&call.lane.route),
        major: Arc::clone(&call.lane.major),
        bucket: String::new(),
        bot: false,
        own: false,
    }
}

fn refusal_for(no_turn: &NoTurn) -> Refusal {
    match *no_turn {
        NoTurn::TokenDead => Refusal::token_dead(),
        NoTurn::ShuttingDown => Refusal::new(
            ProxyError::ShuttingDown,
            "this proxy is leaving; Discord was not asked; ask another one",
        ),
        NoTurn::TooLong { retry_after, why } => Refusal::new(
            ProxyError::WaitedTooLong,
            format!("the call may not wait as long as it would have to for {why}; Discord was not asked"),
        )
        .retry_after(retry_after),
    }
}

/// An attempt whose task ended without a result may have been sent.
pub(crate) fn broken_off(error: &JoinError) -> Sent {
    Sent::Lost(format!("the attempt was broken off: {error}"))
}
