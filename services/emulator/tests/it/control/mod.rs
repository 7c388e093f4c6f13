//! The control API and the command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]
#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

mod cli;
mod clock;
mod commands;
mod components;
mod connections;
mod faults;
mod gateway;
mod interactions_endpoint;
mod ledger;
mod load;
mod members;
mod messages;
mod seeds;
mod structure;
mod web_pages;

use http::Method;
use serde_json::{Value, json};

use crate::support::Emu;

impl Emu {
    /// Registers the commands that these tests use.
    pub(crate) async fn with_commands() -> Self {
        let emu = Self::lively().await;
        let application = emu.application().await;
        let commands = json!([
            {"name": "stats", "description": "Numbers"},
            {"name": "admin", "description": "For admins", "default_member_permissions": "32"},
            {"name": "give", "description": "Give spice", "options": [
                {"type": 6, "name": "to", "description": "Who", "required": true},
                {"type": 4, "name": "amount", "description": "How much", "min_value": 1, "max_value": 100},
                {"type": 3, "name": "kind", "description": "What", "choices": [{"name": "Spice", "value": "spice"}]},
                {"type": 3, "name": "place", "description": "Where", "autocomplete": true},
                {"type": 7, "name": "channel", "description": "Told where", "channel_types": [0]},
                {"type": 11, "name": "proof", "description": "A picture"},
            ]},
            {"name": "verify", "description": "Verify", "options": [
                {"type": 1, "name": "start", "description": "Start"},
                {"type": 2, "name": "link", "description": "Links", "options": [
                    {"type": 1, "name": "add", "description": "Add", "options": [
                        {"type": 3, "name": "url", "description": "Address", "required": true, "min_length": 3}]}]},
            ]},
            {"name": "Look at", "type": 2},
        ]);
        let (status, answer) = emu
            .rest(
                Method::PUT,
                &format!("/applications/{application}/commands"),
                Some(commands),
            )
            .await;
        assert_eq!(status, 200, "{answer}");
        emu
    }

    pub(crate) async fn application(&self) -> String {
        self.get("addresses").await["application_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// An interaction of Stilgar in #support, with these fields added.
    pub(crate) fn scene(fields: Value) -> Value {
        let mut scene = json!({"guild_id": "Sietch Tabr", "channel_id": "support", "user_id": "stilgar"});
        for (key, value) in fields.as_object().unwrap() {
            scene[key] = value.clone();
        }
        scene
    }

    pub(crate) async fn interact(&self, fields: Value) -> (String, String) {
        let made = self.post("interactions", Self::scene(fields)).await;
        (
            made["id"].as_str().unwrap().to_owned(),
            made["token"].as_str().unwrap().to_owned(),
        )
    }

    /// The bot's first response.
    pub(crate) async fn respond(&self, (id, token): &(String, String), body: Value) {
        let (status, answer) = self
            .rest(
                Method::POST,
                &format!("/interactions/{id}/{token}/callback"),
                Some(body),
            )
            .await;
        assert_eq!(status, 204, "{answer}");
    }

    pub(crate) async fn record(&self, id: &str) -> Value {
        self.get(&format!("interactions/{id}?wait_ms=20000")).await
    }
}
