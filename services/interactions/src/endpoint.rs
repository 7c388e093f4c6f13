//! `POST /interactions`: checks a request of Discord, publishes its interaction, and responds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrakis_broker::{Message, PublishOutcome, Publisher};
use arrakis_contracts::interaction::{HTTP_SESSION, INTERACTION_CREATE, PING};
use arrakis_contracts::{InteractionFields, Labels};
use arrakis_telemetry::export::{self, RootSpan};
use arrakis_telemetry::trace::Traceparent;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout};

use crate::clock::{ClockEstimate, now_us};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::request::{BodyMemory, SignedRequest};
use crate::signature::PublicKey;

/// Path of the endpoint.
const PATH: &str = "/interactions";
/// Time from the head of a request to its response. Discord waits three seconds.
const RESPONSE_LIMIT: Duration = Duration::from_millis(2_500);
/// Time from the head to the end of the body, which leaves some for the broker.
const BODY_LIMIT: Duration = Duration::from_secs(2);

/// What the endpoint needs.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) key: PublicKey,
    pub(crate) publisher: Publisher,
    pub(crate) clock: ClockEstimate,
    pub(crate) metrics: Metrics,
    bodies: BodyMemory,
}

impl Endpoint {
    pub(crate) fn new(key: PublicKey, publisher: Publisher, clock: ClockEstimate, metrics: Metrics) -> Self {
        Self {
            key,
            publisher,
            clock,
            metrics,
            bodies: BodyMemory::new(),
        }
    }

    /// Checks a request and publishes its interaction.
    async fn handle(&self, headers: &HeaderMap, body: Body) -> Outcome {
        let began = Instant::now();
        let now = || now_us() / 1_000_000;
        let request = SignedRequest::read(headers, body, &self.key, &self.bodies, now);
        let request = match timeout(BODY_LIMIT, request).await {
            Ok(Ok(request)) => request,
            Ok(Err(outcome)) => return outcome,
            Err(_) => return Outcome::CutOff,
        };
        let fields = match InteractionFields::read(&request.body) {
            Ok(fields) => fields,
            Err(error) => {
                tracing::error!(%error, bytes = request.body.len(), "a request with a valid signature is no interaction");
                return Outcome::Malformed;
            }
        };
        if fields.kind == PING {
            tracing::info!("Discord has checked the endpoint by a PING");
            return Outcome::Ping;
        }
        let left = RESPONSE_LIMIT.saturating_sub(began.elapsed());
        self.publish(fields, request.body.clone(), left).await
    }

    /// Publishes an interaction. Without a confirmation Discord shows the member that the application did not respond; should the broker have the
    /// message nevertheless, a worker finds that the interaction is over.
    async fn publish(&self, fields: InteractionFields, body: Bytes, limit: Duration) -> Outcome {
        let started = Instant::now();
        let received_us = now_us();
        // The span ends with the confirmation.
        let span = export::root(
            "interactions.event.publish",
            || SystemTime::UNIX_EPOCH + Duration::from_micros(received_us),
            || [("event", INTERACTION_CREATE.to_owned())],
        );
        let traceparent = span.as_ref().map_or_else(Traceparent::new_root, RootSpan::traceparent);
        let message = self.message(fields, body, received_us, traceparent);
        match self.publisher.clone().with_limit(limit).publish(&message).await {
            Ok(PublishOutcome::Confirmed) => {
                self.metrics.confirm.observe(started.elapsed().as_secs_f64());
                Outcome::Published
            }
            Ok(PublishOutcome::Unroutable { reply }) => {
                tracing::error!(interaction.id = message.id, reply, "no queue takes an interaction");
                Outcome::Unavailable
            }
            Err(error) => {
                tracing::warn!(interaction.id = message.id, %error, "an interaction was not published");
                Outcome::Unavailable
            }
        }
    }

    /// The message of an interaction, with the labels that the ingestor writes. There is no gateway session: the sequence number is 0.
    fn message(&self, fields: InteractionFields, body: Bytes, received_us: u64, traceparent: Traceparent) -> Message {
        let labels = Labels {
            event_id: fields.event_id(),
            event: INTERACTION_CREATE.to_owned(),
            shard: 0,
            shards: 1,
            session: HTTP_SESSION.to_owned(),
            seq: 0,
            guild: fields.guild,
            received_us,
            clock_offset_ms: self.clock.observe(fields.id, received_us),
            traceparent: traceparent.to_string(),
        };
        let mut message = Message::of_event(&labels, fields.route, body);
        message.app_id = Some("arrakis-interactions".to_owned());
        message
    }
}

/// The routes of the service.
pub(crate) fn router(endpoint: Arc<Endpoint>) -> Router {
    Router::new().route(PATH, post(receive)).with_state(endpoint)
}

async fn receive(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Body) -> Outcome {
    let outcome = endpoint.handle(&headers, body).await;
    endpoint.metrics.count(outcome);
    outcome
}
