//! Calls that share tenant, urgency and deadline, and how each of them is sent, traced and observed.

use std::time::Duration;

use arrakis_contracts::proxy::{self, Urgency};
use arrakis_discord_http::{Decision, Ending, Failure, decide};
use arrakis_fail_point as fail_point;
use arrakis_telemetry::export;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, field, info_span};
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use crate::client::{Discord, FinishedCall};
use crate::error::Error;
use crate::request::Request;
use crate::response::ProxyResponse;

/// Pauses before a call whose response cannot be read is repeated.
const UNREADABLE_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Calls for one tenant with one urgency. Created by [`Discord::interactive`], [`Discord::sync`] and [`Discord::bulk`].
#[derive(Debug, Clone)]
pub struct Calls {
    pub(crate) discord: Discord,
    guild: Option<Id<GuildMarker>>,
    urgency: Urgency,
    deadline: Duration,
    attempt_timeout: Option<Duration>,
    traceparent: Option<HeaderValue>,
}

impl Discord {
    /// Calls while a member waits: within 10 s.
    pub fn interactive(&self, guild: Option<Id<GuildMarker>>) -> Calls {
        Calls::new(self.clone(), guild, Urgency::Interactive, Duration::from_secs(10))
    }

    /// Calls about a member's roles: within 35 s, of which the proxy may wait 30 s for a limit.
    pub fn sync(&self, guild: Id<GuildMarker>) -> Calls {
        Calls::new(self.clone(), Some(guild), Urgency::Sync, Duration::from_secs(35))
    }

    /// Calls for bulk work: within 35 s.
    pub fn bulk(&self, guild: Option<Id<GuildMarker>>) -> Calls {
        Calls::new(self.clone(), guild, Urgency::Bulk, Duration::from_secs(35))
    }
}

impl Calls {
    fn new(discord: Discord, guild: Option<Id<GuildMarker>>, urgency: Urgency, deadline: Duration) -> Self {
        Self {
            discord,
            guild,
            urgency,
            deadline,
            attempt_timeout: None,
            traceparent: None,
        }
    }

    /// Sets how long one call may take, with its attempts at several replicas.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how long one attempt of a call that may be repeated may take, so that a replica that hangs leaves time for another.
    #[must_use]
    pub(crate) fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Sets the W3C trace context that is sent with the calls; text that a header cannot carry is ignored.
    #[must_use]
    pub fn traced(mut self, traceparent: &str) -> Self {
        self.traceparent = HeaderValue::from_str(traceparent).ok();
        self
    }

    pub(crate) fn builder(&self) -> &twilight_http::Client {
        &self.discord.inner.builder
    }

    /// Sends a call and reads the body of its response.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let until = Instant::now() + self.deadline;
        let (route, class) = (request.endpoint.route(), request.endpoint.class());
        let mut pauses = UNREADABLE_PAUSES.into_iter();
        loop {
            let body = self.spanned(&request, until).await?;
            let error = match serde_json::from_slice(&body) {
                Ok(read) => return Ok(read),
                Err(error) => format!("{route}: {error}"),
            };
            let pause = pauses.next().filter(|pause| Instant::now() + *pause < until);
            match (decide(class, Failure::UnreadableResponse), pause) {
                (Decision::Repeat { .. }, Some(pause)) => sleep(pause).await,
                (Decision::End(Ending::OutcomeUnknown), _) => return Err(Error::OutcomeUnknown(error)),
                _ => return Err(Error::Unreadable(error)),
            }
        }
    }

    /// Sends a call and returns the body of its response unread.
    pub(crate) async fn send(&self, request: Request) -> Result<Bytes, Error> {
        self.spanned(&request, Instant::now() + self.deadline).await
    }

    async fn spanned(&self, request: &Request, until: Instant) -> Result<Bytes, Error> {
        let span = info_span!(
            "discord.call.send",
            route = request.endpoint.route(),
            class = request.endpoint.class().name(),
            urgency = self.urgency.name(),
            guild.id = self.guild.map(Id::get),
            trace_id = self.trace_id(),
            status = field::Empty,
            attempt = field::Empty,
            proxy_attempts = field::Empty,
            outcome = field::Empty,
            duration_ms = field::Empty,
            otel.status_code = field::Empty,
        );
        self.finish(request, until).instrument(span).await
    }

    async fn finish(&self, request: &Request, until: Instant) -> Result<Bytes, Error> {
        let route = request.endpoint.route();
        // The clock is measured with the standard library's monotonic clock.
        let (began, sent_at) = (Instant::now(), std::time::Instant::now());
        let transport = &self.discord.inner.transport;
        let headers = self.headers(request);
        fail_point::hit_at("discord.calling", &[route]).await;
        let call = transport.send(request, &headers, until, self.attempt_timeout).await;
        fail_point::hit_at("discord.called", &[route]).await;
        self.measure_clock(call.response.as_ref(), sent_at);
        let finished = FinishedCall {
            route,
            outcome: call.result.as_ref().map_or_else(Error::class, |_| "ok"),
            status: call.response.as_ref().map(|response| response.0.status.as_u16()),
            attempts: call.attempts,
            duration: began.elapsed(),
            error: call.result.as_ref().err(),
        };
        self.report(
            &finished,
            call.response.as_ref().and_then(ProxyResponse::proxy_attempts),
        );
        call.result
    }

    fn measure_clock(&self, response: Option<&ProxyResponse>, sent_at: std::time::Instant) {
        let Some(date) = response.and_then(ProxyResponse::discord_date) else {
            return;
        };
        let clock = &self.discord.inner.clock;
        if let Some(correction_ms) = clock.observe(date, sent_at, std::time::Instant::now()) {
            tracing::warn!(
                correction_ms,
                "two responses agree that the offset of Discord's clock differs from what was measured before"
            );
        }
    }

    fn report(&self, finished: &FinishedCall<'_>, proxy_attempts: Option<u32>) {
        let span = tracing::Span::current();
        span.record("status", finished.status);
        span.record("attempt", finished.attempts);
        span.record("proxy_attempts", proxy_attempts);
        span.record("outcome", finished.outcome);
        if finished.error.is_some() {
            span.record("otel.status_code", "ERROR");
        }
        span.record(
            "duration_ms",
            u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
        );
        tracing::debug!(error = finished.error.map(field::display), "call finished");
        if let Some(observer) = &self.discord.inner.observer {
            observer(finished);
        }
    }

    /// The trace id, for the log: a log line has the fields of the innermost span alone.
    fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_ref()?.to_str().ok()?.split('-').nth(1)
    }

    fn headers(&self, request: &Request) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(header::AUTHORIZATION, self.discord.inner.authorization.clone());
        let urgency = HeaderValue::from_static(self.urgency.name());
        map.insert(HeaderName::from_static(proxy::URGENCY), urgency);
        let class = HeaderValue::from_static(request.endpoint.class().name());
        map.insert(HeaderName::from_static(proxy::CALL_CLASS), class);
        if let Some(guild) = self.guild {
            map.insert(HeaderName::from_static(proxy::TENANT), guild.get().into());
        }
        // While traces are exported, the call is a child of the current span and not of the one that the message came from.
        let current = export::current().and_then(|current| HeaderValue::from_str(&current.to_string()).ok());
        if let Some(traceparent) = current.or_else(|| self.traceparent.clone()) {
            map.insert(HeaderName::from_static("traceparent"), traceparent);
        }
        map
    }
}
