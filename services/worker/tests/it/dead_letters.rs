//! The subcommands of `arrakis-worker dead-letters`.

use std::path::Path;
use std::time::Duration;

use arrakis_broker::Message;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::names;
use arrakis_test_support::{Process, eventually};
use arrakis_worker::commands::{DynCommand, ResponseMode};
use serde_json::{Value, json};

use crate::platform::{Behavior, Platform, TestCommand, follow_ups, labels};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs a subcommand; returns the exit code and the printed lines.
async fn dead_letters(platform: &Platform, arguments: &[&str]) -> (i32, Vec<String>) {
    let mut all = vec!["dead-letters"];
    all.extend(arguments);
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let process = Process::start_at(program, &all, [("AMQP_URL", platform.vhost.url())]);
    let (status, text) = process.output(LIMIT).await;
    (status.code().unwrap(), text.lines().map(str::to_owned).collect())
}

async fn letters(platform: &Platform) -> Vec<Value> {
    let (code, lines) = dead_letters(platform, &["list", "--json"]).await;
    assert_eq!(code, 0, "{lines:?}");
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Two dead letters: one with an invalid body, and one without a handler in this build.
async fn two_letters(platform: &Platform) {
    for (id, event) in [("invalid", "GUILD_MEMBER_ADD"), ("unknown", "GUILD_DANCE")] {
        let headers = labels(event, id, None).headers();
        platform
            .publish_raw("member.join", id, event, headers, b"{}".to_vec())
            .await;
    }
    platform.until_messages(names::DEAD_LETTERS, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_listed_shown_replayed_and_purged() {
    let (platform, worker) = Platform::with_worker().await;
    two_letters(&platform).await;
    let listed = letters(&platform).await;
    let of = |id: &str| listed.iter().find(|letter| letter["id"] == id).unwrap();
    assert_eq!(of("invalid")["reason"], "permanent");
    assert_eq!(of("unknown")["reason"], "unreadable");
    assert_eq!(of("unknown")["origin_queue"], names::EVENTS_GUILD);
    assert_eq!(of("unknown")["attempts"], 1);

    let (code, lines) = dead_letters(&platform, &["show", "unknown"]).await;
    assert_eq!(code, 0);
    let text = lines.join("\n");
    assert!(
        text.contains("no handler for GUILD_DANCE") && text.contains("routing key: member.join"),
        "{text}"
    );
    let (code, lines) = dead_letters(&platform, &["show", "missing"]).await;
    assert_eq!(code, 1);
    assert!(lines.join("\n").contains("no dead letter has the id missing"));

    // The replayed event fails again under the same id.
    let (code, lines) = dead_letters(&platform, &["replay", "invalid"]).await;
    assert_eq!((code, lines), (0, vec!["1 replayed".to_owned()]));
    let line = "arrakis_worker_events_total{event=\"GUILD_MEMBER_ADD\",outcome=\"permanent\"}";
    worker.until_metric(line, 2.0).await;
    platform.until_messages(names::DEAD_LETTERS, 2).await;

    let (code, lines) = dead_letters(&platform, &["purge", "--kind", "GUILD_DANCE"]).await;
    assert_eq!(code, 1);
    assert!(lines[0].contains("1 would be deleted; add --yes"), "{lines:?}");
    let (code, lines) = dead_letters(&platform, &["purge", "--kind", "GUILD_DANCE", "--yes"]).await;
    assert_eq!((code, lines), (0, vec!["1 deleted".to_owned()]));
    let left = letters(&platform).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"], "invalid");
    let (_, lines) = dead_letters(&platform, &["purge", "--all", "--yes"]).await;
    assert_eq!(lines, ["1 deleted"]);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_is_replayed_twice_has_its_effect_once() {
    let (platform, worker) = Platform::with_worker().await;
    // The first reconcile would store the leave, too. It has ended when the three missing roles are assigned.
    eventually(
        || async { platform.control.count("PUT", "/roles/", 204).await == 3 },
        "the first reconcile to end",
    )
    .await;
    // A leave whose retries are exhausted.
    let user = platform.community.user("chani").to_owned();
    platform
        .control
        .leave(&platform.community.guild, "chani")
        .await
        .unwrap();
    let guild: u64 = platform.community.guild.parse().unwrap();
    let body = json!({"guild_id": platform.community.guild, "user": {"id": user, "username": "chani"}});
    let labels = labels("GUILD_MEMBER_REMOVE", "leave-1", Some(guild));
    let mut dead = arrakis_broker::Message::new(
        names::DEAD_LETTERS,
        "member.leave",
        "leave-1",
        "GUILD_MEMBER_REMOVE",
        serde_json::to_vec(&body).unwrap(),
    );
    dead.headers = labels.headers();
    let text = |text: &str| arrakis_contracts::labels::HeaderValue::Text(text.to_owned());
    dead.headers
        .insert("origin_queue".to_owned(), text(names::EVENTS_GUILD));
    dead.headers.insert("origin_key".to_owned(), text("member.leave"));
    dead.headers.insert("dead_reason".to_owned(), text("exhausted"));
    platform.publisher.publish(&dead).await.unwrap();
    platform.publisher.publish(&dead).await.unwrap();
    let (code, lines) = dead_letters(&platform, &["replay", "--all"]).await;
    let removed = "1 copy with the same id, queue and body removed";
    assert_eq!((code, lines), (0, vec!["1 replayed".to_owned(), removed.to_owned()]));
    platform.publisher.publish(&dead).await.unwrap();
    let (code, lines) = dead_letters(&platform, &["replay", "--all"]).await;
    assert_eq!((code, lines), (0, vec!["1 replayed".to_owned()]));
    let recorded = async || {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        entries.iter().filter(|entry| entry.action == "member.left").count()
    };
    // The management plugin counts the messages of a quorum queue with a delay, so an empty queue is not sufficient.
    eventually(|| async { recorded().await > 0 }, "the leave to be recorded").await;
    platform.until_messages(names::EVENTS_GUILD, 0).await;
    assert_eq!(recorded().await, 1);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_usage_and_invalid_configuration_have_different_exit_codes() {
    let platform = Platform::start().await;
    let (code, lines) = dead_letters(&platform, &["replay"]).await;
    assert_eq!(code, 64, "{lines:?}");
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let nothing: [(&str, &str); 0] = [];
    let (status, text) = Process::start_at(program, &["dead-letters", "list"], nothing)
        .output(LIMIT)
        .await;
    assert_eq!(status.code(), Some(78));
    assert!(text.contains("AMQP_URL is not set"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_redacted() {
    const TOKEN: &str = "aW50ZXJhY3Rpb246c2VjcmV0";
    let platform = Platform::start().await;
    let nested = json!({"id": "1", "token": TOKEN}).to_string();
    let body =
        json!({"token": TOKEN, "data": {"name": "position"}, "raw": nested, "url": format!("/webhooks/7/{TOKEN}")});
    let mut headers = labels("INTERACTION_CREATE", "with-token", None).headers();
    for (name, text) in [
        ("last_error", format!("POST /interactions/5/{TOKEN}/callback failed")),
        ("dead_reason", "permanent".to_owned()),
        ("origin_queue", names::INTERACTIONS.to_owned()),
    ] {
        headers.insert(name.to_owned(), HeaderValue::Text(text));
    }
    let mut message = Message::new(
        "",
        names::DEAD_LETTERS,
        "with-token",
        "INTERACTION_CREATE",
        body.to_string(),
    );
    message.headers = headers;
    platform.publisher.publish(&message).await.unwrap();
    platform.until_messages(names::DEAD_LETTERS, 1).await;
    for arguments in [
        vec!["list"],
        vec!["list", "--json"],
        vec!["show", "with-token"],
        vec!["show", "with-token", "--json"],
    ] {
        let (code, lines) = dead_letters(&platform, &arguments).await;
        let text = lines.join("\n");
        assert_eq!(code, 0, "{text}");
        assert!(
            !text.contains(TOKEN) && text.contains("[redacted]"),
            "{arguments:?}: {text}"
        );
    }
    let (_, lines) = dead_letters(&platform, &["show", "with-token"]).await;
    assert!(
        lines.join("\n").contains("position"),
        "the rest of the body is printed: {lines:?}"
    );
}

/// Runs a command that fails once and replays its dead letter; returns the interaction.
async fn replayed_interaction(platform: &Platform, name: &str) -> Value {
    let id = platform.run_command("chani", name, json!({})).await;
    // The management plugin may still count the dead letter of the command before.
    eventually(
        || async { letters(platform).await.iter().any(|letter| letter["id"] == id.as_str()) },
        "the dead letter",
    )
    .await;
    let (code, lines) = dead_letters(platform, &["replay", &id]).await;
    assert_eq!((code, lines), (0, vec!["1 replayed".to_owned()]));
    let answered = |view: &Value| {
        let mut messages = follow_ups(view).iter().chain([&view["message"]]);
        messages.any(|message| message["content"] == "answered")
    };
    let view = platform.until(&id, answered).await;
    eventually(|| async { letters(platform).await.is_empty() }, "no dead letter").await;
    view
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_interaction_is_replied_to_within_fifteen_minutes() {
    let platform = Platform::start().await;
    let failing = |name, mode| -> Box<dyn DynCommand> { Box::new(TestCommand::new(name, Behavior::FailsOnce, mode)) };
    let _consumer = platform
        .consume(vec![
            failing("private", ResponseMode::Deferred { ephemeral: true }),
            failing("public", ResponseMode::Deferred { ephemeral: false }),
            failing("now", ResponseMode::Immediate),
        ])
        .await;
    // After the three seconds, when Discord accepts no first response.
    for name in ["private", "public", "now"] {
        let view = replayed_interaction(&platform, name).await;
        assert_eq!(view["state"], "answered", "{name}: {view:#}");
    }
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_interaction_without_a_valid_token_stays_a_dead_letter() {
    let platform = Platform::start().await;
    let mode = ResponseMode::Deferred { ephemeral: true };
    let _consumer = platform
        .consume(vec![Box::new(TestCommand::new("private", Behavior::Replies, mode))])
        .await;
    let id = platform.send_command("chani", "private", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    // The interaction had no first response.
    platform.control.advance(Duration::from_secs(4)).await.unwrap();
    let labels = dispatch.labels();
    let mut headers = labels.headers();
    headers.insert("replays".to_owned(), HeaderValue::Integer(1));
    platform
        .publish_raw(&dispatch.key(), &id, &labels.event, headers, dispatch.body.clone())
        .await;
    platform.until_messages(names::DEAD_LETTERS, 1).await;
    let letter = &letters(&platform).await[0];
    assert_eq!(letter["reason"], "expired");
    assert!(
        letter["error"].as_str().unwrap().contains("accepts no reply"),
        "{letter:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn untrusted_text_of_a_dead_letter_is_escaped() {
    let platform = Platform::start().await;
    let mut headers = labels("GUILD_MEMBER_ADD", "strange", None).headers();
    for (name, text) in [
        ("last_error", "\u{1b}[2Jcleared\nforged-line  GUILD_DANCE"),
        ("dead_reason", "permanent"),
        ("origin_queue", "arrakis.ingestor.shard.0\r"),
        ("no\u{1b}te", "\u{9b}31m"),
    ] {
        headers.insert(name.to_owned(), HeaderValue::Text(text.to_owned()));
    }
    let body = b"\x1b[31mred\nforged-line".to_vec();
    let mut message = Message::new("", names::DEAD_LETTERS, "strange", "GUILD_MEMBER_ADD", body);
    message.headers = headers;
    platform.publisher.publish(&message).await.unwrap();
    platform.until_messages(names::DEAD_LETTERS, 1).await;
    for arguments in [
        vec!["list"],
        vec!["list", "--json"],
        vec!["show", "strange"],
        vec!["show", "strange", "--json"],
        vec!["replay", "strange"],
    ] {
        let (_, lines) = dead_letters(&platform, &arguments).await;
        for line in &lines {
            assert!(!line.chars().any(char::is_control), "{arguments:?}: {line:?}");
            assert!(!line.starts_with("forged-line"), "{arguments:?}: {line:?}");
        }
    }
    assert_eq!(
        letters(&platform).await.len(),
        1,
        "it is not replayed to the queue of the ingestor"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_not_handled_again_when_its_claims_may_be_deleted() {
    let (platform, _worker) = Platform::with_worker().await;
    let long_ago = |id: &str, days: u64| {
        let mut old = labels("GUILD_MEMBER_ADD", id, None);
        // The worker's measurement of Discord's clock is exact to a second: a further minute keeps the age away from the limit.
        old.received_us -= (days * 24 * 3_600 + 60) * 1_000_000;
        old.headers()
    };
    let tried = |mut headers: arrakis_contracts::labels::Headers, name: &str| {
        headers.insert(name.to_owned(), HeaderValue::Integer(1));
        headers
    };
    for (id, headers) in [
        // Not handled before: it is handled at any age, and its body is invalid.
        ("old-and-new", long_ago("old-and-new", 30)),
        ("replayed-in-time", tried(long_ago("replayed-in-time", 7), "replays")),
        ("replayed-too-late", tried(long_ago("replayed-too-late", 8), "replays")),
        ("tried-long-ago", tried(long_ago("tried-long-ago", 8), "attempts")),
        ("returned-long-ago", tried(long_ago("returned-long-ago", 8), "returns")),
    ] {
        platform
            .publish_raw("member.join", id, "GUILD_MEMBER_ADD", headers, b"{}".to_vec())
            .await;
    }
    platform.until_messages(names::DEAD_LETTERS, 5).await;
    let listed = letters(&platform).await;
    for (id, reason) in [
        ("old-and-new", "permanent"),
        ("replayed-in-time", "permanent"),
        ("replayed-too-late", "expired"),
        ("tried-long-ago", "expired"),
        ("returned-long-ago", "expired"),
    ] {
        let letter = listed.iter().find(|letter| letter["id"] == id).unwrap();
        assert_eq!(letter["reason"], reason, "{letter}");
    }
    let (code, lines) = dead_letters(&platform, &["replay", "tried-long-ago"]).await;
    assert_eq!(code, 1);
    assert!(
        lines
            .join("\n")
            .contains("tried-long-ago is not replayed: it was first received more than 7 days ago"),
        "{lines:?}"
    );
}
