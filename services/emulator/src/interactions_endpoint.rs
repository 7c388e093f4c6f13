//! Delivery of interactions by HTTP instead of the gateway, to the application's `interactions_endpoint_url`.
//! <https://discord.com/developers/docs/interactions/overview#preparing-for-interactions>
//!
//! Owns the signature of requests, the check by PING before an address is accepted, and what the response means: 202 announces a response at
//! the callback endpoint, a 200 has the first response in its body, and anything else is none. Only `http://` addresses can be called.

use std::{io, sync::Arc, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    AppState,
    model::Id,
    world::{HttpInteraction, State},
};

/// Time limit of a request. Discord waits three seconds.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// Largest response that is read, in bytes.
const MAX_RESPONSE: usize = 1 << 20;

/// Signs and sends requests of the application.
#[derive(Debug)]
pub struct InteractionsWebhook {
    key: Ed25519KeyPair,
    client: Client<HttpConnector, Body>,
}

/// A whole response.
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl InteractionsWebhook {
    /// The key follows from the application's id, so that it is the same in every run.
    ///
    /// # Errors
    /// The key cannot be made.
    pub(crate) fn new(application: Id) -> io::Result<Self> {
        let mut seed = [0x5a; 32];
        seed[..8].copy_from_slice(&application.0.to_be_bytes());
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self {
            key,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// The application's `verify_key`, hexadecimal.
    #[must_use]
    pub fn public_key(&self) -> String {
        hexadecimal(self.key.public_key().as_ref())
    }

    /// The signature of a request with this timestamp and body, hexadecimal.
    #[must_use]
    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let mut signed = timestamp.as_bytes().to_vec();
        signed.extend_from_slice(body);
        hexadecimal(self.key.sign(&signed).as_ref())
    }

    async fn post(&self, url: &Url, headers: &[(&str, &str)], body: Bytes) -> Result<Received, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "Discord-Interactions/1.0 (+https://discord.com)");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = to_bytes(Body::new(body), MAX_RESPONSE).await;
            Ok(Received {
                status: parts.status,
                headers: parts.headers,
                body: body.map_err(|error| error.to_string())?,
            })
        };
        let received = tokio::time::timeout(TIME_LIMIT, exchange).await;
        received.unwrap_or_else(|_| Err("no response within three seconds".to_owned()))
    }

    /// Sends a signed request.
    async fn post_signed(&self, url: &Url, now_ms: u64, body: Bytes) -> Result<Received, String> {
        let timestamp = (now_ms / 1_000).to_string();
        let signature = self.sign(&timestamp, &body);
        let headers = [
            ("x-signature-ed25519", signature.as_str()),
            ("x-signature-timestamp", timestamp.as_str()),
        ];
        self.post(url, &headers, body).await
    }

    /// Checks an address as Discord does before it accepts one: it must answer a PING, and refuse one with an invalid signature.
    ///
    /// # Errors
    /// What the address does wrong.
    pub(crate) async fn check(&self, app: &AppState, url: &Url) -> Result<(), String> {
        let ping = app.world.write(ping);
        let body = Bytes::from(ping.to_string());
        let now_ms = app.clock.now_ms();
        let answered = self.post_signed(url, now_ms, body.clone()).await?;
        let is_json = answered.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.to_str().unwrap_or_default();
            kind.starts_with("application/json")
        });
        let pong: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
        if answered.status != StatusCode::OK || pong["type"] != 1 || !is_json {
            return Err(format!(
                "a PING must be answered by 200 with the JSON {{\"type\":1}}; the response was {} with {}",
                answered.status,
                String::from_utf8_lossy(&answered.body)
            ));
        }
        let timestamp = (now_ms / 1_000).to_string();
        // The signature of another body.
        let signature = self.sign(&timestamp, b"{}");
        let headers = [
            ("x-signature-ed25519", signature.as_str()),
            ("x-signature-timestamp", timestamp.as_str()),
        ];
        let refused = self.post(url, &headers, body).await?;
        if refused.status != StatusCode::UNAUTHORIZED {
            return Err(format!(
                "a request with an invalid signature must be answered by 401; the response was {}",
                refused.status
            ));
        }
        Ok(())
    }
}

/// A PING of Discord.
fn ping(state: &mut State) -> Value {
    let id = state.next_id();
    json!({
        "id": id, "application_id": state.application.id, "type": 1, "token": format!("ping{id}"), "version": 1,
        "user": state.users.get(&state.bot_id), "entitlements": [], "authorizing_integration_owners": {},
    })
}

/// Delivers interactions until `stop` is cancelled. Each has a request of its own: a slow response does not delay others.
pub(crate) async fn deliver(app: AppState, mut queue: UnboundedReceiver<HttpInteraction>, stop: CancellationToken) {
    let session: Arc<str> = "http".into();
    let mut number = 0;
    loop {
        let next = tokio::select! {
            next = queue.recv() => next,
            () = stop.cancelled() => return,
        };
        let Some(interaction) = next else { return };
        number += 1;
        if let Some(mark) = interaction.mark {
            app.load.sent(&session, std::iter::once((mark, number)));
        }
        let (app, stop) = (app.clone(), stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let outcome = deliver_one(&app, &interaction).await;
            app.traffic.count(|stats| stats.delivered(&outcome));
        }));
    }
}

/// Delivers one interaction. Returns the status of the response, or `none`.
async fn deliver_one(app: &AppState, interaction: &HttpInteraction) -> String {
    let webhook = &app.interactions;
    let body = Bytes::copy_from_slice(interaction.body.as_bytes());
    let answered = match webhook.post_signed(&interaction.url, app.clock.now_ms(), body).await {
        Ok(answered) => answered,
        Err(error) => {
            tracing::info!(interaction = %interaction.id, error, "the interactions endpoint did not answer");
            return "none".to_owned();
        }
    };
    if answered.status == StatusCode::OK && !answered.body.is_empty() {
        respond(app, interaction, answered.body).await;
    }
    answered.status.as_u16().to_string()
}

/// A first response in the body of the bot's response has the rules of the callback endpoint, so it is sent there.
async fn respond(app: &AppState, interaction: &HttpInteraction, body: Bytes) {
    let rest = &app.addresses.rest;
    let callback = format!("{rest}/interactions/{}/{}/callback", interaction.id, interaction.token);
    let Ok(callback) = callback.parse::<Url>() else { return };
    match app.interactions.post(&callback, &[], body).await {
        Ok(answered) if answered.status.is_success() => {}
        Ok(answered) => tracing::info!(
            interaction = %interaction.id,
            status = %answered.status,
            body = %String::from_utf8_lossy(&answered.body),
            "the first response of the interactions endpoint was refused"
        ),
        Err(error) => tracing::warn!(interaction = %interaction.id, error, "a first response was lost"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
