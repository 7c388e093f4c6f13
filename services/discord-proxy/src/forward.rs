//! The path of a call to Discord: admit, acquire a permit, send, update the limits, retry where the table allows it.
//!
//! `call_attempts.rs` decides what follows an attempt. First responses to interactions are sent by `first_response.rs`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::ProxyError;
use arrakis_discord_http::client::SendError;
use arrakis_discord_http::{CallClass, RateLimitScope, Response};
use arrakis_runtime::fail_point;
use http::StatusCode;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use crate::admission::Admission;
use crate::budget::Budget;
use crate::call::Call;
use crate::call_attempts::{CallAttempts, Forwarded, NextStep};
use crate::limits::{CallOutcome, Grant, Limits, Pause, RateLimitUpdate};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::resource_servers::Resource;
use crate::route::Lane;
use crate::schedule::{NoPermit, Permit, PermitRequest, Scheduler};
use crate::token::{BotToken, refuses_token};
use crate::upstream::{AttemptResult, Upstream};
use crate::upstream_health::UpstreamHealth;

/// Forwards calls to Discord.
#[derive(Debug)]
pub(crate) struct Forwarder {
    /// Checks before each attempt.
    pub admission: Admission,
    /// Permits under the bot's global limit.
    pub bot_scheduler: Scheduler,
    /// Permits of webhook tokens.
    pub webhook_scheduler: Scheduler,
    /// Rate limits.
    pub limits: Arc<Limits>,
    /// Invalid requests.
    pub budget: Arc<Budget>,
    /// The bot token.
    pub token: Arc<BotToken>,
    /// Discord.
    pub upstream: Upstream,
    /// Whether Discord responds.
    pub upstream_health: UpstreamHealth,
    /// Metrics.
    pub metrics: Metrics,
    /// Longest wait for the response to one attempt.
    pub attempt_timeout: Duration,
}

/// When a call of the proxy itself is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// With a permit, after a wait for the limits.
    Queued,
    /// At once, since no other call with the token is sent.
    Immediate,
}

impl Forwarder {
    /// Forwards a call and returns Discord's response.
    ///
    /// # Errors
    /// The proxy responds itself.
    pub(crate) async fn forward(self: &Arc<Self>, call: Arc<Call>) -> Result<Forwarded, Refusal> {
        if call.class == CallClass::TimeBound {
            return self.send_first_response(call).await;
        }
        if let Some(resource) = self.admission.unknown_resource(&call) {
            self.read_owner(resource, &call).await;
        }
        let mut attempts = CallAttempts::new(&call);
        loop {
            let permit = match self.acquire_permit(&call, attempts.count > 0).await {
                Ok(permit) => permit,
                Err(refusal) => return attempts.end_without_permit(&call, refusal),
            };
            attempts.count += 1;
            let result = self.attempt(&call, permit, attempts.count).await;
            match attempts.evaluate(&call, result) {
                NextStep::Return(response) => {
                    return Ok(Forwarded {
                        response,
                        attempts: attempts.count,
                    });
                }
                NextStep::Refuse(refusal) => return Err(refusal),
                NextStep::Retry { reason, pause } => {
                    self.metrics.retried(reason);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Reads to which server a channel or webhook belongs. Where that fails, the call is refused.
    async fn read_owner(self: &Arc<Self>, resource: Resource, call: &Call) {
        let Some(read) = Call::read_of(resource, call) else {
            return;
        };
        match self.send_once(Arc::new(read), Dispatch::Queued).await {
            Ok(Ok(response)) => self.admission.record_owner(resource, &response),
            Ok(Err(error)) => tracing::warn!(%resource, %error, "the server of the resource cannot be read"),
            Err(refusal) => {
                tracing::warn!(%resource, error = refusal.message, "the server of the resource cannot be read");
            }
        }
    }

    /// Sends a call of the proxy itself once.
    ///
    /// # Errors
    /// Why the call was not sent.
    pub(crate) async fn send_once(
        self: &Arc<Self>,
        call: Arc<Call>,
        dispatch: Dispatch,
    ) -> Result<AttemptResult, Refusal> {
        let permit = match dispatch {
            Dispatch::Queued => self.acquire_permit(&call, false).await?,
            Dispatch::Immediate => {
                if let Some(pause) = self.limits.edge_pause() {
                    return Err(Refusal::edge_pause(pause));
                }
                None
            }
        };
        Ok(self.attempt(&call, permit, 1).await)
    }

    /// Sends a call of the proxy itself once and at once, whatever pause is active: it checks whether the pause is over.
    pub(crate) async fn send_in_spite_of_pauses(self: &Arc<Self>, call: Arc<Call>) -> AttemptResult {
        self.attempt(&call, None, 1).await
    }

    /// Admits the call and waits for its permit. A first response needs none.
    async fn acquire_permit(&self, call: &Call, mut is_retry: bool) -> Result<Option<Permit>, Refusal> {
        loop {
            self.admission.admit(call).await?;
            let scheduler = match call.route.lane {
                Lane::Callback => return Ok(None),
                Lane::Webhook => &self.webhook_scheduler,
                Lane::Bot => &self.bot_scheduler,
            };
            let request = PermitRequest {
                route: call.route.route.clone(),
                tenant: Arc::clone(&call.tenant),
                urgency: call.urgency,
                bot: call.route.lane.needs_token(),
                deadline: call.queue_deadline,
                is_retry,
            };
            let permit = scheduler.acquire(request).await;
            let permit = permit.map_err(|error| refusal_for(&error))?;
            // The state may have changed during the wait.
            self.admission.check(call)?;
            let Some(pause) = self.admission.edge_pause() else {
                return Ok(Some(permit));
            };
            // Redis granted the call before it had the pause.
            drop(permit);
            tokio::time::sleep(pause).await;
            is_retry = true;
        }
    }

    /// Makes one attempt, and waits for it no longer than the caller does.
    async fn attempt(self: &Arc<Self>, call: &Arc<Call>, permit: Option<Permit>, number: u32) -> AttemptResult {
        let task = self.begin_attempt(call, permit, number);
        let ended = match call.deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), task).await {
                Ok(ended) => ended,
                Err(_) => {
                    return Err(SendError::ResponseLost(
                        "no response before the caller's deadline".to_owned(),
                    ));
                }
            },
            None => task.await,
        };
        ended.unwrap_or_else(|error| aborted(&error))
    }

    /// Begins an attempt. It continues when the caller disconnects, so that the limits are updated by its response.
    pub(crate) fn begin_attempt(
        self: &Arc<Self>,
        call: &Arc<Call>,
        permit: Option<Permit>,
        number: u32,
    ) -> JoinHandle<AttemptResult> {
        let span = tracing::info_span!(
            "discord.call.send",
            route = &*call.route.route.template,
            class = call.class.name(),
            attempt = number,
            status = tracing::field::Empty,
            duration_ms = tracing::field::Empty,
            otel.status_code = tracing::field::Empty
        );
        let (this, call) = (Arc::clone(self), Arc::clone(call));
        tokio::spawn(async move { this.send(&call, permit).await }.instrument(span))
    }

    async fn send(&self, call: &Call, mut permit: Option<Permit>) -> AttemptResult {
        if let Err(refusal) = self.admission.check_switches(call) {
            if let Some(permit) = permit {
                permit.complete(CallOutcome::NotSent).await;
            }
            // The next attempt is refused with the reason.
            return Err(SendError::NotSent(refusal.message));
        }
        if let Some(permit) = &mut permit {
            permit.sent();
        }
        let began = Instant::now();
        self.metrics.in_flight.inc();
        let result = tokio::select! {
            // This one first: after a pause of the process nothing more of the request is sent.
            biased;
            () = self.admission.must_end(call) => {
                let reason = "the kill switch was turned on, or its state was not confirmed, while the attempt was in flight";
                Err(SendError::ResponseLost(reason.to_owned()))
            }
            result = self.upstream.send(call, self.attempt_timeout) => result,
        };
        self.metrics.in_flight.dec();
        let duration = began.elapsed();
        tracing::Span::current().record("duration_ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        self.upstream_health.record(&result);
        if !result.as_ref().is_ok_and(|response| response.status.as_u16() < 400) {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
        let outcome = match &result {
            Ok(response) => {
                tracing::Span::current().record("status", response.status.as_u16());
                self.metrics.response(call.route.class, response.status, duration);
                self.update_limits(call, response, permit).await;
                return result;
            }
            Err(SendError::NotSent(reason)) => {
                tracing::debug!(reason, "no connection to Discord: the attempt was not sent");
                CallOutcome::NotSent
            }
            Err(SendError::ResponseLost(reason)) => {
                tracing::warn!(route = &*call.route.route.template, reason, "no response from Discord");
                CallOutcome::ResponseLost
            }
        };
        self.metrics.no_response(call.route.class);
        if let Some(permit) = permit {
            permit.complete(outcome).await;
        }
        result
    }

    /// Updates limits, budget and token status by a response, for this replica and the others.
    async fn update_limits(&self, call: &Call, response: &Response, permit: Option<Permit>) {
        let (mut update, limited) = RateLimitUpdate::read(response);
        if fail_point::skips("proxy.guard.pause") {
            update.pause = None;
        }
        let scope = limited.map(|(scope, _)| scope);
        if let Some(scope) = scope {
            self.metrics.rate_limited(scope);
            tracing::warn!(
                route = &*call.route.route.template,
                major = &*call.route.route.major,
                scope = scope.name(),
                "Discord returned 429"
            );
        }
        let is_invalid = matches!(
            response.status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        );
        if is_invalid && scope != Some(RateLimitScope::Shared) {
            self.budget.count(&call.cause);
        }
        let is_suspected = call.route.lane.needs_token() && refuses_token(response);
        if is_suspected && !fail_point::skips("proxy.guard.token") {
            self.token.suspect(&call.route.route.template);
        }
        match permit {
            Some(permit) => permit.complete_in_background(CallOutcome::Response(update)),
            None if matches!(update.pause, Some(Pause::Edge(_) | Pause::Global(_))) => {
                let outcome = CallOutcome::Response(update);
                self.limits.complete(&no_grant(call), &outcome).await;
            }
            None => {}
        }
    }
}

/// Stands for the grant of a call that needs none, to record a pause of all calls.
fn no_grant(call: &Call) -> Grant {
    Grant {
        id: String::new(),
        route: call.route.route.clone(),
        bucket: String::new(),
        bot: false,
        reserved: false,
    }
}

fn refusal_for(error: &NoPermit) -> Refusal {
    match *error {
        NoPermit::TokenRefused => Refusal::token_refused(),
        NoPermit::ShuttingDown => Refusal::new(
            ProxyError::ShuttingDown,
            "this replica is shutting down; the call was not sent to Discord; use another replica",
        ),
        NoPermit::TooLong {
            retry_after,
            waited_for,
        } => Refusal::new(
            ProxyError::WaitedTooLong,
            format!("the wait for {waited_for} exceeds the call's deadline; the call was not sent to Discord"),
        )
        .retry_after(retry_after),
        NoPermit::QueueFull { retry_after } => Refusal::new(
            ProxyError::WaitedTooLong,
            "request queue is full: too many calls are waiting; the call was not sent to Discord",
        )
        .retry_after(retry_after),
    }
}

/// The result of an attempt whose task ended without one: the call may have been sent.
pub(crate) fn aborted(error: &JoinError) -> AttemptResult {
    Err(SendError::ResponseLost(format!("the attempt was aborted: {error}")))
}
