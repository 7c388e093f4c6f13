//! Every way in which the worker replies to an interaction, with every failure of one attempt, from the queue to what the member sees.

use std::time::Duration;

use arrakis_db::AuditEntry;
use arrakis_emulator_client::{ControlClient, InteractionCreated};
use arrakis_worker::at_most_once::OUTCOME_UNKNOWN;
use arrakis_worker::commands::ResponseMode;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::CallPattern;
use super::failures::{FAILURES, FailureCase, FaultTarget};
use crate::platform::{Behavior, Platform, TestCommand, follow_ups};

/// The calls that a reply consists of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ReplyCall {
    Callback,
    EditOriginal,
    DeleteOriginal,
    FollowUp,
}

impl ReplyCall {
    /// Method and route.
    fn endpoint(self) -> (&'static str, &'static str) {
        match self {
            Self::Callback => ("POST", "/interactions/{interaction}/{token}/callback"),
            Self::EditOriginal => ("PATCH", "/webhooks/{application}/{token}/messages/@original"),
            Self::DeleteOriginal => ("DELETE", "/webhooks/{application}/{token}/messages/@original"),
            Self::FollowUp => ("POST", "/webhooks/{application}/{token}"),
        }
    }

    /// How often the emulator carried out this call with this text in its path.
    fn effects(self, platform: &Platform, path: &str) -> usize {
        let (method, route) = self.endpoint();
        CallPattern { method, route, path }.effects(platform, 0)
    }
}

/// Attempts at a case if the three seconds were over before the fault was injected on a slow machine.
const TRIES: u32 = 3;
/// Time limit of a case.
const LIMIT: Duration = Duration::from_secs(30);
/// Cases that are tested at once.
const AT_ONCE: usize = 6;

/// An action of a member.
#[derive(Debug, Clone, Copy, PartialEq)]
enum MemberAction {
    Command(&'static str),
    Autocomplete(&'static str),
    Component(&'static str),
}

/// A way to reply, and the call of it that fails.
#[derive(Debug, Clone, Copy)]
struct ReplyPath {
    action: MemberAction,
    failing: ReplyCall,
    /// Callback type of the first response.
    callback_type: u64,
}

const PATHS: [ReplyPath; 11] = [
    path(MemberAction::Command("private"), ReplyCall::Callback, 5),
    path(MemberAction::Command("private"), ReplyCall::EditOriginal, 5),
    path(MemberAction::Command("public"), ReplyCall::EditOriginal, 5),
    path(MemberAction::Command("refuses"), ReplyCall::DeleteOriginal, 5),
    path(MemberAction::Command("refuses"), ReplyCall::FollowUp, 5),
    path(MemberAction::Command("now"), ReplyCall::Callback, 4),
    path(MemberAction::Command("modal"), ReplyCall::Callback, 9),
    path(MemberAction::Autocomplete("private"), ReplyCall::Callback, 8),
    path(MemberAction::Component("update"), ReplyCall::Callback, 6),
    path(MemberAction::Component("update"), ReplyCall::EditOriginal, 6),
    path(MemberAction::Component("now"), ReplyCall::Callback, 7),
];

const fn path(action: MemberAction, failing: ReplyCall, callback_type: u64) -> ReplyPath {
    ReplyPath {
        action,
        failing,
        callback_type,
    }
}

fn commands() -> Vec<Box<dyn arrakis_worker::commands::DynCommand>> {
    let private = ResponseMode::Deferred { ephemeral: true };
    let public = ResponseMode::Deferred { ephemeral: false };
    vec![
        Box::new(TestCommand::new("private", Behavior::Replies, private)),
        Box::new(TestCommand::new("public", Behavior::Replies, public)),
        Box::new(TestCommand::new("refuses", Behavior::Refuses, public)),
        Box::new(
            TestCommand::new("now", Behavior::Replies, ResponseMode::Immediate)
                .component_response(ResponseMode::Immediate),
        ),
        Box::new(TestCommand::new("modal", Behavior::OpensModal, ResponseMode::Modal)),
        Box::new(
            TestCommand::new("update", Behavior::Replies, private).component_response(ResponseMode::DeferredUpdate),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reply_with_every_failure_is_sent_once() {
    let platform = super::platform().await;
    let _consumer = platform.consume_with_prefetch(commands(), 20).await;
    let of_one_attempt =
        |failure: &&FailureCase| !failure.lasting && matches!(failure.target, FaultTarget::Emulator(_));
    let failures: Vec<FailureCase> = FAILURES.iter().filter(of_one_attempt).copied().collect();
    let cases: Vec<_> = PATHS
        .iter()
        .flat_map(|path| failures.iter().map(move |failure| (*path, *failure)))
        .collect();
    let wrong: Vec<Option<String>> = stream::iter(cases)
        .map(|(path, failure)| test_case(&platform, path, failure))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    platform.vhost.finish().await;
}

async fn test_case(platform: &Platform, path: ReplyPath, failure: FailureCase) -> Option<String> {
    let mut wrong = String::new();
    for _ in 0..TRIES {
        match try_case(platform, path, failure).await {
            Ok(()) => return None,
            Err(why) => wrong = why,
        }
        if !wrong.contains("expired") {
            break;
        }
    }
    Some(format!("{path:?} | {} | {wrong}", failure.name))
}

async fn try_case(platform: &Platform, path: ReplyPath, failure: FailureCase) -> Result<(), String> {
    let made = platform.perform(path.action).await;
    let (id, token) = (made.id.to_string(), made.token.as_str());
    let id = id.as_str();
    let (method, route) = path.failing.endpoint();
    let in_path = if path.failing == ReplyCall::Callback { id } else { token };
    let fault = failure.fault(method, route, in_path).unwrap();
    platform.control.fault(&fault).await.unwrap();
    let dispatch = platform.dispatch_of(id).await;
    platform.publish(&dispatch).await;
    let expects_unknown = path.failing == ReplyCall::FollowUp && failure.failure.may_have_taken_effect();
    let is_complete = |view: &Value| match expects_unknown {
        // Whether there is a follow-up depends on the failure.
        true => view["state"] == "answered",
        false => is_replied_to(view, path),
    };
    let started = tokio::time::Instant::now();
    let view = loop {
        let view = platform.control.interaction(id).await;
        if is_complete(&view) || view["state"] == "expired" {
            break view;
        }
        if started.elapsed() > LIMIT {
            return Err(format!("not complete within {LIMIT:?}: {view:#}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    if view["state"] == "expired" {
        return Err(format!("expired: {view:#}"));
    }
    if expects_unknown {
        platform.until_unknown(id).await;
    }
    let callbacks = ReplyCall::Callback.effects(platform, id);
    let expected = match (path.action, expects_unknown) {
        (MemberAction::Command("refuses"), true) => usize::from(failure.effect),
        (MemberAction::Command("refuses"), false) => 1,
        _ => 0,
    };
    if callbacks != 1 || view["callback_type"] != path.callback_type {
        return Err(format!("{callbacks} first responses: {view:#}"));
    }
    if ReplyCall::FollowUp.effects(platform, token) < expected {
        // The emulator shows a message before it records the call that created it.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let count = ReplyCall::FollowUp.effects(platform, token);
    if count != expected {
        return Err(format!("{count} follow-ups instead of {expected}: {view:#}"));
    }
    Ok(())
}

/// Whether the member sees the reply.
fn is_replied_to(view: &Value, path: ReplyPath) -> bool {
    let content = &view["message"]["content"];
    match (path.action, path.callback_type) {
        (MemberAction::Command("refuses"), _) => !follow_ups(view).is_empty(),
        (MemberAction::Command(_), 9) => !view["modal"].is_null(),
        (MemberAction::Autocomplete(_), _) => !view["choices"].is_null(),
        (MemberAction::Command(_), _) => content == "answered",
        (MemberAction::Component(_), 6) => view["state"] == "answered",
        (MemberAction::Component(_), _) => view["responses"].to_string().contains("pressed"),
    }
}

impl Platform {
    /// Performs an action of a member; returns the created interaction.
    async fn perform(&self, action: MemberAction) -> InteractionCreated {
        let mut body = json!({
            "guild_id": self.community.guild, "channel_id": self.community.channel, "user_id": "chani", "force": true,
        });
        let more = match action {
            MemberAction::Command(name) => json!({"kind": "command", "name": name}),
            MemberAction::Autocomplete(name) => {
                json!({"kind": "autocomplete", "name": name, "options": {"word": "spi"}, "focused": "word"})
            }
            MemberAction::Component(name) => {
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

    /// Creates a message of the bot with a button with this custom id; returns the message's id.
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
        let message: Value = request.send().await.unwrap().json().await.unwrap();
        message["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{message:#}"))
            .to_owned()
    }

    /// Waits until an unknown outcome of this event is recorded. It polls rarely, since the worker uses the same connections.
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
