use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::{Emu, INTENTS, eventually};

/// What an endpoint does with interactions.
#[derive(Clone, Copy)]
struct Behavior {
    checks_signatures: bool,
    status: u16,
    body: &'static str,
}

const ACCEPTS: Behavior = Behavior {
    checks_signatures: true,
    status: 202,
    body: "",
};

/// An interactions endpoint that records the interactions that it receives.
#[derive(Clone)]
struct Endpoint {
    key: Vec<u8>,
    behavior: Behavior,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Endpoint {
    async fn start(emu: &Emu, behavior: Behavior) -> (Self, String) {
        let key = emu.get("interactions-endpoint").await["public_key"]
            .as_str()
            .unwrap()
            .to_owned();
        let bytes = (0..key.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap());
        let endpoint = Self {
            key: bytes.collect(),
            behavior,
            received: Arc::default(),
        };
        let router = Router::new()
            .route("/interactions", post(answer))
            .with_state(endpoint.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/interactions", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (endpoint, url)
    }

    fn received(&self) -> Vec<Value> {
        self.received.lock().unwrap().clone()
    }

    fn is_signed(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let text = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        let signature = text("x-signature-ed25519");
        let signature: Vec<u8> = (0..signature.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap())
            .collect();
        let signed = [text("x-signature-timestamp").as_bytes(), body].concat();
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(&signed, &signature)
            .is_ok()
    }
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, body: Bytes) -> Response {
    if endpoint.behavior.checks_signatures && !endpoint.is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let interaction: Value = serde_json::from_slice(&body).unwrap();
    let json = [(header::CONTENT_TYPE, "application/json")];
    if interaction["type"] == 1 {
        return (json, "{\"type\":1}").into_response();
    }
    endpoint.received.lock().unwrap().push(interaction);
    let status = StatusCode::from_u16(endpoint.behavior.status).unwrap();
    (status, json, endpoint.behavior.body).into_response()
}

#[tokio::test]
async fn interaction_is_delivered_to_the_endpoint_and_not_by_the_gateway() {
    let emu = Emu::with_commands().await;
    let (mut client, _) = emu.identified(INTENTS).await;
    let (endpoint, url) = Endpoint::start(&emu, ACCEPTS).await;
    let set = emu.post("interactions-endpoint", json!({"url": url})).await;
    assert_eq!(set["url"], url.as_str());
    let (_, application) = emu.rest(http::Method::GET, "/applications/@me", None).await;
    assert_eq!(
        (&application["interactions_endpoint_url"], &application["verify_key"]),
        (&json!(url), &set["public_key"])
    );
    let made = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    eventually("the delivery", async || !endpoint.received().is_empty()).await;
    let received = &endpoint.received()[0];
    assert_eq!(
        (&received["id"], &received["data"]["name"], &received["guild_id"]),
        (&json!(made.0), &json!("stats"), &json!("1200000000000000000"))
    );
    // The answer comes by the callback endpoint, as with the gateway.
    emu.respond(&made, json!({"type": 4, "data": {"content": "7"}})).await;
    assert_eq!(emu.record(&made.0).await["state"], "answered");
    assert!(
        !client
            .events_until_now()
            .await
            .contains(&"INTERACTION_CREATE".to_owned())
    );

    // Without the endpoint, interactions come by the gateway again.
    emu.post("interactions-endpoint", json!({"url": null})).await;
    emu.interact(json!({"kind": "command", "name": "stats"})).await;
    client.event("INTERACTION_CREATE").await;
    assert_eq!(endpoint.received().len(), 1);
}

#[tokio::test]
async fn first_response_in_the_body_has_the_rules_of_the_callback() {
    let emu = Emu::with_commands().await;
    let behavior = Behavior {
        status: 200,
        body: "{\"type\":4,\"data\":{\"content\":\"at once\",\"flags\":64}}",
        ..ACCEPTS
    };
    let (_endpoint, url) = Endpoint::start(&emu, behavior).await;
    emu.post("interactions-endpoint", json!({"url": url})).await;
    let (id, _) = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    let record = emu.record(&id).await;
    assert_eq!(
        (&record["state"], &record["message"]["content"], &record["ephemeral"]),
        (&json!("answered"), &json!("at once"), &json!(true))
    );
}

#[tokio::test]
async fn failed_delivery_leaves_the_interaction_to_expire() {
    let emu = Emu::with_commands().await;
    let (_endpoint, url) = Endpoint::start(&emu, Behavior { status: 503, ..ACCEPTS }).await;
    emu.post("interactions-endpoint", json!({"url": url})).await;
    let (id, _) = emu.interact(json!({"kind": "command", "name": "stats"})).await;
    eventually("the count of the delivery", async || {
        emu.get("stats").await["interaction_deliveries"]["503"] == 1
    })
    .await;
    emu.post("clock", json!({"advance_ms": 3_000})).await;
    assert_eq!(emu.record(&id).await["state"], "expired");
}

#[tokio::test]
async fn endpoint_that_does_not_check_signatures_is_refused() {
    let emu = Emu::with_commands().await;
    let behavior = Behavior {
        checks_signatures: false,
        ..ACCEPTS
    };
    let (endpoint, url) = Endpoint::start(&emu, behavior).await;
    let (status, error) = emu.refused("interactions-endpoint", json!({"url": url})).await;
    assert!(status == 409 && error.contains("invalid signature"), "{status} {error}");
    assert_eq!(emu.get("interactions-endpoint").await["url"], Value::Null);
    assert!(endpoint.received().is_empty());
}

#[tokio::test]
async fn address_without_an_endpoint_is_refused() {
    let emu = Emu::start().await;
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/interactions", listener.local_addr().unwrap())
    };
    for (url, words) in [
        (nobody.as_str(), "cannot be verified"),
        ("https://example.org/i", "is not http://"),
        ("soon", "relative URL"),
    ] {
        let (_, error) = emu.refused("interactions-endpoint", json!({"url": url})).await;
        assert!(error.contains(words), "{url}: {error}");
    }
}
