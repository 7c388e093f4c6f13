//! Calls that Discord does not recognise as repeated, and original responses that the worker deleted.

use std::time::Duration;

use arrakis_contracts::names;
use arrakis_emulator_client::Fault;
use arrakis_worker::at_most_once::OUTCOME_UNKNOWN;
use arrakis_worker::commands::ResponseMode;
use serde_json::{Value, json};

use crate::platform::{Behavior, Platform, TestCommand, follow_ups, is_ephemeral};

const PUBLIC: ResponseMode = ResponseMode::Deferred { ephemeral: false };
const FOLLOW_UP_ROUTE: &str = "/webhooks/{application}/{token}";

impl Platform {
    async fn unknown_outcomes(&self, event: &str) -> usize {
        let mut tx = self.tenant().await;
        let entries = tx.audit_entries(1_000).await.unwrap();
        let unknown = entries.iter().filter(|entry| entry.action == OUTCOME_UNKNOWN);
        unknown.filter(|entry| entry.subject == event).count()
    }

    async fn inject_fault(&self, fault: Fault) {
        self.control.fault(&fault).await.unwrap();
    }

    async fn clear_faults(&self) {
        self.control.clear_faults().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_copy_is_retried_while_the_first_one_is_sending() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new("twice", Behavior::Refuses, PUBLIC))])
        .await;
    platform
        .inject_fault(Fault::rest_latency(1_500).method("POST").route(FOLLOW_UP_ROUTE))
        .await;
    let id = platform.send_command("chani", "twice", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    consumer.until_outcome("twice", "retry", 1).await;
    consumer.until_outcome("twice", "refused", 1).await;
    assert_eq!(
        platform.unknown_outcomes(&id).await,
        0,
        "the first copy was still sending"
    );
    // The retry finds that the first copy was sent.
    consumer.until_outcome("twice", "refused", 2).await;
    assert_eq!(follow_ups(&platform.control.interaction(&id).await).len(), 1);
    assert_eq!(platform.unknown_outcomes(&id).await, 0);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcome_of_an_abandoned_claim_is_unknown() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new("dies", Behavior::Refuses, PUBLIC))])
        .await;
    let id = platform.send_command("chani", "dies", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    // The claim of a worker that was killed before or after it sent the reply.
    let mut tx = platform.tenant().await;
    assert!(tx.claim(&format!("{id}#answer")).await.unwrap());
    tx.commit().await.unwrap();
    platform.publish(&dispatch).await;
    consumer.until_outcome("dies", "retry", 1).await;
    assert_eq!(platform.unknown_outcomes(&id).await, 0);
    consumer.until_outcome("dies", "unknown", 1).await;
    assert_eq!(platform.unknown_outcomes(&id).await, 1);
    assert!(follow_ups(&platform.control.interaction(&id).await).is_empty());
    platform.vhost.finish().await;
}

/// The first delivery is refused: the public original response is deleted, and the ephemeral follow-up fails. The retry has a public
/// reply, which cannot be edited into the deleted message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_whose_original_the_worker_deleted_is_a_follow_up() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new("moves", Behavior::RefusesOnce, PUBLIC))])
        .await;
    let limit = Fault {
        retry_after: Some(5.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    platform.inject_fault(limit.method("POST").route(FOLLOW_UP_ROUTE)).await;
    let id = platform.run_command("chani", "moves", json!({})).await;
    consumer.until_outcome("moves", "retry", 1).await;
    platform.clear_faults().await;
    let view = platform.until(&id, |view| !follow_ups(view).is_empty()).await;
    assert_eq!(follow_ups(&view).len(), 1, "{view:#}");
    assert_eq!(follow_ups(&view)[0]["content"], "answered");
    assert!(!is_ephemeral(&follow_ups(&view)[0]), "the reply is public: {view:#}");
    consumer.until_outcome("moves", "answered", 1).await;
    assert_eq!(platform.unknown_outcomes(&id).await, 0);
    platform.vhost.finish().await;
}

/// The first worker died after it deleted the original response and before it sent a follow-up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_after_the_death_of_the_worker_that_deleted_the_original_is_a_follow_up() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new("next", Behavior::Replies, PUBLIC))])
        .await;
    let id = platform.send_command("chani", "next", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut tx = platform.tenant().await;
    assert!(tx.claim(&format!("{id}#original#removed")).await.unwrap());
    tx.commit().await.unwrap();
    platform.defer_and_delete(&dispatch.json()).await;
    platform.publish(&dispatch).await;
    let view = platform.until(&id, |view| !follow_ups(view).is_empty()).await;
    assert_eq!(follow_ups(&view)[0]["content"], "answered", "{view:#}");
    consumer.until_outcome("next", "answered", 1).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_whose_original_somebody_else_deleted_is_discarded() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new("gone", Behavior::Replies, PUBLIC))])
        .await;
    let id = platform.send_command("chani", "gone", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.defer_and_delete(&dispatch.json()).await;
    platform.publish(&dispatch).await;
    consumer.until_outcome("gone", "gone", 1).await;
    assert!(follow_ups(&platform.control.interaction(&id).await).is_empty());
    platform.vhost.finish().await;
}

/// Discord refuses a retry after the three seconds, so only the record shows that the reply may exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_response_without_a_successful_attempt_is_recorded_as_unknown() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new(
            "now",
            Behavior::Replies,
            ResponseMode::Immediate,
        ))])
        .await;
    platform
        .inject_fault(Fault::rest_status(502).after_effect(true).route("/interactions/*"))
        .await;
    let id = platform.run_command("chani", "now", json!({})).await;
    consumer.until_outcome("now", "unknown", 1).await;
    assert_eq!(platform.unknown_outcomes(&id).await, 1);
    assert_eq!(platform.messages(names::DEAD_LETTERS).await, 0);
    platform.vhost.finish().await;
}

/// After the three seconds a retry finds out whether the defer took effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_continues_after_a_defer_that_took_effect() {
    let platform = Platform::start().await;
    let consumer = platform
        .consume(vec![Box::new(TestCommand::new("late", Behavior::Replies, PUBLIC))])
        .await;
    platform
        .inject_fault(Fault::of_kind("rest_lost_answer").route("/interactions/*"))
        .await;
    let accepted = platform.run_command("chani", "late", json!({})).await;
    consumer.until_outcome("late", "retry", 1).await;
    platform.clear_faults().await;
    let view = platform.control.answered(&accepted).await;
    assert_eq!(view["message"]["content"], "answered", "{view:#}");
    platform
        .inject_fault(Fault::rest_status(503).route("/interactions/*"))
        .await;
    platform.run_command("chani", "late", json!({})).await;
    consumer.until_outcome("late", "retry", 2).await;
    platform.clear_faults().await;
    consumer.until_outcome("late", "expired", 1).await;
    tokio::time::timeout(Duration::from_secs(30), platform.vhost.finish())
        .await
        .unwrap();
}

impl Platform {
    /// Defers the interaction as an earlier worker would, with a public response, and deletes the response.
    async fn defer_and_delete(&self, interaction: &Value) {
        let base = &self.emulator.addresses().rest;
        let part = |name: &str| interaction[name].as_str().unwrap();
        let (id, token, application) = (part("id"), part("token"), part("application_id"));
        let http = reqwest::Client::new();
        let callback = format!("{base}/interactions/{id}/{token}/callback");
        let deferred = http.post(callback).json(&json!({"type": 5})).send().await.unwrap();
        assert!(deferred.status().is_success(), "{deferred:?}");
        let original = format!("{base}/webhooks/{application}/{token}/messages/@original");
        let deleted = http.delete(original).send().await.unwrap();
        assert!(deleted.status().is_success(), "{deleted:?}");
    }
}
