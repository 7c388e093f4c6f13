//! The worker's ways to answer an interaction against the failures that strike once, from the message in the queue to what the
//! member sees.

use std::time::Duration;

use arrakis_db::AuditEntry;
use arrakis_emulator_client::{ControlClient, InteractionCreated};
use arrakis_worker::at_most_once::OUTCOME_UNKNOWN;
use arrakis_worker::commands::ResponseMode;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::rows::{Place, ROWS, Row};
use crate::platform::{Broken, How, Platform};

const CALLBACK: (&str, &str) = ("POST", "/interactions/{interaction}/{token}/callback");
const EDIT: (&str, &str) = ("PATCH", "/webhooks/{application}/{token}/messages/@original");
const REMOVE: (&str, &str) = ("DELETE", "/webhooks/{application}/{token}/messages/@original");
const FOLLOW_UP: (&str, &str) = ("POST", "/webhooks/{application}/{token}");

/// Tries of a case on a machine so busy that the three seconds are over before the failure.
const TRIES: u32 = 3;
/// What no case takes.
const LIMIT: Duration = Duration::from_secs(30);
/// Cases at once.
const AT_ONCE: usize = 6;

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Command(&'static str),
    Types(&'static str),
    Presses(&'static str),
}

/// A way to answer, and the call of it that is struck.
#[derive(Debug, Clone, Copy)]
struct Way {
    act: Act,
    struck: (&'static str, &'static str),
    /// Callback type of the first response.
    kind: u64,
}

const WAYS: [Way; 11] = [
    way(Act::Command("private"), CALLBACK, 5),
    way(Act::Command("private"), EDIT, 5),
    way(Act::Command("public"), EDIT, 5),
    way(Act::Command("refuses"), REMOVE, 5),
    way(Act::Command("refuses"), FOLLOW_UP, 5),
    way(Act::Command("now"), CALLBACK, 4),
    way(Act::Command("form"), CALLBACK, 9),
    way(Act::Types("private"), CALLBACK, 8),
    way(Act::Presses("update"), CALLBACK, 6),
    way(Act::Presses("update"), EDIT, 6),
    way(Act::Presses("now"), CALLBACK, 7),
];

const fn way(act: Act, struck: (&'static str, &'static str), kind: u64) -> Way {
    Way { act, struck, kind }
}

fn commands() -> Vec<Box<dyn arrakis_worker::commands::Command>> {
    let private = ResponseMode::Deferred { ephemeral: true };
    let public = ResponseMode::Deferred { ephemeral: false };
    vec![
        Box::new(Broken::new("private", How::Answers, private)),
        Box::new(Broken::new("public", How::Answers, public)),
        Box::new(Broken::new("refuses", How::Refuses, public)),
        Box::new(Broken::new("now", How::Answers, ResponseMode::Immediate).pressed(ResponseMode::Immediate)),
        Box::new(Broken::new("form", How::OpensAForm, ResponseMode::Modal)),
        Box::new(Broken::new("update", How::Answers, private).pressed(ResponseMode::DeferredUpdate)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_against_every_failure() {
    let platform = super::platform().await;
    let _bench = platform.bench_of(commands(), 20).await;
    let struck = |row: &&Row| !row.lasting && matches!(row.place, Place::Emulator(_));
    let rows: Vec<Row> = ROWS.iter().filter(struck).copied().collect();
    let cases: Vec<_> = WAYS
        .iter()
        .flat_map(|way| rows.iter().map(move |row| (*way, *row)))
        .collect();
    let wrong: Vec<Option<String>> = stream::iter(cases)
        .map(|(way, row)| of_case(&platform, way, row))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    platform.vhost.finish().await;
}

async fn of_case(platform: &Platform, way: Way, row: Row) -> Option<String> {
    let mut wrong = String::new();
    for _ in 0..TRIES {
        match try_case(platform, way, row).await {
            Ok(()) => return None,
            Err(why) => wrong = why,
        }
        if !wrong.contains("expired") {
            break;
        }
    }
    Some(format!("{way:?} | {} | {wrong}", row.name))
}

async fn try_case(platform: &Platform, way: Way, row: Row) -> Result<(), String> {
    let made = platform.act(way.act).await;
    let (id, token) = (made.id.to_string(), made.token.as_str());
    let id = id.as_str();
    let (method, route) = way.struck;
    let path = if way.struck == CALLBACK { id } else { token };
    let fault = row.fault(method, route, path).unwrap();
    platform.control.fault(&fault).await.unwrap();
    let dispatch = platform.dispatch_of(id).await;
    platform.publish(&dispatch).await;
    let unknown_wanted = way.struck == FOLLOW_UP && row.failure.may_have_landed();
    // Answered as far as a member can see, or recorded as unknown.
    let over = |view: &Value| match unknown_wanted {
        // Whether the follow-up stands there depends on the failure.
        true => view["state"] == "answered",
        false => is_over(view, way),
    };
    let begun = tokio::time::Instant::now();
    let view = loop {
        let view = platform.control.interaction(id).await;
        if over(&view) || view["state"] == "expired" {
            break view;
        }
        if begun.elapsed() > LIMIT {
            return Err(format!("not over within {LIMIT:?}: {view:#}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    if view["state"] == "expired" {
        return Err(format!("expired: {view:#}"));
    }
    if unknown_wanted {
        platform.until_unknown(id).await;
    }
    let effects = |struck: (&str, &str), part: &str| super::effects(platform, 0, (struck.0, struck.1, part));
    let callbacks = effects(CALLBACK, id);
    let wanted = match (way.act, unknown_wanted) {
        (Act::Command("refuses"), true) => usize::from(row.effect),
        (Act::Command("refuses"), false) => 1,
        _ => 0,
    };
    if callbacks != 1 || view["callback_type"] != way.kind {
        return Err(format!("{callbacks} first responses: {view:#}"));
    }
    if effects(FOLLOW_UP, token) < wanted {
        // The emulator shows a message before it has recorded the call that made it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let follow_ups = effects(FOLLOW_UP, token);
    if follow_ups != wanted {
        return Err(format!("{follow_ups} follow-ups instead of {wanted}: {view:#}"));
    }
    Ok(())
}

fn is_over(view: &Value, way: Way) -> bool {
    let content = &view["message"]["content"];
    match (way.act, way.kind) {
        (Act::Command("refuses"), _) => !view["followups"].as_array().unwrap().is_empty(),
        (Act::Command(_), 9) => !view["modal"].is_null(),
        (Act::Types(_), _) => !view["choices"].is_null(),
        (Act::Command(_), _) => content == "answered",
        (Act::Presses(_), 6) => view["state"] == "answered",
        (Act::Presses(_), _) => view["responses"].to_string().contains("pressed"),
    }
}

impl Platform {
    /// A member does it.
    async fn act(&self, act: Act) -> InteractionCreated {
        let mut body = json!({
            "guild_id": self.community.guild, "channel_id": self.community.channel, "user_id": "chani", "force": true,
        });
        let more = match act {
            Act::Command(name) => json!({"kind": "command", "name": name}),
            Act::Types(name) => {
                json!({"kind": "autocomplete", "name": name, "options": {"word": "spi"}, "focused": "word"})
            }
            Act::Presses(name) => {
                let message = self.message_with_button(name).await;
                json!({"kind": "component", "message_id": message, "custom_id": name})
            }
        };
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        let client: &ControlClient = &self.control;
        client.interact(&serde_json::from_value(body).unwrap()).await.unwrap()
    }

    /// A message of the bot with a button of this custom id.
    async fn message_with_button(&self, custom_id: &str) -> String {
        let base = &self.emulator.addresses().rest;
        let url = format!("{base}/channels/{}/messages", self.community.channel);
        let button = json!({"type": 2, "style": 1, "label": "Press", "custom_id": custom_id});
        let body = json!({"content": "a message", "components": [{"type": 1, "components": [button]}]});
        let token = format!("Bot {}", self.emulator.token());
        let request = reqwest::Client::new()
            .post(url)
            .header("authorization", token)
            .json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["id"].as_str().unwrap_or_else(|| panic!("{answer:#}")).to_owned()
    }

    /// Waits until an event's outcome is recorded as unknown; the connections are the worker's as well.
    async fn until_unknown(&self, event: &str) {
        for _ in 0..100 {
            let mut tx = self.tenant().await;
            let entries = tx.audit_entries(1_000).await.unwrap();
            drop(tx);
            let recorded = |entry: &AuditEntry| entry.action == OUTCOME_UNKNOWN && entry.subject == event;
            if entries.iter().any(recorded) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the outcome of {event} is not recorded as unknown");
    }
}
