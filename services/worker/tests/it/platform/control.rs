//! The emulator's control API, with the helpers of these tests.

use std::ops::Deref;
use std::time::Duration;

use arrakis_emulator_client::{ControlClient, InteractionRequest};
use discord_emulator::Addresses;
use serde_json::{Value, json};

use super::Community;

/// [`ControlClient`] has the requests that are not here.
#[derive(Clone)]
pub struct Control(ControlClient);

impl Deref for Control {
    type Target = ControlClient;

    fn deref(&self) -> &ControlClient {
        &self.0
    }
}

impl Control {
    pub fn new(addresses: &Addresses) -> Self {
        Self(ControlClient::new(&addresses.control))
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

    /// Sends an [`InteractionRequest`]. Returns the interaction's id.
    pub async fn interact(&self, request: Value) -> String {
        let request: InteractionRequest = serde_json::from_value(request).unwrap();
        self.0.interact(&request).await.unwrap().id.to_string()
    }

    /// The record of an interaction.
    pub async fn interaction(&self, id: &str) -> Value {
        let record = self.0.interaction(id.parse().unwrap()).await.unwrap();
        serde_json::to_value(record).unwrap()
    }

    /// The record of an interaction once it is answered.
    pub async fn answered(&self, id: &str) -> Value {
        let wait = Duration::from_secs(20);
        let record = self.0.wait_for_interaction(id.parse().unwrap(), wait).await.unwrap();
        let view = serde_json::to_value(record).unwrap();
        assert_eq!(view["state"], "answered", "{view:#}");
        view
    }

    pub async fn member(&self, community: &Community, user: &str) -> Value {
        self.0.member(&community.guild, user).await.unwrap()
    }

    /// The number of calls with this method, this text in their path, and this status.
    pub async fn count(&self, method: &str, path: &str, status: u16) -> usize {
        let calls = self.rest_calls().await.unwrap();
        calls
            .iter()
            .filter(|call| call.method == method && call.status == status && call.path.contains(path))
            .count()
    }
}
