//! Messages that cannot be decoded become dead letters with a reason, and the next message is handled.

use arrakis_contracts::labels::{HeaderValue, Headers};
use arrakis_contracts::{headers, names};
use serde_json::json;

use crate::platform::{Platform, TakenMessage, labels};

/// Removes the dead letter from its queue; it has this id.
async fn letter(platform: &Platform, id: &str) -> TakenMessage {
    let letter = platform.take(names::DEAD_LETTERS).await;
    assert_eq!(letter.id, id);
    letter
}

async fn assert_unreadable(platform: &Platform, key: &str, event: &str, headers: Headers, body: &[u8], why: &str) {
    let id = format!("poison-{event}");
    platform.publish_raw(key, &id, event, headers, body.to_vec()).await;
    let letter = letter(platform, &id).await;
    assert_eq!(letter.headers[headers::DEAD_REASON], "unreadable", "{event}");
    assert!(
        letter.headers[headers::LAST_ERROR].contains(why),
        "{}",
        letter.headers[headers::LAST_ERROR]
    );
    assert_eq!(letter.body, body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_message_is_a_dead_letter_and_the_next_one_is_handled() {
    let (platform, worker) = Platform::with_worker().await;
    let valid_headers = |event: &str| labels(event, "x", None).headers();
    let interaction = "interaction.command.x";
    assert_unreadable(
        &platform,
        interaction,
        "INTERACTION_CREATE",
        valid_headers("INTERACTION_CREATE"),
        b"not json",
        "not an interaction",
    )
    .await;
    assert_unreadable(
        &platform,
        interaction,
        "INTERACTION_CREATE",
        valid_headers("INTERACTION_CREATE"),
        b"{\"id\":\"1\"}",
        "not an interaction",
    )
    .await;
    assert_unreadable(
        &platform,
        interaction,
        "INTERACTION_CREATE",
        Headers::new(),
        b"{}",
        "the message has no v",
    )
    .await;
    let mut newer = Headers::new();
    newer.insert(headers::VERSION.to_owned(), HeaderValue::Integer(2));
    assert_unreadable(
        &platform,
        interaction,
        "INTERACTION_CREATE",
        newer.clone(),
        b"{}",
        "contract version 2",
    )
    .await;
    assert_unreadable(
        &platform,
        "member.join",
        "GUILD_MEMBER_ADD",
        newer,
        b"{}",
        "contract version 2",
    )
    .await;
    assert_unreadable(
        &platform,
        "guild.update",
        "GUILD_DANCE",
        valid_headers("GUILD_DANCE"),
        b"{}",
        "no handler for GUILD_DANCE",
    )
    .await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    let line = "arrakis_worker_messages_total{queue=\"arrakis.interactions\",verdict=\"dead_letter\"}";
    worker.until_metric(line, 4.0).await;
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_is_not_json_is_a_dead_letter() {
    let (platform, _worker) = Platform::with_worker().await;
    let headers = labels("GUILD_MEMBER_ADD", "x", None).headers();
    platform
        .publish_raw("member.join", "broken", "GUILD_MEMBER_ADD", headers, b"[1".to_vec())
        .await;
    let letter = letter(&platform, "broken").await;
    assert_eq!(letter.headers[headers::DEAD_REASON], "permanent");
    assert!(letter.headers[headers::LAST_ERROR].contains("cannot decode the body as GUILD_MEMBER_ADD"));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_job_is_a_dead_letter() {
    let (platform, _worker) = Platform::with_worker().await;
    for (body, why) in [
        (b"not json".to_vec(), "the body is not a job"),
        (
            br#"{"v":2,"id":"x","kind":"tier-sync","community":null}"#.to_vec(),
            "job version 2",
        ),
    ] {
        let mut message = arrakis_broker::Message::new(names::JOBS, "tier-sync", "job", "job", body);
        message.headers = Headers::new();
        platform.publisher.publish(&message).await.unwrap();
        let letter = letter(&platform, "job").await;
        assert_eq!(letter.headers[headers::DEAD_REASON], "unreadable");
        assert!(
            letter.headers[headers::LAST_ERROR].contains(why),
            "{}",
            letter.headers[headers::LAST_ERROR]
        );
    }
    platform.vhost.finish().await;
}
