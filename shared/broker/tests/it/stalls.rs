//! Pipelines that a broker does not serve: what is deleted, forbidden, refused or too large.

use std::time::Duration;

use arrakis_broker::{Message, Pipeline, PipelineHealth, PipelineOptions, PipelineSender};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::names;
use arrakis_test_support::{eventually, required_variable};
use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;
use reqwest::{Method, Url};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::management;
use crate::world::{World, all_confirmed, first_seen, join};

fn start(world: &World) -> PipelineSender {
    start_with(world, 32)
}

fn start_with(world: &World, window: usize) -> PipelineSender {
    let options = PipelineOptions {
        window,
        ..world.pipeline_options()
    };
    Pipeline::start(world.connection.clone(), options, CancellationToken::new()).0
}

async fn send(sender: &mut PipelineSender, message: Message) {
    let room = tokio::time::timeout(Duration::from_secs(10), sender.room()).await;
    assert_eq!(room, Ok(true), "room within 10 s");
    sender.send(message).unwrap();
}

/// Sends as many joins, and returns their ids.
async fn send_joins(sender: &mut PipelineSender, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|number| format!("join-{number}")).collect();
    for id in &ids {
        send(sender, join(id.clone())).await;
    }
    ids
}

fn command(id: impl Into<String>) -> Message {
    Message::new(
        names::EVENTS,
        "interaction.command.x",
        id,
        "INTERACTION_CREATE",
        &b"{}"[..],
    )
}

/// Waits until health reports a stall whose reason contains `words`.
async fn stalled_because(health: &PipelineHealth, words: &str) {
    let stalled = async || health.stall().is_some_and(|stall| stall.reason.contains(words));
    eventually(stalled, format!("a stall because of {words:?}: {:?}", health.stall())).await;
}

async fn delete_exchange(world: &World) {
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    let delete = channel.exchange_delete(names::EVENTS.into(), ExchangeDeleteOptions::default());
    delete.await.unwrap();
}

#[tokio::test]
async fn deleted_exchange_is_declared_again_and_nothing_is_lost() {
    let world = World::new().await;
    let mut sender = start(&world);
    send_joins(&mut sender, 3).await;
    all_confirmed(&sender).await;
    delete_exchange(&world).await;
    for number in 0..100 {
        send(&mut sender, join(format!("later-{number}"))).await;
    }
    all_confirmed(&sender).await;
    assert_eq!(sender.health().stall(), None);
    let got = first_seen(&world.take_all(names::EVENTS_GUILD, 103).await);
    let later: Vec<_> = (0..100).map(|number| format!("later-{number}")).collect();
    assert_eq!(got[3..], later);
    world.finish(&[]).await;
}

#[tokio::test]
async fn publisher_declares_a_deleted_exchange_again() {
    let world = World::new().await;
    delete_exchange(&world).await;
    let publisher = world.publisher().with_topology(world.topology.clone());
    publisher.publish(&join("one")).await.unwrap();
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["one"]);
    world.finish(&[]).await;
}

#[tokio::test]
async fn exchange_of_another_type_is_named_and_its_deletion_ends_the_stall() {
    let world = World::new().await;
    let mut sender = start(&world);
    delete_exchange(&world).await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let kind = lapin::ExchangeKind::Direct;
    let made = channel.exchange_declare(names::EVENTS.into(), kind, options, FieldTable::default());
    made.await.unwrap();
    let ids = send_joins(&mut sender, 10).await;
    stalled_because(&sender.health(), "exists and differs").await;
    delete_exchange(&world).await;
    all_confirmed(&sender).await;
    let mut got = first_seen(&world.take_all(names::EVENTS_GUILD, 10).await);
    got.sort();
    assert_eq!(got, ids);
    world.finish(&[]).await;
}

#[tokio::test]
async fn missing_permission_to_publish_is_named_and_publishing_resumes_with_it() {
    let world = World::new().await;
    let user: Url = required_variable("AMQP_URL").parse().unwrap();
    let path = format!("/api/permissions/{}/{}", world.vhost.name(), user.username());
    let permit = async |write: &str| {
        let rights = json!({ "configure": ".*", "write": write, "read": ".*" });
        management::call(Method::PUT, &path, Some(rights)).await;
    };
    let mut sender = start(&world);
    permit("^amq.default$").await;
    // A channel caches permissions.
    world.proxy.close_connections();
    let ids = send_joins(&mut sender, 10).await;
    stalled_because(&sender.health(), "ACCESS_REFUSED").await;
    permit(".*").await;
    all_confirmed(&sender).await;
    assert_eq!(first_seen(&world.take_all(names::EVENTS_GUILD, 10).await), ids);
    world.finish(&[]).await;
}

/// Sends a message that makes the broker close the channel or connection, among others: the others are stored in order, and it is
/// given up.
async fn given_up_alone(poison: Message) {
    let world = World::new().await;
    let mut sender = start(&world);
    send_joins(&mut sender, 20).await;
    send(&mut sender, poison).await;
    let later: Vec<_> = (0..50).map(|number| format!("later-{number}")).collect();
    for id in &later {
        send(&mut sender, join(id.clone())).await;
    }
    all_confirmed(&sender).await;
    assert_eq!(sender.progress().given_up, 1);
    assert_eq!((sender.progress().pending, sender.health().stall()), (0, None));
    let got = first_seen(&world.take_all(names::EVENTS_GUILD, 70).await);
    assert_eq!((got.len(), &got[20..]), (70, later.as_slice()));
    world.finish(&[]).await;
}

/// The broker closes the channel with 406, as for a message larger than `max_message_size`.
#[tokio::test]
async fn message_that_closes_its_channel_is_given_up_alone() {
    let mut poison = join("poison");
    let no_list = HeaderValue::Text("not a list".to_owned());
    poison.headers.insert("CC".to_owned(), no_list);
    given_up_alone(poison).await;
}

/// Headers that fit no frame: the broker closes the connection with 501.
#[tokio::test]
async fn message_that_closes_its_connection_is_given_up_alone() {
    let mut poison = join("poison");
    poison
        .headers
        .insert("large".to_owned(), HeaderValue::Text("x".repeat(200 << 10)));
    given_up_alone(poison).await;
}

#[tokio::test]
async fn refused_interactions_do_not_stall_member_events_behind_them() {
    let world = World::new().await;
    management::bound_queue(world.vhost.name(), names::INTERACTIONS, 1).await;
    let mut sender = start_with(&world, 4);
    // More than the window holds.
    for number in 0..40 {
        send(&mut sender, command(format!("command-{number}"))).await;
    }
    let ids = send_joins(&mut sender, 200).await;
    assert_eq!(first_seen(&world.take_all(names::EVENTS_GUILD, 200).await), ids);
    let stall = sender.health().stall().unwrap();
    assert!(stall.refused > 30, "{stall:?}");
    assert!(stall.reason.contains("interaction.command.x"), "{stall:?}");
    management::unbound_queue(world.vhost.name()).await;
    all_confirmed(&sender).await;
    assert_eq!(first_seen(&world.take_all(names::INTERACTIONS, 40).await).len(), 40);
    world.finish(&[]).await;
}

/// Without consumers nothing leaves the full queues when their limit is removed: only a new channel finds that there is room.
#[tokio::test]
async fn events_refused_by_both_routes_do_not_stall_interactions() {
    let world = World::new().await;
    management::bound_queue(
        world.vhost.name(),
        &format!("({}|{})", names::EVENTS_GUILD, names::retry(5)),
        1,
    )
    .await;
    let mut sender = start_with(&world, 4);
    for number in 0..100 {
        let mut message = join(format!("join-{number}"));
        message.on_refusal = Some((names::retry(5), names::EVENTS_GUILD.to_owned()));
        send(&mut sender, message).await;
    }
    let commands: Vec<_> = (0..50).map(|number| format!("command-{number}")).collect();
    for id in &commands {
        send(&mut sender, command(id.clone())).await;
    }
    assert_eq!(first_seen(&world.take_all(names::INTERACTIONS, 50).await), commands);
    assert!(sender.health().stall().unwrap().refused > 50);
    management::unbound_queue(world.vhost.name()).await;
    all_confirmed(&sender).await;
    assert_eq!(sender.health().stall(), None);
    let got = first_seen(&world.take_all(names::EVENTS_GUILD, 100).await);
    assert_eq!(got.len(), 100);
    world.finish(&[]).await;
}

/// At the limit of refused messages the sender has no room; nothing is lost.
#[tokio::test]
async fn number_of_refused_messages_is_bounded() {
    let world = World::new().await;
    management::bound_queue(world.vhost.name(), names::INTERACTIONS, 1).await;
    let mut sender = start(&world);
    let mut sent = 0;
    let full = async {
        loop {
            assert!(sender.room().await);
            sender.send(command(format!("command-{sent}"))).unwrap();
            sent += 1;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), full).await;
    assert!((1_024..1_200).contains(&sent), "{sent}");
    management::unbound_queue(world.vhost.name()).await;
    all_confirmed(&sender).await;
    assert_eq!(first_seen(&world.take_all(names::INTERACTIONS, sent).await).len(), sent);
    world.finish(&[]).await;
}
