//! Interactions from the queue to the reply at Discord.

use arrakis_worker::commands::Commands;
use serde_json::{Value, json};

use crate::platform::{Platform, assert_description, assert_refusal, description, embed, follow_ups, is_ephemeral};

/// Types of interaction callbacks: 4 is a message, 5 shows "thinking…", 6 defers an update of the message with the component.
const MESSAGE: u64 = 4;
const DEFERRED: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_replies_as_defined() {
    let (platform, worker) = Platform::with_worker().await;
    let commands = [
        ("position", DEFERRED, true),
        ("profile", DEFERRED, true),
        ("badges", DEFERRED, true),
        ("leaderboard", DEFERRED, false),
        ("directory", DEFERRED, true),
        ("naib", DEFERRED, true),
        ("threshold", DEFERRED, true),
        ("check-eligibility", DEFERRED, true),
        ("stats", DEFERRED, false),
        ("verify status", DEFERRED, true),
        // Refused: she has a place.
        ("register-waitlist", DEFERRED, true),
        ("alerts", DEFERRED, true),
        // Refused: she does not hold the badge.
        ("water-share", DEFERRED, true),
        // Refused at once: this worker has no key of second factors.
        ("mfa status", MESSAGE, true),
        ("help", MESSAGE, true),
    ];
    let all = Commands::default();
    let for_members = all.definitions().filter(|definition| definition.permissions.is_none());
    assert_eq!(commands.len(), for_members.count());
    for (command, callback, ephemeral) in commands {
        let id = platform.run_command("chani", command, json!({})).await;
        let reply = platform.control.answered(&id).await;
        assert_eq!(reply["callback_type"], callback, "{command}");
        assert_eq!(reply["ephemeral"], ephemeral, "{command}");
        let embed = embed(&reply["message"]);
        let text = embed["title"].as_str().or(embed["description"].as_str());
        assert!(!text.unwrap().is_empty(), "{command}");
        assert_eq!(reply["followups"], json!([]), "{command}");
    }
    platform.until_messages("arrakis.interactions", 0).await;
    let deferred = worker.metric("arrakis_worker_defer_seconds_count");
    let number = f64::from(u32::try_from(commands.len()).unwrap());
    assert_eq!(deferred, Some(number));
    let seconds = worker.metric("arrakis_worker_defer_seconds_sum").unwrap();
    println!(
        "from arrival to Discord's acknowledgement: {:.1} ms on average",
        seconds * 1000.0 / number
    );
    platform.vhost.finish().await;
}

/// It commits its transaction before it reads the chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_eligibility_is_counted_and_has_a_cooldown() {
    let (platform, worker) = Platform::with_worker().await;
    let id = platform.run_command("stilgar", "check-eligibility", json!({})).await;
    let reply = platform.control.answered(&id).await;
    assert_description(&reply["message"], "Rank 82");
    let second = platform.run_command("stilgar", "check-eligibility", json!({})).await;
    let reply = platform.control.answered(&second).await;
    assert_refusal(&reply["message"], "You have just used `/check-eligibility`");
    platform.until_messages("arrakis.interactions", 0).await;
    let mut tx = platform.tenant().await;
    let stilgar = platform.community.user_id("stilgar");
    let profile = tx.profiles().by_user(stilgar).await.unwrap().unwrap();
    assert_eq!(profile.commands, 1);
    let answers = worker.metric("arrakis_worker_eligibility_answers_total{source=\"none\"}");
    assert_eq!(answers, Some(1.0));
}

/// Each reply has another link: the one before works no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admin_stats_has_a_link_to_the_status_page() {
    let (platform, _worker) = Platform::with_worker().await;
    let mut links = Vec::new();
    for _ in 0..2 {
        platform.delete_cooldowns();
        let id = platform.send_command("chani", "admin-stats", json!({})).await;
        platform.deliver_with_permissions("8").await;
        let reply = platform.control.answered(&id).await;
        assert_eq!(reply["ephemeral"], true, "{reply:#}");
        let rows = reply["message"]["components"].as_array().unwrap();
        let buttons = rows.iter().flat_map(|row| row["components"].as_array().unwrap());
        let urls: Vec<_> = buttons.filter_map(|button| button["url"].as_str()).collect();
        let [url] = urls.as_slice() else {
            panic!("one link: {reply:#}");
        };
        let token = url.strip_prefix("https://verify.example.org/status/sign-in/").unwrap();
        assert!(arrakis_contracts::status::split_token(token).is_some(), "{url}");
        links.push((*url).to_owned());
    }
    assert_ne!(links[0], links[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn position_shows_rank_holding_and_tier() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.run_command("stilgar", "position", json!({})).await;
    let reply = platform.control.answered(&id).await;
    let text = embed(&reply["message"]).to_string();
    // Chani and eighty other wallets rank above.
    assert!(
        text.contains("Rank 82") && text.contains("1,500") && text.contains("Usul"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defer_is_sent_before_postgres_is_read() {
    let (platform, _worker) = Platform::with_worker().await;
    let lock = platform.lock("guild_routes").await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.until_state(&id, "deferred").await;
    lock.release().await;
    platform.control.answered(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_command_is_refused() {
    let (platform, worker) = Platform::with_worker().await;
    let id = platform.send_command("chani", "stats", json!({})).await;
    let mut dispatch = platform.dispatch("INTERACTION_CREATE").await;
    let mut body = dispatch.json();
    body["data"]["name"] = json!("dance");
    dispatch.body = serde_json::to_vec(&body).unwrap();
    platform.publish(&dispatch).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["callback_type"], MESSAGE);
    assert_refusal(&reply["message"], "I do not know the command `/dance`");
    worker
        .until_metric(
            "arrakis_worker_interactions_total{command=\"unknown\",kind=\"command\",outcome=\"unknown_command\"}",
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_option_is_refused_with_the_accepted_values() {
    let (platform, _worker) = Platform::with_worker().await;
    let id = platform.run_command("chani", "leaderboard", json!({"page": 0})).await;
    let reply = platform.control.answered(&id).await;
    assert_eq!(reply["callback_type"], MESSAGE);
    assert_refusal(
        &reply["message"],
        "`page` cannot be 0.\nIt takes a whole number from 1 on.",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_in_a_server_that_is_not_onboarded_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    let in_other_guild = |command: &str| {
        json!({
            "kind": "command", "guild_id": platform.community.other_guild, "name": command, "force": true,
            "channel_id": platform.community.other_channel, "user_id": "stranger",
        })
    };
    let ephemeral = platform.control.interact(in_other_guild("position")).await;
    platform.deliver("INTERACTION_CREATE").await;
    let reply = platform.control.answered(&ephemeral).await;
    assert_refusal(&reply["message"], "not been set up");
    // The reply of this command is public: the public original response is deleted, and the refusal is an ephemeral follow-up.
    let public = platform.control.interact(in_other_guild("stats")).await;
    platform.deliver("INTERACTION_CREATE").await;
    let view = platform.until(&public, |view| !follow_ups(view).is_empty()).await;
    assert_refusal(&follow_ups(&view)[0], "not been set up");
    assert_eq!(
        view["message"],
        Value::Null,
        "the original response was not deleted: {view:#}"
    );
    // /help works without a community.
    let help = platform.control.interact(in_other_guild("help")).await;
    platform.deliver("INTERACTION_CREATE").await;
    let reply = platform.control.answered(&help).await;
    let text = embed(&reply["message"]).to_string();
    assert!(text.contains("/help") && !text.contains("/stats"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cooldown_is_of_one_member() {
    let (platform, _worker) = Platform::with_worker().await;
    let mut descriptions = Vec::new();
    for user in ["chani", "chani", "stilgar"] {
        let id = platform.run_command(user, "position", json!({})).await;
        let reply = platform.control.answered(&id).await;
        descriptions.push(description(&reply["message"]).to_owned());
    }
    assert!(
        descriptions[1].contains("You have just used `/position`.") && descriptions[1].contains("Try again in"),
        "{descriptions:?}"
    );
    assert!(
        !descriptions[0].contains("just used") && !descriptions[2].contains("just used"),
        "{descriptions:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn click_by_another_member_is_replied_to_with_an_ephemeral_copy() {
    let (platform, _worker) = Platform::with_worker().await;
    let original = platform.run_command("chani", "leaderboard", json!({})).await;
    let reply = platform.control.answered(&original).await;
    let message = reply["message"]["id"].as_str().unwrap().to_owned();
    let click = async |user: &str| {
        let id = platform
            .control
            .press(&platform.community, user, &message, "leaderboard:me")
            .await;
        platform.deliver("INTERACTION_CREATE").await;
        id
    };
    let own = click("chani").await;
    let own = platform.control.answered(&own).await;
    assert_eq!(own["callback_type"], DEFERRED_UPDATE);
    assert_eq!(own["followups"], json!([]));
    let other = click("stilgar").await;
    let other = platform.until(&other, |view| !follow_ups(view).is_empty()).await;
    let copy = &follow_ups(&other)[0];
    assert!(is_ephemeral(copy), "{copy:#}");
    assert_description(copy, "stilgar** (you)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn button_of_an_older_version_is_refused() {
    let (platform, _worker) = Platform::with_worker().await;
    let original = platform.run_command("chani", "leaderboard", json!({})).await;
    let message = platform.control.answered(&original).await["message"]["id"]
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
async fn interaction_that_is_delivered_twice_is_replied_to_and_counted_once() {
    let (platform, worker) = Platform::with_worker().await;
    let other = platform.worker().await;
    let id = platform.send_command("chani", "position", json!({})).await;
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
async fn command_is_replied_to_without_redis() {
    let platform = Platform::start().await;
    let mut environment = platform.environment();
    environment.retain(|(name, _)| *name != "REDIS_URL");
    // A port without a listener.
    environment.push(("REDIS_URL", "redis://127.0.0.1:1/0".to_owned()));
    let worker = crate::platform::Worker::start(&environment).await;
    platform.commands_registered().await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    let troubles = worker.runtime.health.unhealthy_components();
    assert!(
        troubles.iter().any(|trouble| trouble.starts_with("redis: ")),
        "{troubles:?}"
    );
    assert_eq!(worker.runtime.health.status(), arrakis_runtime::HealthStatus::Degraded);
}
