//! From a message in the queue to what Discord received.

use serde_json::{Value, json};

use crate::platform::{Platform, embed};

/// Type 4: a message at once. Type 5: "thinking…". Type 6: a press acknowledged.
const MESSAGE: u64 = 4;
const DEFERRED: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;

/// The private word that a refusal is.
fn refusal(message: &Value) -> &str {
    assert_eq!(message["flags"].as_u64().unwrap() & 64, 64, "not private: {message:#}");
    embed(message)["description"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_commands_answer_as_they_declare() {
    let (platform, worker) = Platform::with_worker().await;
    for (command, callback, private) in [
        ("position", DEFERRED, true),
        ("profile", DEFERRED, true),
        ("leaderboard", DEFERRED, false),
        ("threshold", DEFERRED, true),
        ("stats", DEFERRED, false),
        ("help", MESSAGE, true),
    ] {
        let id = platform.run("chani", command, json!({})).await;
        let answer = platform.control.answered(&id).await;
        assert_eq!(answer["callback_type"], callback, "{command}");
        assert_eq!(answer["ephemeral"], private, "{command}");
        assert!(
            !embed(&answer["message"])["title"].as_str().unwrap().is_empty(),
            "{command}"
        );
        assert_eq!(answer["followups"], json!([]), "{command}");
    }
    platform.until_messages("arrakis.interactions", 0).await;
    let deferred = worker.metric("arrakis_worker_defer_seconds_count");
    assert_eq!(deferred, Some(6.0));
    let seconds = worker.metric("arrakis_worker_defer_seconds_sum").unwrap();
    println!(
        "from arrival to Discord's acknowledgement: {:.1} ms on average",
        seconds * 1000.0 / 6.0
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn position_tells_rank_holding_and_tier() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.run("stilgar", "position", json!({})).await;
    let answer = platform.control.answered(&id).await;
    let text = embed(&answer["message"]).to_string();
    // Chani and eighty strangers are before.
    assert!(
        text.contains("Rank 82") && text.contains("1,500") && text.contains("Usul"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_defer_leaves_before_postgres_is_asked() {
    let (platform, _worker) = Platform::with_worker().await;
    let lock = platform.lock("guild_routes").await;
    let id = platform.run("chani", "position", json!({})).await;
    platform.until_state(&id, "deferred").await;
    lock.release().await;
    platform.control.answered(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_command_gets_a_private_word() {
    let (platform, worker) = Platform::with_worker().await;
    let id = platform.play("chani", "stats", json!({})).await;
    let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut body = dispatch.json();
    body["data"]["name"] = json!("dance");
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    let answer = platform.control.answered(&id).await;
    assert_eq!(answer["callback_type"], MESSAGE);
    assert!(refusal(&answer["message"]).contains("I do not know the command `/dance`"));
    worker
        .until_metric(
            "arrakis_worker_interactions_total{command=\"unknown\",kind=\"command\",outcome=\"unknown_command\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_option_gets_a_private_word_that_says_what_is_right() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.run("chani", "leaderboard", json!({"page": 0})).await;
    let answer = platform.control.answered(&id).await;
    assert_eq!(answer["callback_type"], MESSAGE);
    let text = refusal(&answer["message"]);
    assert_eq!(text, "`page` cannot be 0.\nIt takes a whole number from 1 on.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_onboarded_is_told_in_private_whatever_the_command() {
    let (platform, _worker) = Platform::with_worker().await;
    let there = |command: &str| {
        json!({
            "kind": "command", "guild_id": platform.community.stranger_guild, "name": command, "force": true,
            "channel_id": platform.community.stranger_channel, "user_id": "stranger",
        })
    };
    let private = platform.control.interact(there("position")).await;
    platform.deliver("INTERACTION_CREATE").await;
    let answer = platform.control.answered(&private).await;
    assert!(refusal(&answer["message"]).contains("not been set up"));
    // The command answers in public: what was deferred in public is taken away, and the word is private all the same.
    let public = platform.control.interact(there("stats")).await;
    platform.deliver("INTERACTION_CREATE").await;
    let view = platform
        .until(&public, |view| !view["followups"].as_array().unwrap().is_empty())
        .await;
    assert!(refusal(&view["followups"][0]).contains("not been set up"));
    assert_eq!(view["message"], Value::Null, "the public answer stays: {view:#}");
    // Help works everywhere.
    let help = platform.control.interact(there("help")).await;
    platform.deliver("INTERACTION_CREATE").await;
    let answer = platform.control.answered(&help).await;
    let text = embed(&answer["message"]).to_string();
    assert!(text.contains("/help") && !text.contains("/stats"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_cools_down_for_each_member() {
    let (platform, _worker) = Platform::with_worker().await;
    let mut words = Vec::new();
    for user in ["chani", "chani", "stilgar"] {
        let id = platform.run(user, "position", json!({})).await;
        let answer = platform.control.answered(&id).await;
        words.push(embed(&answer["message"])["description"].as_str().unwrap().to_owned());
    }
    assert!(
        words[1].contains("You have just used `/position`.") && words[1].contains("Try again in"),
        "{words:?}"
    );
    assert!(
        !words[0].contains("just used") && !words[2].contains("just used"),
        "{words:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_turns_the_page_for_who_asked_and_gives_others_their_own() {
    let (platform, _worker) = Platform::with_worker().await;
    let asked = platform.run("chani", "leaderboard", json!({})).await;
    let answer = platform.control.answered(&asked).await;
    let message = answer["message"]["id"].as_str().unwrap().to_owned();
    let press = async |user: &str| {
        let id = platform
            .control
            .press(&platform.community, user, &message, "leaderboard:me")
            .await;
        platform.deliver("INTERACTION_CREATE").await;
        id
    };
    let own = press("chani").await;
    let own = platform.control.answered(&own).await;
    assert_eq!(own["callback_type"], DEFERRED_UPDATE);
    assert_eq!(own["followups"], json!([]));
    let other = press("stilgar").await;
    let other = platform
        .until(&other, |view| !view["followups"].as_array().unwrap().is_empty())
        .await;
    let copy = &other["followups"][0];
    assert_eq!(copy["flags"].as_u64().unwrap() & 64, 64, "{copy:#}");
    assert!(
        embed(copy)["description"].as_str().unwrap().contains("stilgar** (you)"),
        "{copy:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_of_an_older_version_is_told_so() {
    let (platform, _worker) = Platform::with_worker().await;
    let asked = platform.run("chani", "leaderboard", json!({})).await;
    let message = platform.control.answered(&asked).await["message"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let id = platform
        .control
        .press(&platform.community, "chani", &message, "leaderboard:me")
        .await;
    let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut body = dispatch.json();
    body["data"]["custom_id"] = json!("ornithopter:fly");
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    let view = platform.control.answered(&id).await;
    assert!(view["responses"].to_string().contains("older version"), "{view:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_interaction_twice_is_answered_once_and_counted_once() {
    let (platform, worker) = Platform::with_worker().await;
    let other = platform.worker().await;
    let id = platform.play("chani", "position", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    platform.publish(&dispatch).await;
    platform.publish(&dispatch).await;
    platform.control.answered(&id).await;
    platform.until_messages("arrakis.interactions", 0).await;
    assert_eq!(platform.control.count("POST", "/callback", 204).await, 1);
    let mut tx = platform.tenant().await;
    let profile = tx
        .profiles()
        .by_user(platform.community.user_id("chani"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(profile.commands, 1);
    drop((worker, other));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_answer_without_redis() {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.retain(|(name, _)| *name != "REDIS_URL");
    // A port where nobody listens.
    environment.push(("REDIS_URL", "redis://127.0.0.1:1/0".to_owned()));
    let worker = crate::platform::Worker::start(&environment).await;
    platform.commands_registered().await;
    let id = platform.run("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    let troubles = worker.runtime.health.unhealthy_components();
    assert!(
        troubles.iter().any(|trouble| trouble.starts_with("redis: ")),
        "{troubles:?}"
    );
    assert_eq!(worker.runtime.health.status(), arrakis_runtime::HealthStatus::Degraded);
}
