use std::time::Duration;

use arrakis_contracts::names;
use arrakis_test_support::eventually;
use lapin::types::FieldTable;

use crate::world::{World, ascending, seqs};

#[tokio::test]
async fn lost_broker_connection_keeps_order_and_the_gateway_connection() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    for _ in 0..4 {
        world.joins(100);
        world.proxy.close_connections();
        world.joins(100);
    }
    let got = world.take_events(800).await;
    let seqs = seqs(&got);
    assert!(seqs.len() == 800 && ascending(&seqs));
    assert_eq!(
        (world.stats().identifies, world.stats().resumes),
        (1, 0),
        "the gateway noticed nothing"
    );
    ingestor.confirmed(0, *seqs.last().unwrap()).await;
    ingestor.stop().await;
    world.finish(&[]).await;
}

/// While the broker accepts no messages, heartbeats are sent and memory is bounded; afterwards all events are published.
#[tokio::test]
async fn heartbeats_are_sent_while_the_broker_is_stalled() {
    // Not shorter: on a busy machine a heartbeat may be late by hundreds of milliseconds, and Discord would close the connection.
    let world = World::with(|options| options.heartbeat_interval_ms = 1_500).await;
    let ingestor = world.ingestor_with(&[("INGESTOR_WINDOW", "16")]);
    world.connected(1).await;
    ingestor.healthy_as("active").await;
    world.proxy.stall(true);
    world.joins(600);
    let beats = world.stats().heartbeats;
    eventually(
        async || world.stats().heartbeats >= beats + 3,
        "three heartbeats under backpressure",
    )
    .await;
    let shard = ingestor.shard(0);
    let taken = shard["received_seq"].as_u64().unwrap();
    assert!(taken < 200, "only what the window holds was read: {shard}");
    assert!(shard["held_frames"].as_u64().unwrap() < 50, "{shard}");
    world.proxy.stall(false);
    let got = world.take_events(600).await;
    assert!(ascending(&seqs(&got)));
    assert_eq!(world.stats().identifies, 1);
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn missing_broker_is_reported_down() {
    let world = World::new().await;
    world.proxy.refuse(true);
    let ingestor = world.ingestor();
    let down = async || ingestor.document()["components"]["broker"]["status"] == "down";
    eventually(down, "the broker to be reported down").await;
    assert_eq!(world.discord.app().hub.connections(), 0);
    world.proxy.refuse(false);
    ingestor.healthy_as("active").await;
    ingestor.stop().await;
}

#[tokio::test]
async fn event_without_a_binding_is_in_the_unrouted_queue() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    ingestor.healthy_as("active").await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    channel
        .queue_unbind(
            names::EVENTS_GUILD.into(),
            names::EVENTS.into(),
            "member.#".into(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    world.joins(2);
    let got = world.take(names::UNROUTED, 2).await;
    assert_eq!(got[0].routing_key, "member.join");
    ingestor.stop().await;
    world.finish(&[]).await;
}

/// Of two ingestors of one shard one holds the lease. The other is a ready standby and takes over within seconds.
#[tokio::test]
async fn second_ingestor_is_a_standby_and_takes_over() {
    let world = World::new().await;
    let first = world.ingestor();
    first.healthy_as("active").await;
    let second = world.ingestor();
    second.healthy_as("standby").await;
    world.joins(5);
    first.stop().await;
    world.joins(5);
    second.healthy_as("active").await;
    world.joins(5);
    let got = world.take_events(15).await;
    assert!(ascending(&seqs(&got)));
    assert_eq!((world.stats().identifies, world.stats().resumes), (1, 1));
    second.stop().await;
    world.finish(&[]).await;
}

/// The holder loses the broker permanently. The standby resumes the session, and the former holder does not reconnect to the gateway.
#[tokio::test]
async fn ingestor_that_lost_the_broker_stops_holding_the_shard() {
    let world = World::new().await;
    let first = world.ingestor();
    first.healthy_as("active").await;
    let direct = world.vhost.url();
    let second = world.ingestor_with(&[("AMQP_URL", direct.as_str())]);
    second.healthy_as("standby").await;
    world.proxy.refuse(true);
    world.proxy.close_connections();
    second.healthy_as("active").await;
    world.joins(10);
    world.proxy.refuse(false);
    first.healthy_as("standby").await;
    world.joins(10);
    let got = world.take_events(20).await;
    assert!(ascending(&seqs(&got)));
    assert_eq!(world.stats().identifies, 1);
    second.stop().await;
    first.healthy_as("active").await;
    tokio::time::timeout(Duration::from_secs(20), first.stop())
        .await
        .unwrap();
    world.finish(&[]).await;
}

/// An operator deletes the shard's queue: the holder keeps the lease, and the standby stays one.
#[tokio::test]
async fn deleted_shard_queue_does_not_move_the_shard() {
    let world = World::new().await;
    let first = world.ingestor();
    first.healthy_as("active").await;
    let second = world.ingestor();
    second.healthy_as("standby").await;
    for _ in 0..3 {
        world.joins(50);
        world.delete_queue(&names::shard(0)).await;
        world.joins(50);
        first.healthy_as("active").await;
        second.healthy_as("standby").await;
    }
    let got = world.take_events(300).await;
    assert!(ascending(&seqs(&got)));
    assert_eq!((world.stats().identifies, world.stats().resumes), (1, 0));
    // Session and sequence number are written to the new queue.
    let last = *seqs(&got).last().unwrap();
    first.confirmed(0, last).await;
    first.stop().await;
    second.healthy_as("active").await;
    world.joins(10);
    world.take_events(10).await;
    assert_eq!((world.stats().identifies, world.stats().resumes), (1, 1));
    second.stop().await;
    world.finish(&[]).await;
}
