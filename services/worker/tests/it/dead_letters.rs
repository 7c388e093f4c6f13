//! The tool for dead letters, as an operator runs it.

use std::path::Path;
use std::time::Duration;

use arrakis_broker::Message;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::names;
use arrakis_test_support::{Process, eventually};
use arrakis_worker::commands::{Command, ResponseMode};
use serde_json::{Value, json};

use crate::platform::{Broken, How, Platform, labels};

const LIMIT: Duration = Duration::from_secs(30);

/// Exit code and what was printed.
async fn tool(platform: &Platform, arguments: &[&str]) -> (i32, Vec<String>) {
    let mut all = vec!["dead-letters"];
    all.extend(arguments);
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let process = Process::start_at(program, &all, [("AMQP_URL", platform.vhost.url())]);
    let (status, text) = process.output(LIMIT).await;
    (status.code().unwrap(), text.lines().map(str::to_owned).collect())
}

async fn letters(platform: &Platform) -> Vec<Value> {
    let (code, lines) = tool(platform, &["list", "--json"]).await;
    assert_eq!(code, 0, "{lines:?}");
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Two letters: one that stays broken, and one that a deploy would mend.
async fn two_letters(platform: &Platform) {
    for (id, event) in [("broken", "GUILD_MEMBER_ADD"), ("unknown", "GUILD_DANCE")] {
        let headers = labels(event, id, None).headers();
        platform
            .publish_raw("member.join", id, event, headers, b"{}".to_vec())
            .await;
    }
    platform.until_messages(names::DEAD_LETTERS, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_listed_shown_replayed_and_purged() {
    let (platform, worker) = Platform::with_worker().await;
    two_letters(&platform).await;
    let listed = letters(&platform).await;
    let of = |id: &str| listed.iter().find(|letter| letter["id"] == id).unwrap();
    assert_eq!(of("broken")["reason"], "permanent");
    assert_eq!(of("unknown")["reason"], "unreadable");
    assert_eq!(of("unknown")["origin_queue"], names::EVENTS_GUILD);
    assert_eq!(of("unknown")["attempts"], 1);

    let (code, lines) = tool(&platform, &["show", "unknown"]).await;
    assert_eq!(code, 0);
    let text = lines.join("\n");
    assert!(
        text.contains("no handler for GUILD_DANCE") && text.contains("routing key: member.join"),
        "{text}"
    );
    let (code, lines) = tool(&platform, &["show", "nobody"]).await;
    assert_eq!(code, 1);
    assert!(lines.join("\n").contains("no dead letter has the id nobody"));

    // Replayed it fails again, under the same id.
    let (code, lines) = tool(&platform, &["replay", "broken"]).await;
    assert_eq!((code, lines), (0, vec!["1 replayed".to_owned()]));
    let line = "arrakis_worker_events_total{event=\"GUILD_MEMBER_ADD\",outcome=\"permanent\"}";
    worker.until_metric(line, 2.0).await;
    platform.until_messages(names::DEAD_LETTERS, 2).await;

    let (code, lines) = tool(&platform, &["purge", "--kind", "GUILD_DANCE"]).await;
    assert_eq!(code, 1);
    assert!(lines[0].contains("1 would be removed for good; add --yes"), "{lines:?}");
    let (code, lines) = tool(&platform, &["purge", "--kind", "GUILD_DANCE", "--yes"]).await;
    assert_eq!((code, lines), (0, vec!["1 removed".to_owned()]));
    let left = letters(&platform).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"], "broken");
    let (_, lines) = tool(&platform, &["purge", "--all", "--yes"]).await;
    assert_eq!(lines, ["1 removed"]);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_event_has_its_effect_once_however_often() {
    let (platform, worker) = Platform::with_worker().await;
    // The reconcile of the start would note the leave by itself; it is over when it has given the three roles that lack.
    eventually(
        || async { platform.control.count("PUT", "/roles/", 204).await == 3 },
        "the reconcile of the start to end",
    )
    .await;
    // A leave that no worker could handle.
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
    let (code, lines) = tool(&platform, &["replay", "--all"]).await;
    assert_eq!((code, lines), (0, vec!["2 replayed".to_owned()]));
    let noted = async || {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        entries.iter().filter(|entry| entry.action == "member.left").count()
    };
    // Management learns late what a quorum queue holds, so an empty queue alone would say nothing.
    eventually(|| async { noted().await > 0 }, "the leave to be noted").await;
    platform.until_messages(names::EVENTS_GUILD, 0).await;
    assert_eq!(noted().await, 1);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_is_told_apart_from_a_wrong_environment() {
    let platform = Platform::start().await;
    let (code, lines) = tool(&platform, &["replay"]).await;
    assert_eq!(code, 2, "{lines:?}");
    let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    let nothing: [(&str, &str); 0] = [];
    let (status, text) = Process::start_at(program, &["dead-letters", "list"], nothing)
        .output(LIMIT)
        .await;
    assert_eq!(status.code(), Some(78));
    assert!(text.contains("AMQP_URL is not set"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_shown_nowhere() {
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
        let (code, lines) = tool(&platform, &arguments).await;
        let text = lines.join("\n");
        assert_eq!(code, 0, "{text}");
        assert!(
            !text.contains(TOKEN) && text.contains("[redacted]"),
            "{arguments:?}: {text}"
        );
    }
    let (_, lines) = tool(&platform, &["show", "with-token"]).await;
    assert!(lines.join("\n").contains("position"), "the rest is shown: {lines:?}");
}

/// Runs commands that fail once; replays their dead letters.
async fn replayed_interaction(platform: &Platform, name: &str) -> Value {
    let id = platform.run("chani", name, json!({})).await;
    // The counts of the management plugin may be those of the letter before.
    eventually(
        || async { letters(platform).await.iter().any(|letter| letter["id"] == id.as_str()) },
        "the letter",
    )
    .await;
    let (code, lines) = tool(platform, &["replay", &id]).await;
    assert_eq!((code, lines), (0, vec!["1 replayed".to_owned()]));
    let answered = |view: &Value| {
        let follow_ups = view["followups"].as_array().unwrap();
        let mut messages = follow_ups.iter().chain([&view["message"]]);
        messages.any(|message| message["content"] == "answered")
    };
    let view = platform.until(&id, answered).await;
    eventually(|| async { letters(platform).await.is_empty() }, "no letter").await;
    view
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_interaction_is_answered_within_its_fifteen_minutes() {
    let platform = Platform::start().await;
    let broken = |name, mode| -> Box<dyn Command> { Box::new(Broken::new(name, How::FailsOnce, mode)) };
    let _bench = platform
        .bench(vec![
            broken("private", ResponseMode::Deferred { ephemeral: true }),
            broken("public", ResponseMode::Deferred { ephemeral: false }),
            broken("now", ResponseMode::Immediate),
        ])
        .await;
    // Past the three seconds, so that no first response is accepted any more.
    for name in ["private", "public", "now"] {
        let view = replayed_interaction(&platform, name).await;
        assert_eq!(view["state"], "answered", "{name}: {view:#}");
    }
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_interaction_that_discord_does_not_accept_any_more_stays_a_dead_letter() {
    let platform = Platform::start().await;
    let mode = ResponseMode::Deferred { ephemeral: true };
    let _bench = platform
        .bench(vec![Box::new(Broken::new("private", How::Answers, mode))])
        .await;
    let id = platform.play("chani", "private", json!({})).await;
    let dispatch = platform.dispatch("INTERACTION_CREATE").await;
    // It never had a first response.
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
async fn letters_of_strangers_do_not_act_on_the_terminal() {
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
        let (_, lines) = tool(&platform, &arguments).await;
        for line in &lines {
            assert!(!line.chars().any(char::is_control), "{arguments:?}: {line:?}");
            assert!(!line.starts_with("forged-line"), "{arguments:?}: {line:?}");
        }
    }
    assert_eq!(
        letters(&platform).await.len(),
        1,
        "it is not replayed into the ingestor's queue"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_not_handled_again_when_what_it_did_may_be_forgotten() {
    let (platform, _worker) = Platform::with_worker().await;
    let long_ago = |id: &str, days: u64| {
        let mut old = labels("GUILD_MEMBER_ADD", id, None);
        // The worker judges the age by Discord's clock, which it knows to a second or so: a minute more keeps off the limit.
        old.received_us -= (days * 24 * 3_600 + 60) * 1_000_000;
        old.headers()
    };
    let tried = |mut headers: arrakis_contracts::labels::Headers, name: &str| {
        headers.insert(name.to_owned(), HeaderValue::Integer(1));
        headers
    };
    for (id, headers) in [
        // Never handled, however old: its body is at fault.
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
    let (code, lines) = tool(&platform, &["replay", "tried-long-ago"]).await;
    assert_eq!(code, 1);
    assert!(
        lines
            .join("\n")
            .contains("tried-long-ago stays: it was first received more than 7 days ago"),
        "{lines:?}"
    );
}
