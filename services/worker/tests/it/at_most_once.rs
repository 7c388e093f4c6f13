//! Replies that Discord does not recognise when they come twice, and original responses that the worker itself removed.

use std::time::Duration;

use arrakis_contracts::names;
use arrakis_emulator_client::Fault;
use arrakis_worker::at_most_once::OUTCOME_UNKNOWN;
use arrakis_worker::commands::ResponseMode;
use serde_json::{Value, json};

use crate::platform::{Broken, How, Platform};

const PUBLIC: ResponseMode = ResponseMode::Deferred { ephemeral: false };
const ON_FOLLOW_UPS: &str = "/webhooks/{application}/{token}";

impl Platform {
    async fn unknown(&self, event: &str) -> usize {
        let mut tx = self.tenant().await;
        let entries = tx.audit_entries(1_000).await.unwrap();
        let unknown = entries.iter().filter(|entry| entry.action == OUTCOME_UNKNOWN);
        unknown.filter(|entry| entry.subject == event).count()
    }

    async fn fault(&self, fault: Fault) {
        self.control.fault(&fault).await.unwrap();
    }

    async fn no_faults(&self) {
        self.control.clear_faults().await.unwrap();
    }
}

fn follow_ups(view: &Value) -> &Vec<Value> {
    view["followups"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_copy_waits_while_the_first_sends() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new("twice", How::Refuses, PUBLIC))])
        .await;
    platform
        .fault(Fault::rest_latency(1_500).method("POST").route(ON_FOLLOW_UPS))
        .await;
    let id = platform.play("chani", "twice", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    bench.until_ended("twice", "retry", 1).await;
    bench.until_ended("twice", "refused", 1).await;
    assert_eq!(platform.unknown(&id).await, 0, "the first copy was still sending");
    // The copy that waited finds it sent.
    bench.until_ended("twice", "refused", 2).await;
    assert_eq!(follow_ups(&platform.control.interaction(&id).await).len(), 1);
    assert_eq!(platform.unknown(&id).await, 0);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_worker_died_is_unknown_once_nobody_can_be_sending() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new("dies", How::Refuses, PUBLIC))])
        .await;
    let id = platform.play("chani", "dies", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    // What a worker leaves that is killed before or after it sends.
    let mut tx = platform.tenant().await;
    assert!(tx.claim(&format!("{id}#answer")).await.unwrap());
    tx.commit().await.unwrap();
    platform.publish(&dispatch).await;
    bench.until_ended("dies", "retry", 1).await;
    assert_eq!(platform.unknown(&id).await, 0);
    bench.until_ended("dies", "unknown", 1).await;
    assert_eq!(platform.unknown(&id).await, 1);
    assert!(follow_ups(&platform.control.interaction(&id).await).is_empty());
    platform.vhost.finish().await;
}

/// The first delivery is refused in private: the public original is removed, and the follow-up fails. The second one has a public
/// answer, whose place is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_original_we_removed_is_sent_as_a_follow_up() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new("moves", How::RefusesOnce, PUBLIC))])
        .await;
    let limit = Fault {
        retry_after: Some(5.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    platform.fault(limit.method("POST").route(ON_FOLLOW_UPS)).await;
    let id = platform.run("chani", "moves", json!({})).await;
    bench.until_ended("moves", "retry", 1).await;
    platform.no_faults().await;
    let view = platform.until(&id, |view| !follow_ups(view).is_empty()).await;
    assert_eq!(follow_ups(&view).len(), 1, "{view:#}");
    assert_eq!(follow_ups(&view)[0]["content"], "answered");
    let flags = follow_ups(&view)[0]["flags"].as_u64().unwrap_or(0);
    assert_eq!(flags & 64, 0, "the answer is for everybody: {view:#}");
    bench.until_ended("moves", "answered", 1).await;
    assert_eq!(platform.unknown(&id).await, 0);
    platform.vhost.finish().await;
}

/// A worker that dies after it removed the original and before it sent anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_died_after_removing_the_original_leaves_the_answer_to_the_next() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new("next", How::Answers, PUBLIC))])
        .await;
    let id = platform.play("chani", "next", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut tx = platform.tenant().await;
    assert!(tx.claim(&format!("{id}#original#removed")).await.unwrap());
    tx.commit().await.unwrap();
    platform.defer_and_remove(&dispatch.json()).await;
    platform.publish(&dispatch).await;
    let view = platform.until(&id, |view| !follow_ups(view).is_empty()).await;
    assert_eq!(follow_ups(&view)[0]["content"], "answered", "{view:#}");
    bench.until_ended("next", "answered", 1).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_original_that_somebody_else_removed_is_not_answered_again() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new("gone", How::Answers, PUBLIC))])
        .await;
    let id = platform.play("chani", "gone", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.defer_and_remove(&dispatch.json()).await;
    platform.publish(&dispatch).await;
    bench.until_ended("gone", "gone", 1).await;
    assert!(follow_ups(&platform.control.interaction(&id).await).is_empty());
    platform.vhost.finish().await;
}

/// Nothing but the record tells that the answer may stand there: by the time of a retry nobody takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_response_that_fails_for_all_of_its_time_is_recorded_as_unknown() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new(
            "now",
            How::Answers,
            ResponseMode::Immediate,
        ))])
        .await;
    platform
        .fault(Fault::rest_status(502).after_effect(true).route("/interactions/*"))
        .await;
    let id = platform.run("chani", "now", json!({})).await;
    bench.until_ended("now", "unknown", 1).await;
    assert_eq!(platform.unknown(&id).await, 1);
    assert_eq!(platform.messages(names::DEAD_LETTERS).await, 0);
    platform.vhost.finish().await;
}

/// After the three seconds a retry cannot answer any more, but it finds out whether the defer landed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_defer_that_may_have_landed_is_carried_on_by_the_retry() {
    let platform = Platform::start().await;
    let bench = platform
        .bench(vec![Box::new(Broken::new("late", How::Answers, PUBLIC))])
        .await;
    platform
        .fault(Fault::of_kind("rest_lost_answer").route("/interactions/*"))
        .await;
    let landed = platform.run("chani", "late", json!({})).await;
    bench.until_ended("late", "retry", 1).await;
    platform.no_faults().await;
    let view = platform.control.answered(&landed).await;
    assert_eq!(view["message"]["content"], "answered", "{view:#}");
    platform.fault(Fault::rest_status(503).route("/interactions/*")).await;
    platform.run("chani", "late", json!({})).await;
    bench.until_ended("late", "retry", 2).await;
    platform.no_faults().await;
    bench.until_ended("late", "expired", 1).await;
    tokio::time::timeout(Duration::from_secs(30), platform.vhost.finish())
        .await
        .unwrap();
}

impl Platform {
    /// An earlier worker deferred this interaction in public, and then its response was removed.
    async fn defer_and_remove(&self, interaction: &Value) {
        let base = &self.emulator.addresses().rest;
        let part = |name: &str| interaction[name].as_str().unwrap();
        let (id, token, application) = (part("id"), part("token"), part("application_id"));
        let http = reqwest::Client::new();
        let callback = format!("{base}/interactions/{id}/{token}/callback");
        let deferred = http.post(callback).json(&json!({"type": 5})).send().await.unwrap();
        assert!(deferred.status().is_success(), "{deferred:?}");
        let original = format!("{base}/webhooks/{application}/{token}/messages/@original");
        let removed = http.delete(original).send().await.unwrap();
        assert!(removed.status().is_success(), "{removed:?}");
    }
}
