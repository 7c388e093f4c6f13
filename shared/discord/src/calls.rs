//! A set of calls that share tenant, urgency and deadline, and the one way in which each of them is sent.

use std::time::Duration;

use arrakis_contracts::proxy::{self, Urgency};
use arrakis_fail_point as fail_point;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{Instrument, field, info_span};
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use crate::client::{Discord, Finished};
use crate::clock::now_ms;
use crate::error::Error;
use crate::request::Request;

/// Calls for one tenant at one urgency. Made by [`Discord::interactive`], [`Discord::sync`] and [`Discord::bulk`].
#[derive(Debug, Clone)]
pub struct Calls {
    pub(crate) discord: Discord,
    guild: Option<Id<GuildMarker>>,
    urgency: Urgency,
    deadline: Duration,
    patience: Option<Duration>,
    traceparent: Option<HeaderValue>,
}

impl Calls {
    pub(crate) fn new(discord: Discord, guild: Option<Id<GuildMarker>>, urgency: Urgency, deadline: Duration) -> Self {
        Self {
            discord,
            guild,
            urgency,
            deadline,
            patience: None,
            traceparent: None,
        }
    }

    /// How long one call may take in all, its tries at several replicas included.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long one replica may take over a call that may harmlessly go to another; for calls that never wait for a limit.
    #[must_use]
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// W3C trace context that travels with the calls; text that is none is left out.
    #[must_use]
    pub fn traced(mut self, traceparent: &str) -> Self {
        self.traceparent = HeaderValue::from_str(traceparent).ok();
        self
    }

    pub(crate) fn build(&self) -> &twilight_http::Client {
        &self.discord.inner.build
    }

    /// Sends a call whose answer has a body that we read.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let route = request.route;
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|why| Error::Unreadable(format!("{route}: {why}")))
    }

    /// Sends a call; its answer's body is handed back unread.
    pub(crate) async fn send(&self, request: Request) -> Result<Bytes, Error> {
        let span = info_span!(
            "discord.call.send",
            route = request.route,
            urgency = self.urgency.name(),
            guild.id = self.guild.map(Id::get),
            status = field::Empty,
            attempt = field::Empty,
            asked = field::Empty,
            outcome = field::Empty,
            duration_ms = field::Empty,
        );
        self.finish(request).instrument(span).await
    }

    async fn finish(&self, request: Request) -> Result<Bytes, Error> {
        let began = Instant::now();
        let sent_ms = now_ms();
        let transport = &self.discord.inner.transport;
        let headers = self.headers();
        fail_point::hit_at("worker.calling", &[request.route]).await;
        let (answer, sent) = transport
            .send(&request, &headers, began + self.deadline, self.patience)
            .await;
        fail_point::hit_at("worker.called", &[request.route]).await;
        if let Ok(answer) = &answer
            && let Some(date) = answer.discords_date()
        {
            self.discord.inner.clock.observe(date, sent_ms, now_ms());
        }
        let status = answer.as_ref().ok().map(|answer| answer.status.as_u16());
        let asked = answer.as_ref().ok().and_then(crate::answer::Answer::asked);
        let result = answer.and_then(crate::answer::Answer::into_result);
        let finished = Finished {
            route: request.route,
            outcome: result.as_ref().map_or_else(Error::class, |_| "ok"),
            status,
            sent,
            took: began.elapsed(),
            error: result.as_ref().err(),
        };
        self.tell(&finished, asked);
        result
    }

    fn tell(&self, finished: &Finished<'_>, asked: Option<u32>) {
        let span = tracing::Span::current();
        span.record("status", finished.status);
        span.record("attempt", finished.sent);
        span.record("asked", asked);
        span.record("outcome", finished.outcome);
        span.record(
            "duration_ms",
            u64::try_from(finished.took.as_millis()).unwrap_or(u64::MAX),
        );
        tracing::debug!(error = finished.error.map(field::display), "call finished");
        if let Some(observer) = &self.discord.inner.observer {
            observer(finished);
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(header::AUTHORIZATION, self.discord.inner.authorization.clone());
        let urgency = HeaderValue::from_static(self.urgency.name());
        map.insert(HeaderName::from_static(proxy::URGENCY), urgency);
        let deadline = u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX);
        map.insert(HeaderName::from_static(proxy::DEADLINE_MS), deadline.into());
        if let Some(guild) = self.guild {
            map.insert(HeaderName::from_static(proxy::TENANT), guild.get().into());
        }
        if let Some(traceparent) = &self.traceparent {
            map.insert(HeaderName::from_static("traceparent"), traceparent.clone());
        }
        map
    }
}
