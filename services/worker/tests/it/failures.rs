//! Interactions that come late, twice, or whose command fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{headers, names};
use arrakis_emulator_client::Fault;
use arrakis_worker::commands::ResponseMode;
use serde_json::json;

use crate::platform::{Broken, Dispatch, How, Platform, embed};

const PRIVATE: ResponseMode = ResponseMode::Deferred { ephemeral: true };
const PUBLIC: ResponseMode = ResponseMode::Deferred { ephemeral: false };

/// The snowflake of a moment so long ago.
fn snowflake(ago_ms: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    ((now - ago_ms - 1_420_070_400_000) << 22).to_string()
}

fn with_id(mut dispatch: Dispatch, id: &str) -> Dispatch {
    let mut body = dispatch.json();
    body["id"] = json!(id);
    dispatch.body = serde_json::to_vec(&body).unwrap();
    dispatch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interaction_past_its_three_seconds_is_counted_and_not_answered() {
    let (platform, worker) = Platform::with_worker().await;
    platform.play("chani", "position", json!({})).await;
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
async fn what_discord_calls_too_late_is_counted_too() {
    let (platform, worker) = Platform::with_worker().await;
    let id = platform.play("chani", "position", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    // Discord's clock runs on; ours does not know yet.
    platform.control.advance(Duration::from_secs(4)).await.unwrap();
    platform.publish(&dispatch).await;
    worker
        .until_metric("arrakis_worker_interactions_expired_total", 1.0)
        .await;
    assert_eq!(platform.control.interaction(&id).await["state"], "expired");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_by_an_earlier_worker_the_next_one_carries_on() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.play("chani", "position", json!({})).await;
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
    let answer = platform.control.answered(&id).await;
    assert!(
        embed(&answer["message"])["description"]
            .as_str()
            .unwrap()
            .contains("Rank 1")
    );
    assert_eq!(platform.control.count("POST", "/callback", 400).await, 1);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passing_failure_waits_five_seconds_and_the_member_is_told() {
    let platform = Platform::start().await;
    let _bench = platform
        .bench(vec![Box::new(Broken::new("slow", How::Retries, PRIVATE))])
        .await;
    let id = platform.run("chani", "slow", json!({})).await;
    let answer = platform.control.answered(&id).await;
    assert!(
        embed(&answer["message"])["description"]
            .as_str()
            .unwrap()
            .contains("I am trying again")
    );
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(waiting.id, id);
    assert_eq!(waiting.headers[headers::ATTEMPTS], "1");
    assert_eq!(waiting.headers[headers::LAST_ERROR], "the chain is slow");
    assert_eq!(waiting.headers[headers::ORIGIN_QUEUE], names::INTERACTIONS);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_retry_waits_longer_and_the_last_failure_is_a_dead_letter() {
    let platform = Platform::start().await;
    let _bench = platform
        .bench(vec![Box::new(Broken::new("slow", How::Retries, PRIVATE))])
        .await;
    for (before, queue) in [
        (1, "arrakis.retry.25s"),
        (2, "arrakis.retry.125s"),
        (3, names::DEAD_LETTERS),
    ] {
        let id = platform.play("chani", "slow", json!({})).await;
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
            let answer = platform.control.answered(&id).await;
            let words = embed(&answer["message"])["description"].as_str().unwrap();
            assert!(words.contains("I could not do this") && words.contains(&id), "{words}");
        }
    }
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lasting_failure_is_a_dead_letter_at_once_and_told_in_private() {
    let platform = Platform::start().await;
    let _bench = platform
        .bench(vec![Box::new(Broken::new("moon", How::Fails, PUBLIC))])
        .await;
    let id = platform.run("chani", "moon", json!({})).await;
    let letter = platform.take(names::DEAD_LETTERS).await;
    assert_eq!(letter.headers[headers::DEAD_REASON], "permanent");
    assert_eq!(letter.headers[headers::LAST_ERROR], "the moon is missing");
    let view = platform
        .until(&id, |view| !view["followups"].as_array().unwrap().is_empty())
        .await;
    let word = &view["followups"][0];
    assert_eq!(word["flags"].as_u64().unwrap() & 64, 64);
    assert!(
        embed(word)["description"]
            .as_str()
            .unwrap()
            .contains("I could not do this")
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_panics_harms_no_other() {
    let platform = Platform::start().await;
    let fine = Broken::new("fine", How::Answers, PRIVATE);
    let panics = Broken::new("panics", How::Panics, PRIVATE);
    let _bench = platform.bench(vec![Box::new(panics), Box::new(fine)]).await;
    platform.run("chani", "panics", json!({})).await;
    let id = platform.run("chani", "fine", json!({})).await;
    let answer = platform.control.answered(&id).await;
    assert_eq!(answer["message"]["content"], "answered");
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(
        waiting.headers[headers::LAST_ERROR],
        "the command panicked: as it was asked to"
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_answered_at_once_is_not_tried_again() {
    let platform = Platform::start().await;
    let command = Broken::new("now", How::Retries, ResponseMode::Immediate);
    let ran = Arc::clone(&command.ran);
    let _bench = platform.bench(vec![Box::new(command)]).await;
    let id = platform.run("chani", "now", json!({})).await;
    let answer = platform.control.answered(&id).await;
    assert_eq!(answer["callback_type"], 4);
    assert!(
        embed(&answer["message"])["description"]
            .as_str()
            .unwrap()
            .contains("I could not do this")
    );
    let letter = platform.take(names::DEAD_LETTERS).await;
    assert_eq!(letter.headers[headers::DEAD_REASON], "exhausted");
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_opens_and_what_was_written_is_answered() {
    let platform = Platform::start().await;
    let command = Broken::new("form", How::OpensAForm, ResponseMode::Modal);
    let _bench = platform.bench(vec![Box::new(command)]).await;
    let opened = platform.run("chani", "form", json!({})).await;
    let view = platform.until(&opened, |view| view["callback_type"] == 9).await;
    assert_eq!(view["modal"]["custom_id"], "form:a:b", "{view:#}");
    let sent = platform
        .control
        .interact(json!({
            "kind": "modal", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
            "user_id": "chani", "custom_id": "form:a:b", "fields": {"word": "melange"},
        }))
        .await;
    platform.deliver("INTERACTION_CREATE").await;
    let answer = platform.control.answered(&sent).await;
    assert_eq!(answer["message"]["content"], "a,b: melange");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_option_completes_itself_at_once() {
    let platform = Platform::start().await;
    let command = Broken::new("word", How::Answers, PRIVATE);
    let _bench = platform.bench(vec![Box::new(command)]).await;
    let typing = platform
        .control
        .interact(json!({
            "kind": "autocomplete", "guild_id": platform.community.guild, "channel_id": platform.community.channel,
            "user_id": "chani", "name": "word", "options": {"word": "spi"}, "focused": "word",
        }))
        .await;
    platform.deliver("INTERACTION_CREATE").await;
    let answer = platform.control.answered(&typing).await;
    assert_eq!(answer["callback_type"], 8);
    assert_eq!(answer["choices"][0]["value"], "spi!", "{answer:#}");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_whose_answer_is_lost_is_made_again() {
    let (platform, _worker) = Platform::with_worker().await;
    let fault = Fault::of_kind("rest_lost_answer").count(1).method("PATCH");
    platform.control.fault(&fault).await.unwrap();
    let id = platform.run("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_stuck_commands_wait_in_retries_and_help_answers() {
    let (platform, worker) = Platform::with_worker().await;
    // A job of the start that meets the lock would wait in the same retry queue. The reconcile asks for one sync.
    for kind in ["reconcile", "tier-sync"] {
        let line = format!("arrakis_worker_jobs_total{{kind=\"{kind}\",outcome=\"done\"}}");
        worker.until_metric(&line, 1.0).await;
    }
    let lock = platform.lock("guild_routes").await;
    let waits = platform.run("chani", "position", json!({})).await;
    let help = platform.run("chani", "help", json!({})).await;
    let answer = platform.control.answered(&help).await;
    assert!(embed(&answer["message"]).to_string().contains("/help"));
    let waiting = platform.take("arrakis.retry.5s").await;
    assert_eq!(waiting.id, waits);
    assert!(
        waiting.headers[headers::LAST_ERROR].contains("community.by_guild"),
        "{waiting:?}"
    );
    let told = platform.control.answered(&waits).await;
    assert!(
        embed(&told["message"])["description"]
            .as_str()
            .unwrap()
            .contains("I am trying again")
    );
    lock.release().await;
    platform.vhost.finish().await;
}

/// Two ingestors may each have sent an event, and two workers then have it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_fails_writes_nothing_over_the_answer_of_another() {
    let platform = Platform::start().await;
    let command = Broken::new("race", How::HangsOnce, PRIVATE);
    let bench = platform.bench(vec![Box::new(command)]).await;
    let id = platform.play("chani", "race", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    bench.until_ended("race", "already_done", 1).await;
    assert_eq!(
        platform.control.interaction(&id).await["message"]["content"],
        "answered"
    );
    platform.vhost.finish().await;
}

/// What stands there may be the word that it is tried again, whoever was done with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_again_is_answered_again() {
    let platform = Platform::start().await;
    let command = Broken::new("again", How::Answers, PRIVATE);
    let ran = command.ran.clone();
    let bench = platform.bench(vec![Box::new(command)]).await;
    let id = platform.play("chani", "again", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    bench.until_ended("again", "answered", 1).await;
    platform.publish(&dispatch).await;
    bench.until_ended("again", "already_done", 1).await;
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    let labels = dispatch.labels();
    let mut headers = labels.headers();
    headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(1));
    let (id_text, key) = (labels.event_id.as_str().to_owned(), dispatch.key());
    platform
        .publish_raw(&key, &id_text, &labels.event, headers, dispatch.body.clone())
        .await;
    bench.until_ended("again", "answered", 2).await;
    assert_eq!(ran.load(Ordering::Relaxed), 2);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_hangs_is_stopped_and_tried_again() {
    let platform = Platform::start().await;
    let hangs = Broken::new("hangs", How::Hangs, PRIVATE);
    let fine = Broken::new("fine", How::Answers, PRIVATE);
    let _bench = platform.bench(vec![Box::new(hangs), Box::new(fine)]).await;
    let hung = platform.run("chani", "hangs", json!({})).await;
    let id = platform.run("chani", "fine", json!({})).await;
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
async fn a_private_word_after_a_public_defer_is_said_once() {
    let platform = Platform::start().await;
    let _bench = platform
        .bench(vec![Box::new(Broken::new("moon", How::Fails, PUBLIC))])
        .await;
    let id = platform.play("chani", "moon", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    for _ in 0..2 {
        platform.publish(&dispatch).await;
        platform.take(names::DEAD_LETTERS).await;
    }
    let view = platform.control.interaction(&id).await;
    assert_eq!(view["followups"].as_array().unwrap().len(), 1, "{view:#}");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_up_whose_answer_is_lost_is_written_down_and_not_said_again() {
    let platform = Platform::start().await;
    let _bench = platform
        .bench(vec![Box::new(Broken::new("moon", How::Fails, PUBLIC))])
        .await;
    let lost = Fault::of_kind("rest_lost_answer")
        .count(1)
        .method("POST")
        .path("/webhooks/");
    platform.control.fault(&lost).await.unwrap();
    let id = platform.play("chani", "moon", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    for _ in 0..2 {
        platform.publish(&dispatch).await;
        platform.take(names::DEAD_LETTERS).await;
    }
    let view = platform.control.interaction(&id).await;
    assert_eq!(view["followups"].as_array().unwrap().len(), 1, "{view:#}");
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
