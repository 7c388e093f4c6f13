//! Posts: the live leaderboard, joins and departures, the weekly digest.

use std::time::Duration;

use arrakis_db::PostKind;
use arrakis_emulator_client::NewUser;
use arrakis_telemetry::Metrics;
use arrakis_test_support::{Process, eventually_within};
use arrakis_worker::jobs::{self, notify};
use serde_json::{Value, json};
use time::OffsetDateTime;
use twilight_model::http::interaction::InteractionResponseData;

use crate::platform::{Platform, assert_description, embed};

/// The leader enqueues posts every 30 seconds.
const WAIT: Duration = Duration::from_secs(90);

/// Creates a channel of the server; returns its id.
async fn channel(platform: &Platform, name: &str) -> String {
    let guild = &platform.community.guild;
    let made = platform.control.create_channel(guild, &json!({"name": name})).await;
    made.unwrap()["id"].as_str().unwrap().to_owned()
}

async fn messages(platform: &Platform, channel: &str) -> Vec<Value> {
    let guild = platform.community.guild.as_str();
    platform.control.messages(guild, channel).await.unwrap()
}

async fn until_message(platform: &Platform, channel: &str) -> Value {
    let found = || async { messages(platform, channel).await.into_iter().next() };
    eventually_within(WAIT, found, "a message in the channel").await
}

/// Runs the job of a post, and waits for its end.
async fn write(platform: &Platform, post: PostKind, id: &str) {
    let services = platform.services(&Metrics::new());
    let request = notify::post_request(post, format!("notify:test:{id}"));
    assert!(jobs::enqueue(&services, platform.community.id, &request).await.unwrap());
    let ended = || async {
        let mut tx = platform.tenant().await;
        let job = tx.jobs().get(&request.id).await.unwrap();
        job.is_some_and(|job| job.state.is_final())
    };
    eventually_within(WAIT, ended, "the job to end").await;
}

async fn switch(platform: &Platform, post: PostKind, on: bool) {
    let mut tx = platform.tenant().await;
    tx.posts().set_enabled(post, on).await.unwrap();
    tx.commit().await.unwrap();
}

/// Runs SQL on the rows of the community.
async fn sql(platform: &Platform, statement: &str) {
    let community = platform.community.id;
    let statement = format!("set app.current_tenant = '{community}'; {statement}");
    platform.sql(&statement).await;
}

async fn edits(platform: &Platform) -> usize {
    let calls = platform.control.rest_calls().await.unwrap();
    let is_edit = |path: &str| path.contains("/channels/") && path.contains("/messages/");
    calls
        .iter()
        .filter(|call| call.method == "PATCH" && is_edit(&call.path))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaderboard_is_one_message_that_is_edited_when_it_changes() {
    let platform = Platform::start().await;
    let census = channel(&platform, "census").await;
    let _worker = platform.worker().await;
    let first = until_message(&platform, &census).await;
    assert_eq!(embed(&first)["title"], "Census of the sietch");
    assert_description(&first, "**chani** · 9,000 BGT · rank 1");

    write(&platform, PostKind::Leaderboard, "same").await;
    assert_eq!(edits(&platform).await, 0, "nothing has changed");
    let mut tx = platform.tenant().await;
    let chani = platform.community.user_id("chani");
    tx.profiles()
        .join(chani, "Chani Kynes", OffsetDateTime::now_utc())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    write(&platform, PostKind::Leaderboard, "renamed").await;
    let found = messages(&platform, &census).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], first["id"]);
    assert_description(&found[0], "**Chani Kynes** · 9,000 BGT");
    assert_eq!(edits(&platform).await, 1);
}

/// A worker that died after Discord had the message and before its id was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creation_that_was_interrupted_is_continued_with_the_same_message() {
    let platform = Platform::start().await;
    let census = channel(&platform, "census").await;
    let _worker = platform.worker().await;
    let first = until_message(&platform, &census).await;
    write(&platform, PostKind::Leaderboard, "stored").await;
    sql(
        &platform,
        "update posts set message_id = null, content_hash = null where post = 'leaderboard'; \
         delete from inbox where event_id like 'post:%#sent'",
    )
    .await;
    write(&platform, PostKind::Leaderboard, "continued").await;
    let found = messages(&platform, &census).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let mut tx = platform.tenant().await;
    let post = tx.posts().get(PostKind::Leaderboard).await.unwrap();
    assert_eq!(
        post.message.map(|id| json!(id.to_string())).as_ref(),
        Some(&first["id"])
    );
}

/// A worker that died more than three minutes ago: Discord may have forgotten the nonce.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaderboard_of_a_long_dead_worker_is_found_in_the_channel() {
    let platform = Platform::start().await;
    let census = channel(&platform, "census").await;
    let worker = platform.worker().await;
    let first = until_message(&platform, &census).await;
    write(&platform, PostKind::Leaderboard, "stored").await;
    worker.stop().await.unwrap();
    sql(
        &platform,
        "update posts set message_id = null, content_hash = null, checked_at = null where post = 'leaderboard'; \
         delete from inbox where event_id like 'post:%'; \
         insert into inbox (community_id, event_id, claimed_at) \
         select community_id, 'post:' || attempt_id, now() - interval '4 minutes' from posts where attempt_id is not null",
    )
    .await;
    let _second = platform.worker().await;
    let found = || async {
        let mut tx = platform.tenant().await;
        let post = tx.posts().get(PostKind::Leaderboard).await.unwrap();
        post.message.is_some_and(|id| json!(id.to_string()) == first["id"])
    };
    eventually_within(WAIT, found, "the message to be found").await;
    write(&platform, PostKind::Leaderboard, "edited").await;
    assert_eq!(messages(&platform, &census).await.len(), 1);
}

/// Killed behind Discord's response, and before the id of the leaderboard's message is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_leaves_one_message_of_a_post() {
    const RESPONSE: &str = "discord.called[POST /channels/{channel}/messages]";
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
    for (name, post, point) in [
        ("census", PostKind::Leaderboard, "worker.posts.created"),
        ("census", PostKind::Leaderboard, RESPONSE),
        ("announcements", PostKind::Digest, RESPONSE),
    ] {
        let platform = Platform::start().await;
        let channel = channel(&platform, name).await;
        sql(
            &platform,
            "update communities set onboarded_at = now() - interval '30 days'",
        )
        .await;
        let mut environment = platform.environment();
        let health = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        environment.push(("HEALTH_ADDR", health.to_string()));
        environment.push(("ARRAKIS_FAIL_POINTS", format!("{point}=kill")));
        let mut killed = Process::start_at(program, &[], environment);
        killed.ended(WAIT).await;
        let _second = platform.worker().await;
        let stored = || async {
            let mut tx = platform.tenant().await;
            let stored = tx.posts().get(post).await.unwrap();
            stored.message.is_some() || stored.period.is_some()
        };
        eventually_within(WAIT, stored, "the post to be stored").await;
        assert_eq!(messages(&platform, &channel).await.len(), 1, "{name} {point}");
    }
}

/// Deletes a message or a channel as the bot.
async fn delete(platform: &Platform, path: &str) {
    let url = format!("{}/{path}", platform.emulator.addresses().rest);
    let deleted = reqwest::Client::new()
        .delete(url)
        .header("authorization", format!("Bot {}", platform.emulator.token()))
        .send()
        .await
        .unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.status());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_channel_is_recorded_once_and_found_again() {
    let (platform, _worker) = Platform::with_worker().await;
    write(&platform, PostKind::Leaderboard, "never-there").await;
    let broken = async || {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        let broken = entries.into_iter().filter(|entry| entry.action == "post.broken");
        broken.map(|entry| entry.reason.unwrap()).collect::<Vec<_>>()
    };
    assert!(
        broken().await.is_empty(),
        "a server that never had the channel has no such post"
    );
    let census = channel(&platform, "census").await;
    write(&platform, PostKind::Leaderboard, "first").await;
    assert_eq!(messages(&platform, &census).await.len(), 1);

    delete(&platform, &format!("channels/{census}")).await;
    for id in ["gone", "gone-again"] {
        sql(
            &platform,
            "update posts set content_hash = 1 where post = 'leaderboard'",
        )
        .await;
        write(&platform, PostKind::Leaderboard, id).await;
    }
    assert_eq!(broken().await, ["the server has no channel \"census\" any more"]);
    let census = channel(&platform, "census").await;
    write(&platform, PostKind::Leaderboard, "new").await;
    assert_eq!(messages(&platform, &census).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_and_departures_are_one_message() {
    let platform = Platform::start().await;
    let door = channel(&platform, "the-door").await;
    let _worker = platform.worker().await;
    let guild = platform.community.guild.clone();
    let mut events = Vec::new();
    for name in ["paul", "jessica"] {
        let user = NewUser {
            name: Some(name.to_owned()),
            ..NewUser::default()
        };
        platform.control.join(&guild, &user).await.unwrap();
        events.push(platform.deliver("GUILD_MEMBER_ADD").await);
    }
    for name in ["liet", "jamis"] {
        platform
            .control
            .leave(&guild, platform.community.user(name))
            .await
            .unwrap();
        if name == "jamis" {
            // A reconcile has found the departure before its event arrives.
            let left = "update profiles set left_at = now() where display_name = 'jamis' and left_at is null";
            sql(&platform, left).await;
        }
        events.push(platform.deliver("GUILD_MEMBER_REMOVE").await);
    }
    let message = until_message(&platform, &door).await;
    let whole = || async {
        let text: String = messages(&platform, &door).await.iter().map(Value::to_string).collect();
        ["paul", "jessica", "liet", "jamis"]
            .iter()
            .all(|name| text.contains(name))
    };
    eventually_within(WAIT, whole, "all four to be posted").await;
    assert_eq!(embed(&message)["title"], "Joins and departures");
    // Redelivered events are not posted again.
    let count = messages(&platform, &door).await.len();
    platform.delete_done_markers();
    for event in &events {
        platform.publish(event).await;
    }
    platform.until_messages("arrakis.events.guild", 0).await;
    write(&platform, PostKind::Arrivals, "again").await;
    assert_eq!(messages(&platform, &door).await.len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_that_is_switched_off_is_not_written() {
    let platform = Platform::start().await;
    for post in PostKind::ALL {
        switch(&platform, post, false).await;
    }
    let mut channels = Vec::new();
    for name in ["census", "the-door", "announcements"] {
        channels.push(channel(&platform, name).await);
    }
    sql(
        &platform,
        "update communities set onboarded_at = now() - interval '30 days'",
    )
    .await;
    let _worker = platform.worker().await;
    let user = NewUser {
        name: Some("paul".to_owned()),
        ..NewUser::default()
    };
    platform.control.join(&platform.community.guild, &user).await.unwrap();
    platform.deliver("GUILD_MEMBER_ADD").await;
    platform.until_messages("arrakis.events.guild", 0).await;
    for post in PostKind::ALL {
        write(&platform, post, post.as_str()).await;
    }
    for channel in &channels {
        assert!(messages(&platform, channel).await.is_empty());
    }
    // Switched on again, what happened meanwhile is not posted.
    switch(&platform, PostKind::Arrivals, true).await;
    write(&platform, PostKind::Arrivals, "on").await;
    assert!(messages(&platform, &channels[1]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digest_is_published_once_a_week_whatever_is_repeated() {
    let platform = Platform::start().await;
    let announcements = channel(&platform, "announcements").await;
    sql(
        &platform,
        "update communities set onboarded_at = now() - interval '30 days'",
    )
    .await;
    let week = notify::posts::week_of(OffsetDateTime::now_utc());
    let middle = (week.from + time::Duration::days(3)).unix_timestamp();
    let event = format!(
        "insert into notification_events (community_id, event_id, kind, user_id, payload, created_at) values \
         ('{}', 'a:rank', 'rank', {}, '{{\"before\": {{\"rank\": 90, \"held\": \"1\"}}, \"after\": {{\"rank\": 82, \"held\": \"2\"}}}}', \
          to_timestamp({middle}))",
        platform.community.id,
        platform.community.user("stilgar")
    );
    sql(&platform, &event).await;
    let first = platform.worker().await;
    let message = until_message(&platform, &announcements).await;
    assert_eq!(embed(&message)["title"], "The week in review");
    let fields = embed(&message)["fields"].to_string();
    assert!(fields.contains("📈 **stilgar**: rank 90 → rank 82"), "{fields}");

    first.stop().await.unwrap();
    let _second = platform.worker().await;
    write(&platform, PostKind::Digest, "again").await;
    // A worker that died between Discord's response and the record of the week.
    for lost in ["", "delete from inbox where event_id like 'digest:%#sent';"] {
        sql(
            &platform,
            &format!("{lost} update posts set period = null where post = 'digest'"),
        )
        .await;
        write(&platform, PostKind::Digest, &format!("after-death-{}", lost.len())).await;
    }
    assert_eq!(messages(&platform, &announcements).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_message_of_the_leaderboard_is_created_anew() {
    let platform = Platform::start().await;
    let census = channel(&platform, "census").await;
    let _worker = platform.worker().await;
    let first = until_message(&platform, &census).await;
    write(&platform, PostKind::Leaderboard, "stored").await;
    let id = first["id"].as_str().unwrap();
    delete(&platform, &format!("channels/{census}/messages/{id}")).await;
    // What it showed has not changed, and an hour has passed.
    sql(
        &platform,
        "update posts set checked_at = now() - interval '1 hour' where post = 'leaderboard'",
    )
    .await;
    until_message(&platform, &census).await;
    write(&platform, PostKind::Leaderboard, "deleted").await;
    let found = messages(&platform, &census).await;
    assert_eq!(found.len(), 1);
    assert_ne!(found[0]["id"], first["id"]);
}

/// When an attempt began whose nonce Discord may have forgotten, in SQL.
const LONG_AGO: &str = "now() - interval '4 minutes'";

/// Number of messages that were sent to a channel.
async fn sent(platform: &Platform, channel: &str) -> usize {
    let path = format!("/channels/{channel}/messages");
    platform.control.count("POST", &path, 200).await
}

async fn assert_no_unknown_outcome(platform: &Platform) {
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    assert!(entries.iter().all(|entry| entry.action != "discord.outcome_unknown"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digest_is_published_exactly_once_after_a_long_outage() {
    let platform = Platform::start().await;
    let announcements = channel(&platform, "announcements").await;
    let key = format!("digest:{}", notify::posts::week_of(OffsetDateTime::now_utc()).period);
    let community = platform.community.id;
    let attempt = format!(
        "delete from inbox where event_id like '{key}%'; update posts set period = null where post = 'digest'; \
         insert into inbox (community_id, event_id, claimed_at) values ('{community}', '{key}', {LONG_AGO})"
    );
    // A worker has claimed the digest, and Discord has not received it.
    sql(
        &platform,
        &format!("update communities set onboarded_at = now() - interval '30 days'; {attempt}"),
    )
    .await;
    let _worker = platform.worker().await;
    until_message(&platform, &announcements).await;
    write(&platform, PostKind::Digest, "stored").await;
    assert_eq!(sent(&platform, &announcements).await, 1);

    // A worker has sent it, and died before it recorded that.
    sql(&platform, &attempt).await;
    write(&platform, PostKind::Digest, "found").await;
    assert_eq!(sent(&platform, &announcements).await, 1, "found, and not sent again");
    assert_eq!(messages(&platform, &announcements).await.len(), 1);
    assert_no_unknown_outcome(&platform).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joins_of_a_long_dead_worker_are_found_or_posted() {
    let platform = Platform::start().await;
    let door = channel(&platform, "the-door").await;
    let _worker = platform.worker().await;
    let user = NewUser {
        name: Some("paul".to_owned()),
        ..NewUser::default()
    };
    platform.control.join(&platform.community.guild, &user).await.unwrap();
    platform.deliver("GUILD_MEMBER_ADD").await;
    let first = until_message(&platform, &door).await;
    write(&platform, PostKind::Arrivals, "stored").await;
    let attempt = format!(
        "delete from inbox where event_id like 'arrivals:%'; update arrivals set posted_at = null; \
         insert into inbox (community_id, event_id, claimed_at) \
         select distinct community_id, 'arrivals:' || message_id, {LONG_AGO} from arrivals where message_id is not null"
    );
    sql(&platform, &attempt).await;
    write(&platform, PostKind::Arrivals, "found").await;
    assert_eq!(sent(&platform, &door).await, 1, "found, and not sent again");

    // The same, and the channel does not have it but another one: an empty list would not show whether the bot may read the history.
    let id = first["id"].as_str().unwrap();
    delete(&platform, &format!("channels/{door}/messages/{id}")).await;
    let calls = platform.services(&Metrics::new()).discord.bulk(None);
    let other = InteractionResponseData {
        content: Some("others".to_owned()),
        ..InteractionResponseData::default()
    };
    calls.send_message(door.parse().unwrap(), &other, 7).await.unwrap();
    sql(&platform, &attempt).await;
    write(&platform, PostKind::Arrivals, "missing").await;
    let again = || async {
        let found = messages(&platform, &door).await;
        found.iter().any(|message| message.to_string().contains("paul"))
    };
    eventually_within(WAIT, again, "the join to be posted again").await;
    assert_no_unknown_outcome(&platform).await;
}
