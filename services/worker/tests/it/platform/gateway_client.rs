//! A gateway client in place of the ingestor. It keeps the dispatches that it receives, so that a test decides which of them are
//! published, when, and how often.

use std::collections::VecDeque;
use std::sync::Arc;

use arrakis_contracts::routing::{InteractionKind, Route};
use arrakis_contracts::{EventId, Labels};
use arrakis_test_support::eventually;
use discord_emulator::Addresses;
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A dispatch of the gateway.
#[derive(Debug, Clone)]
pub struct Dispatch {
    pub event: String,
    pub seq: u64,
    pub body: Vec<u8>,
}

impl Dispatch {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn labels(&self) -> Labels {
        let body = self.json();
        let guild = body["guild_id"].as_str().and_then(|id| id.parse().ok());
        let mut labels = super::labels(&self.event, "", guild);
        labels.seq = self.seq;
        labels.event_id = match body["id"].as_str() {
            Some(id) if self.event == "INTERACTION_CREATE" => EventId::of_interaction(id.parse().unwrap()),
            _ => EventId::of_dispatch("test", self.seq),
        };
        labels
    }

    pub fn key(&self) -> String {
        if self.event != "INTERACTION_CREATE" {
            return Route::of_event(&self.event).unwrap().key;
        }
        let body = self.json();
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (name, custom_id) = (text("/data/name"), text("/data/custom_id"));
        let kind = match body["type"].as_u64().unwrap() {
            2 => InteractionKind::Command(&name),
            3 => InteractionKind::Component(&custom_id),
            4 => InteractionKind::Autocomplete(&name),
            5 => InteractionKind::Modal(&custom_id),
            other => InteractionKind::Other(other),
        };
        Route::of_interaction(kind).key
    }
}

/// A client that is connected to the emulator's gateway.
pub struct GatewayClient {
    received: Arc<Mutex<VecDeque<Dispatch>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for GatewayClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    op: u8,
    t: Option<String>,
    s: Option<u64>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

impl GatewayClient {
    pub async fn connect(addresses: &Addresses, token: &str) -> Self {
        let url = format!("{}/?v=10&encoding=json", addresses.gateway);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        // Guilds, members, messages.
        let intents = (1 << 0) | (1 << 1) | (1 << 9);
        let properties = json!({"os": "linux", "browser": "test", "device": "test"});
        let identify = json!({"op": 2, "d": {"token": token, "intents": intents, "properties": properties}});
        socket.send(Message::text(identify.to_string())).await.unwrap();
        let received = Arc::new(Mutex::new(VecDeque::new()));
        let sink = received.clone();
        let task = tokio::spawn(async move {
            // A test ends before the first heartbeat is due.
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else { continue };
                let frame: Frame<'_> = serde_json::from_str(&text).unwrap();
                if let (0, Some(event), Some(seq), Some(body)) = (frame.op, frame.t, frame.s, frame.d) {
                    sink.lock().push_back(Dispatch {
                        event,
                        seq,
                        body: body.get().as_bytes().to_vec(),
                    });
                }
            }
        });
        let client = Self { received, task };
        client.next("READY").await;
        client
    }

    /// Removes and returns the dispatch of this interaction.
    pub async fn interaction(&self, id: &str) -> Dispatch {
        let wanted = format!("\"id\":\"{id}\"");
        eventually(
            || async {
                let mut received = self.received.lock();
                let index = received.iter().position(|dispatch| {
                    let has_id = String::from_utf8_lossy(&dispatch.body).contains(&wanted);
                    has_id && dispatch.event == "INTERACTION_CREATE" && dispatch.json()["id"] == id
                })?;
                received.remove(index)
            },
            format!("the dispatch of interaction {id}"),
        )
        .await
    }

    /// Removes and returns the next dispatch of this event.
    pub async fn next(&self, event: &str) -> Dispatch {
        eventually(
            || async {
                let mut received = self.received.lock();
                let index = received.iter().position(|dispatch| dispatch.event == event)?;
                received.remove(index)
            },
            format!("a dispatch {event}"),
        )
        .await
    }
}
