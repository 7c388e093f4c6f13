//! What Discord sends, and what is published.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, command, now};

/// The emulator checks an address as Discord does: by a PING, and by an invalid signature.
#[tokio::test]
async fn endpoint_passes_discords_check() {
    let world = World::with_broker(false).await;
    let portal = format!("{}/control/interactions-endpoint", world.discord.addresses().control);
    let set = world
        .http
        .post(portal)
        .json(&json!({"url": world.url}))
        .send()
        .await
        .unwrap();
    assert_eq!(set.status(), 200, "{}", set.text().await.unwrap());
    assert_eq!((world.counted("ping"), world.counted("signature")), (1, 1));
    world.network.refuse(false);
    world.finish().await;
}

#[tokio::test]
async fn interaction_is_published_as_by_the_ingestor() {
    let world = World::new().await;
    let sent = now();
    let id = (sent * 1_000 - 1_420_070_400_000) << 22;
    // The body is unchanged, whatever its white space, escapes and repeated keys.
    let body = format!(
        "{{ \"id\":\"{id}\",  \"type\":3,\"token\":\"t\",\"guild_id\":\"7\",\"data\":{{\"custom_id\":\"leaderboard:2\"}},\"n\":\"\\u6c99丘\",\"n\":1.0e2 }}"
    );
    let (status, text) = world.deliver(body.clone()).await;
    assert_eq!((status, text.as_str()), (StatusCode::ACCEPTED, ""));
    let got = world.take(1).await.remove(0);
    assert_eq!(got.body, body.as_bytes());
    assert_eq!(
        (got.routing_key.as_str(), got.priority),
        ("interaction.button.leaderboard", Some(8))
    );
    assert_eq!(
        (got.persistent, got.app_id.as_deref()),
        (true, Some("arrakis-interactions"))
    );
    let labels = got.labels;
    assert_eq!(
        (labels.event_id.as_str(), labels.event.as_str()),
        (id.to_string().as_str(), "INTERACTION_CREATE")
    );
    assert_eq!(
        (labels.guild, labels.session.as_str(), labels.seq),
        (Some(7), "http", 0)
    );
    assert_eq!((labels.shard, labels.shards), (0, 1));
    assert!((sent..=now()).contains(&(labels.received_us / 1_000_000)), "{labels:?}");
    assert_eq!(world.counted("published"), 1);
    world.finish().await;
}

#[tokio::test]
async fn commands_have_their_priority_and_direct_messages_no_guild() {
    let world = World::new().await;
    let mut direct = command(2);
    direct.as_object_mut().unwrap().remove("guild_id");
    direct["type"] = json!(4);
    for interaction in [direct, command(1)] {
        assert_eq!(world.deliver(interaction.to_string()).await.0, StatusCode::ACCEPTED);
    }
    let got = world.take(2).await;
    let keys: Vec<_> = got
        .iter()
        .map(|got| (got.routing_key.as_str(), got.priority, got.labels.guild))
        .collect();
    assert_eq!(
        keys,
        [
            ("interaction.command.position", Some(10), Some(7)),
            ("interaction.autocomplete.position", Some(9), None),
        ]
    );
    world.finish().await;
}

/// The messages of both deliveries have the same id; the worker's protection against doubled effects rests on that.
#[tokio::test]
async fn interaction_that_is_delivered_twice_has_one_id() {
    let world = World::new().await;
    let body = command(42).to_string();
    for _ in 0..2 {
        assert_eq!(world.deliver(body.clone()).await.0, StatusCode::ACCEPTED);
    }
    let got = world.take(2).await;
    assert!(got.iter().all(|got| got.labels.event_id.as_str() == "42"), "{got:?}");
    world.finish().await;
}

#[tokio::test]
async fn hundred_interactions_at_once_are_all_published() {
    let world = World::new().await;
    let deliveries = (1..=100_u64).map(|id| world.deliver(command(id).to_string()));
    for (status, text) in futures_util::future::join_all(deliveries).await {
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    }
    let mut ids: Vec<u64> = Vec::new();
    for got in world.take(100).await {
        let body: Value = serde_json::from_slice(&got.body).unwrap();
        ids.push(body["id"].as_str().unwrap().parse().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    world.finish().await;
}
