//! The emulator's control API, as tests play with it.

use discord_emulator::Addresses;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::Community;

#[derive(Clone)]
pub struct Control {
    http: Client,
    base: String,
}

impl Control {
    pub fn new(addresses: &Addresses) -> Self {
        Self {
            http: Client::new(),
            base: format!("{}/control", addresses.control),
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Runs a command even where Discord's client would not send it.
    pub async fn command(&self, community: &Community, user: &str, name: &str, options: Value) -> String {
        self.interact(json!({
            "kind": "command", "guild_id": community.guild, "channel_id": community.channel, "user_id": user,
            "name": name, "options": options, "force": true,
        }))
        .await
    }

    pub async fn press(&self, community: &Community, user: &str, message: &str, custom_id: &str) -> String {
        self.interact(json!({
            "kind": "component", "guild_id": community.guild, "channel_id": community.channel, "user_id": user,
            "message_id": message, "custom_id": custom_id, "force": true,
        }))
        .await
    }

    pub async fn interact(&self, body: Value) -> String {
        let made = self.post("/interactions", body).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// The interaction as the emulator has it.
    pub async fn interaction(&self, id: &str) -> Value {
        self.get(&format!("/interactions/{id}")).await
    }

    /// The interaction once it is answered, or its time is over.
    pub async fn answered(&self, id: &str) -> Value {
        let view = self.get(&format!("/interactions/{id}?wait_ms=20000")).await;
        assert_eq!(view["state"], "answered", "{view:#}");
        view
    }

    pub async fn member(&self, community: &Community, user: &str) -> Value {
        self.get(&format!("/guilds/{}/members/{user}", community.guild)).await
    }

    /// REST calls that the emulator received, by method and route.
    pub async fn calls(&self) -> Vec<Value> {
        let text = self
            .http
            .get(format!("{}/ledger?kind=rest", self.base))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The number of calls with this method, this text in their path, and this status.
    pub async fn count(&self, method: &str, path: &str, status: u64) -> usize {
        let calls = self.calls().await;
        let fits = |call: &&Value| {
            call["method"] == method && call["status"] == status && call["path"].as_str().unwrap().contains(path)
        };
        calls.iter().filter(fits).count()
    }
}
