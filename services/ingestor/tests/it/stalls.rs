//! A broker that is connected and accepts no messages, or not all: the state in `/health`, and that nothing is lost.

use std::time::Duration;

use arrakis_contracts::names;
use arrakis_test_support::{eventually, eventually_within, required_variable};
use lapin::options::ExchangeDeleteOptions;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use crate::world::{Ingestor, World, ascending, seqs};

/// Calls the broker's management API.
async fn manage(method: Method, path: &str, body: &Value) {
    let base: Url = required_variable("RABBITMQ_MANAGEMENT_URL").parse().unwrap();
    let mut url = base.join(path).unwrap();
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let request = Client::new()
        .request(method, url)
        .basic_auth(base.username(), base.password());
    let answer = request.json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

fn broker(ingestor: &Ingestor) -> (String, String) {
    let component = ingestor.document()["components"]["broker"].clone();
    let text = |name: &str| component[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("detail"))
}

#[tokio::test]
async fn deleted_exchange_is_declared_again_and_nothing_is_lost() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    ingestor.healthy_as("active").await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    for _ in 0..3 {
        world.joins(20);
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(names::EVENTS.into(), options).await.unwrap();
        world.joins(20);
        let confirmed = async || ingestor.shard(0)["seq_lag"] == 0;
        eventually(confirmed, "everything to be confirmed").await;
    }
    // The broker deletes the bindings of an exchange before the exchange: an event that comes in between has no queue, and is
    // kept by the alternate exchange.
    let kept = [names::EVENTS_GUILD, names::UNROUTED];
    assert_eq!(seqs(&world.take_from(&kept, 120).await).len(), 120);
    assert_eq!(world.stats().identifies, 1);
    ingestor.stop().await;
    world.finish(&kept).await;
}

#[tokio::test]
async fn missing_permission_is_named_as_degraded_and_then_down() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    ingestor.healthy_as("active").await;
    let user: Url = required_variable("AMQP_URL").parse().unwrap();
    let path = format!("/api/permissions/{}/{}", world.vhost.name(), user.username());
    let permit = async |write: &str| {
        let rights = json!({ "configure": ".*", "write": write, "read": ".*" });
        manage(Method::PUT, &path, &rights).await;
    };
    permit("^(amq.default|arrakis.ingestor.*)$").await;
    // A channel caches permissions.
    world.proxy.close_connections();
    world.joins(10);
    for status in ["degraded", "down"] {
        let said = async || {
            let (now, detail) = broker(&ingestor);
            now == status && detail.contains("ACCESS_REFUSED") && detail.contains("shard 0")
        };
        let what = format!("the broker to be {status}: {:?}", broker(&ingestor));
        eventually_within(Duration::from_secs(40), said, what).await;
    }
    permit(".*").await;
    let got = world.take_events(10).await;
    assert!(seqs(&got).len() == 10 && ascending(&seqs(&got)));
    ingestor.healthy_as("active").await;
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn refused_interactions_are_named_and_member_events_are_published() {
    let world = World::new().await;
    let ingestor = world.ingestor_with(&[("INGESTOR_WINDOW", "8")]);
    ingestor.healthy_as("active").await;
    let definition = json!({ "max-length": 1, "overflow": "reject-publish" });
    let pattern = format!("^{}$", names::INTERACTIONS);
    let policy = json!({ "pattern": pattern, "definition": definition, "apply-to": "queues" });
    let path = format!("/api/policies/{}/full", world.vhost.name());
    manage(Method::PUT, &path, &policy).await;
    let first = world.discord.app().hub.sessions()[0].seq + 1;
    for number in 0..80 {
        let (event, d) = if number < 30 {
            let d = json!({ "id": (70 + number).to_string(), "type": 2, "token": "t", "data": { "name": "x" } });
            ("INTERACTION_CREATE", d)
        } else {
            ("GUILD_MEMBER_ADD", json!({ "guild_id": "7" }))
        };
        let frame = json!({ "t": event, "s": first + number, "op": 0, "d": d });
        world.order(&discord_emulator::gateway::ConnectionCommand::Send(frame.to_string()));
    }
    let events = seqs(&world.take_events(50).await);
    assert_eq!(events, (first + 30..first + 80).collect::<Vec<_>>());
    let named = async || {
        let (status, detail) = broker(&ingestor);
        status != "up" && detail.contains("interaction.command.x")
    };
    eventually(named, "the refused interactions in /health").await;
    assert!(ingestor.shard(0)["refused_messages"].as_u64() > Some(20));
    manage(Method::DELETE, &path, &Value::Null).await;
    assert!(world.take(names::INTERACTIONS, 30).await.len() >= 30);
    ingestor.healthy_as("active").await;
    ingestor.stop().await;
    world.finish(&[]).await;
}
