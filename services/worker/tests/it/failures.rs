//! Interactions that are late, are delivered twice, or whose command fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use arrakis_emulator_client::Fault;
use arrakis_worker::commands::ResponseMode;
use serde_json::json;

use crate::platform::{
    Behavior, Dispatch, Platform, TestCommand, assert_description, assert_refusal, description, embed, follow_ups,
};

const PRIVATE: ResponseMode = ResponseMode::Deferred { ephemeral: true };
const PUBLIC: ResponseMode = ResponseMode::Deferred { ephemeral: false };

/// A snowflake of this age.
fn snowflake(age_ms: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    ((now - age_ms - 1_420_070_400_000) << 22).to_string()
}

fn with_id(mut dispatch: Dispatch, id: &str) -> Dispatch {
    let mut body = dispatch.json();
    body["id"] = json!(id);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    dispatch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_interaction_is_not_replied_to() {
    let (platform, worker) = Platform::with_worker().await;
    platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&with_id(dispatch, &snowflake(5_000))).await;
    worker
        .until_metric("arrakis_worker_interactions_expired_total", 1.0)
        .await;
    platform.until_messages(names::INTERACTIONS, 0).await;
    let calls = platform.control.rest_calls().await.unwrap();
    assert!(!calls.iter().any(|call| call.path.contains("/callback")), "{calls:#?}");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interaction_that_discord_finds_expired_is_counted() {
    let (platform, worker) = Platform::with_worker().await;
    let id = platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    // Discord's clock advances; the worker has not measured it yet.
    platform.control.advance(Duration::from_secs(4)).await.unwrap();
    platform.publish(&dispatch).await;
    worker
        .until_metric("arrakis_worker_interactions_expired_total", 1.0)
        .await;
    assert_eq!(platform.control.interaction(&id).await["state"], "expired");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_worker_continues_after_the_defer_of_an_earlier_one() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let token = dispatch.json()["token"].as_str().unwrap().to_owned();
    let url = format!(
        "{}/interactions/{id}/{token}/callback",
        platform.emulator.addresses().rest
    );
    let defer = json!({"type": 5, "data": {"flags": 64}});
    let acknowledged = reqwest::Client::new().post(url).json(&defer).send().await.unwrap();
    assert!(acknowledged.status().is_success());
    platform.publish(&dispatch).await;
    let reply = platform.control.answered(&id).await;
    assert_description(&reply["message"], "Rank 1");
    assert_eq!(platform.control.count("POST", "/callback", 400).await, 1);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_failure_is_retried_after_five_seconds_with_a_notice() {
    let platform = Platform::start().await;
    let _consumer = platform
        .consume(vec![Box::new(TestCommand::new(
            "slow",
            Behavior::FailsTemporarily,
            PRIVATE,
        ))])
        .await;
    let id = platform.run_command("chani", "slow", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_description(&reply["message"], "I am trying again");
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(waiting.id, id);
    assert_eq!(waiting.headers[headers::ATTEMPTS], "1");
    assert_eq!(waiting.headers[headers::LAST_ERROR], "a temporary error");
    assert_eq!(waiting.headers[headers::ORIGIN_QUEUE], names::INTERACTIONS);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_retry_waits_longer_and_after_the_last_the_message_is_a_dead_letter() {
    let platform = Platform::start().await;
    let _consumer = platform
        .consume(vec![Box::new(TestCommand::new(
            "slow",
            Behavior::FailsTemporarily,
            PRIVATE,
        ))])
        .await;
    for (before, queue) in [
        (1, "arrakis.retry.25s"),
        (2, "arrakis.retry.125s"),
        (3, names::DEAD_LETTERS),
    ] {
        let id = platform.send_command("chani", "slow", json!({})).await;
        let dispatch = platform.dispatch("INTERACTION_CREATE").await;
        let labels = dispatch.labels();
        let mut headers = labels.headers();
        headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(before));
        let (id_text, key) = (labels.event_id.as_str().to_owned(), dispatch.key());
        platform
            .publish_raw(&key, &id_text, &labels.event, headers, dispatch.body.clone())
            .await;
        let moved = platform.take(queue).await;
        assert_eq!(moved.headers[headers::ATTEMPTS], (before + 1).to_string(), "{queue}");
        if queue == names::DEAD_LETTERS {
            assert_eq!(moved.headers[headers::DEAD_REASON], "exhausted");
            let reply = platform.control.answered(&id).await;
            let text = description(&reply["message"]);
            assert!(text.contains("I could not do this") && text.contains(&id), "{text}");
        }
    }
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanent_failure_is_a_dead_letter_at_once_with_an_ephemeral_notice() {
    let platform = Platform::start().await;
    let _consumer = platform
        .consume(vec![Box::new(TestCommand::new(
            "fails",
            Behavior::FailsPermanently,
            PUBLIC,
        ))])
        .await;
    let id = platform.run_command("chani", "fails", json!({})).await;
    let letter = platform.take(names::DEAD_LETTERS).await;
    assert_eq!(letter.headers[headers::DEAD_REASON], "permanent");
    assert_eq!(letter.headers[headers::LAST_ERROR], "a permanent error");
    let view = platform.until(&id, |view| !follow_ups(view).is_empty()).await;
    assert_refusal(&follow_ups(&view)[0], "I could not do this");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_of_a_command_does_not_affect_others() {
    let platform = Platform::start().await;
    let fine = TestCommand::new("fine", Behavior::Replies, PRIVATE);
    let panics = TestCommand::new("panics", Behavior::Panics, PRIVATE);
    let _consumer = platform.consume(vec![Box::new(panics), Box::new(fine)]).await;
    platform.run_command("chani", "panics", json!({})).await;
    let id = platform.run_command("chani", "fine", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["message"]["content"], "answered");
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(
        waiting.headers[headers::LAST_ERROR],
        "the command panicked: a panic of the test"
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_immediate_command_is_not_retried() {
    let platform = Platform::start().await;
    let command = TestCommand::new("now", Behavior::FailsTemporarily, ResponseMode::Immediate);
    let runs = Arc::clone(&command.runs);
    let _consumer = platform.consume(vec![Box::new(command)]).await;
    let id = platform.run_command("chani", "now", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["callback_type"], 4);
    assert_description(&reply["message"], "I could not do this");
    let letter = platform.take(names::DEAD_LETTERS).await;
    assert_eq!(letter.headers[headers::DEAD_REASON], "exhausted");
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitted_modal_is_replied_to() {
    let platform = Platform::start().await;
    let command = TestCommand::new("modal", Behavior::OpensModal, ResponseMode::Modal);
    let _consumer = platform.consume(vec![Box::new(command)]).await;
    let opened = platform.run_command("chani", "modal", json!({})).await;
    let view = platform.until(&opened, |view| view["callback_type"] == 9).await;
    assert_eq!(view["modal"]["custom_id"], "modal:a:b", "{view:#}");
    let sent = platform
        .control
        .interact(json!({
            "kind": "modal", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
            "user_id": "chani", "custom_id": "modal:a:b", "fields": {"word": "melange"},
        }))
        .await;
    platform.deliver("INTERACTION_CREATE").await;
    let reply = platform.control.answered(&sent).await;
    assert_eq!(reply["message"]["content"], "a,b: melange");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autocomplete_request_is_replied_to_with_suggestions() {
    let platform = Platform::start().await;
    let command = TestCommand::new("word", Behavior::Replies, PRIVATE);
    let _consumer = platform.consume(vec![Box::new(command)]).await;
    let request = platform
        .control
        .interact(json!({
            "kind": "autocomplete", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
            "user_id": "chani", "name": "word", "options": {"word": "spi"}, "focused": "word",
        }))
        .await;
    platform.deliver("INTERACTION_CREATE").await;
    let reply = platform.control.answered(&request).await;
    assert_eq!(reply["callback_type"], 8);
    assert_eq!(reply["choices"][0]["value"], "spi!", "{reply:#}");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edit_whose_response_is_lost_is_repeated() {
    let (platform, _worker) = Platform::with_worker().await;
    let fault = Fault::of_kind("rest_lost_answer").count(1).method("PATCH");
    platform.control.fault(&fault).await.unwrap();
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_retried_and_help_replies_while_postgres_is_locked() {
    let (platform, worker) = Platform::with_worker().await;
    // The first reconcile and its tier sync would wait for the lock and then in the same retry queue.
    for kind in ["reconcile", "tier-sync"] {
        let line = format!("arrakis_worker_jobs_total{{kind=\"{kind}\",outcome=\"done\"}}");
        worker.until_metric(&line, 1.0).await;
    }
    let lock = platform.lock("guild_routes").await;
    let retried = platform.run_command("chani", "position", json!({})).await;
    let help = platform.run_command("chani", "help", json!({})).await;
    let reply = platform.control.answered(&help).await;
    assert!(embed(&reply["message"]).to_string().contains("/help"));
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(waiting.id, retried);
    assert!(
        waiting.headers[headers::LAST_ERROR].contains("community.by_guild"),
        "{waiting:?}"
    );
    let notice = platform.control.answered(&retried).await;
    assert_description(&notice["message"], "I am trying again");
    lock.release().await;
    platform.vhost.finish().await;
}

/// Two ingestors may publish the same event, and two workers then handle it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_that_fails_does_not_overwrite_the_reply_of_another() {
    let platform = Platform::start().await;
    let command = TestCommand::new("race", Behavior::HangsOnce, PRIVATE);
    let consumer = platform.consume(vec![Box::new(command)]).await;
    let id = platform.send_command("chani", "race", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    consumer.until_outcome("race", "already_done", 1).await;
    assert_eq!(
        platform.control.interaction(&id).await["message"]["content"],
        "answered"
    );
    platform.vhost.finish().await;
}

/// The message at Discord may be the notice of the retry, although another copy is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_of_a_done_interaction_replies_again() {
    let platform = Platform::start().await;
    let command = TestCommand::new("again", Behavior::Replies, PRIVATE);
    let runs = command.runs.clone();
    let consumer = platform.consume(vec![Box::new(command)]).await;
    let id = platform.send_command("chani", "again", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    consumer.until_outcome("again", "answered", 1).await;
    platform.publish(&dispatch).await;
    consumer.until_outcome("again", "already_done", 1).await;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let labels = dispatch.labels();
    let mut headers = labels.headers();
    headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(1));
    let (id_text, key) = (labels.event_id.as_str().to_owned(), dispatch.key());
    platform
        .publish_raw(&key, &id_text, &labels.event, headers, dispatch.body.clone())
        .await;
    consumer.until_outcome("again", "answered", 2).await;
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_that_hangs_is_stopped_and_retried() {
    let platform = Platform::start().await;
    let hangs = TestCommand::new("hangs", Behavior::Hangs, PRIVATE);
    let fine = TestCommand::new("fine", Behavior::Replies, PRIVATE);
    let _consumer = platform.consume(vec![Box::new(hangs), Box::new(fine)]).await;
    let hung = platform.run_command("chani", "hangs", json!({})).await;
    let id = platform.run_command("chani", "fine", json!({})).await;
    platform.control.answered(&id).await;
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(waiting.id, hung);
    assert_eq!(
        waiting.headers[headers::LAST_ERROR],
        "the command was stopped after 2000 ms"
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ephemeral_follow_up_after_a_public_defer_is_sent_once() {
    let platform = Platform::start().await;
    let _consumer = platform
        .consume(vec![Box::new(TestCommand::new(
            "fails",
            Behavior::FailsPermanently,
            PUBLIC,
        ))])
        .await;
    let id = platform.send_command("chani", "fails", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    for _ in 0..2 {
        platform.publish(&dispatch).await;
        platform.take(names::DEAD_LETTERS).await;
    }
    let view = platform.control.interaction(&id).await;
    assert_eq!(follow_ups(&view).len(), 1, "{view:#}");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_up_whose_response_is_lost_is_recorded_and_not_repeated() {
    let platform = Platform::start().await;
    let _consumer = platform
        .consume(vec![Box::new(TestCommand::new(
            "fails",
            Behavior::FailsPermanently,
            PUBLIC,
        ))])
        .await;
    let lost = Fault::of_kind("rest_lost_answer")
        .count(1)
        .method("POST")
        .path("/webhooks/");
    platform.control.fault(&lost).await.unwrap();
    let id = platform.send_command("chani", "fails", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    for _ in 0..2 {
        platform.publish(&dispatch).await;
        platform.take(names::DEAD_LETTERS).await;
    }
    let view = platform.control.interaction(&id).await;
    assert_eq!(follow_ups(&view).len(), 1, "{view:#}");
    let mut tx = platform.tenant().await;
    let entries = tx.audit_entries(100).await.unwrap();
    let unknown: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == arrakis_worker::at_most_once::OUTCOME_UNKNOWN)
        .collect();
    assert_eq!(unknown.len(), 1, "{entries:#?}");
    assert_eq!(unknown[0].subject, id);
    platform.vhost.finish().await;
}
