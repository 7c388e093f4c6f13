//! A set of calls that share tenant, urgency and deadline, and the one way in which each of them is sent.

use std::time::Duration;

use arrakis_contracts::proxy::{self, Urgency};
use arrakis_discord_http::{Decision, Ending, Failure, decide};
use arrakis_fail_point as fail_point;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, field, info_span};
use twilight_model::id::Id;
use twilight_model::id::marker::GuildMarker;

use crate::answer::Answer;
use crate::client::{Discord, Finished};
use crate::error::Error;
use crate::request::Request;

/// Pauses before a call whose answer could not be read is made again.
const UNREADABLE_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

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
        let until = Instant::now() + self.deadline;
        let (route, class) = (request.endpoint.route(), request.endpoint.class());
        let mut pauses = UNREADABLE_PAUSES.into_iter();
        loop {
            let body = self.spanned(&request, until).await?;
            let why = match serde_json::from_slice(&body) {
                Ok(read) => return Ok(read),
                Err(why) => format!("{route}: {why}"),
            };
            let pause = pauses.next().filter(|pause| Instant::now() + *pause < until);
            match (decide(class, Failure::UnreadableAnswer), pause) {
                (Decision::Repeat { .. }, Some(pause)) => sleep(pause).await,
                (Decision::End(Ending::OutcomeUnknown), _) => return Err(Error::OutcomeUnknown(why)),
                _ => return Err(Error::Unreadable(why)),
            }
        }
    }

    /// Sends a call; its answer's body is handed back unread.
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
            status = field::Empty,
            attempt = field::Empty,
            asked = field::Empty,
            outcome = field::Empty,
            duration_ms = field::Empty,
        );
        self.finish(request, until).instrument(span).await
    }

    async fn finish(&self, request: &Request, until: Instant) -> Result<Bytes, Error> {
        let route = request.endpoint.route();
        let began = Instant::now();
        let transport = &self.discord.inner.transport;
        let headers = self.headers(request);
        fail_point::hit_at("discord.calling", &[route]).await;
        let sent = transport.send(request, &headers, until, self.patience).await;
        fail_point::hit_at("discord.called", &[route]).await;
        if let Some(date) = sent.answer.as_ref().and_then(Answer::discords_date) {
            self.discord.inner.clock.observe(date, began, Instant::now());
        }
        let finished = Finished {
            route,
            outcome: sent.result.as_ref().map_or_else(Error::class, |_| "ok"),
            status: sent.answer.as_ref().map(|answer| answer.status.as_u16()),
            sent: sent.tries,
            took: began.elapsed(),
            error: sent.result.as_ref().err(),
        };
        self.tell(&finished, sent.answer.as_ref().and_then(Answer::asked));
        sent.result
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
        if let Some(traceparent) = &self.traceparent {
            map.insert(HeaderName::from_static("traceparent"), traceparent.clone());
        }
        map
    }
}
