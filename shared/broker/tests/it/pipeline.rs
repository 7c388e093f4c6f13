use arrakis_broker::topology::shard_state_queue;
use arrakis_broker::{Fence, LOCK_VALID, Lease, Message, Pipeline, PipelineOptions, PipelineSender, Priorities};
use arrakis_contracts::names;
use arrakis_contracts::names::lease_lock;
use lapin::options::QueueDeleteOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::management;
use crate::world::{World, all_confirmed, first_seen, join};

fn start(world: &World) -> PipelineSender {
    Pipeline::start(
        world.connection.clone(),
        world.pipeline_options(),
        CancellationToken::new(),
    )
    .0
}

async fn send(sender: &mut PipelineSender, message: Message) {
    assert!(sender.room().await);
    sender.send(message).unwrap();
}

#[tokio::test]
async fn messages_are_confirmed_in_order() {
    let world = World::new().await;
    let mut sender = start(&world);
    let ids: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    for id in &ids {
        send(&mut sender, join(id.clone())).await;
    }
    all_confirmed(&sender).await;
    assert_eq!(world.take_all(names::EVENTS_GUILD, 500).await, ids);
    assert_eq!(sender.progress().pending, 0);
    world.finish(&[]).await;
}

#[tokio::test]
async fn unconfirmed_messages_are_sent_again_in_order_after_a_lost_connection() {
    let world = World::new().await;
    let mut sender = start(&world);
    let ids: Vec<String> = (0..900).map(|number| number.to_string()).collect();
    for (number, id) in ids.iter().enumerate() {
        if number % 300 == 150 {
            world.proxy.close_connections();
        }
        send(&mut sender, join(id.clone())).await;
    }
    all_confirmed(&sender).await;
    let got = world.take_all(names::EVENTS_GUILD, 900).await;
    assert_eq!(first_seen(&got), ids);
    // At most the messages of one window are repeated for each lost connection.
    assert!(got.len() <= 900 + 4 * 33, "{}", got.len());
    world.finish(&[]).await;
}

#[tokio::test]
async fn full_queue_of_events_does_not_stall_interactions() {
    let world = World::new().await;
    management::bound_queue(world.vhost.name(), names::EVENTS_GUILD, 1).await;
    let mut sender = start(&world);
    let detoured = |id: String| {
        let mut message = join(id);
        message.on_refusal = Some((names::retry(5), names::EVENTS_GUILD.to_owned()));
        message
    };
    let mut joins = 0;
    // More than the window holds: without the alternative route the pipeline would stall.
    while sender.progress().detoured < 50 {
        send(&mut sender, detoured(format!("join-{joins}"))).await;
        joins += 1;
    }
    let command = Message::new(
        names::EVENTS,
        "interaction.command.x",
        "command",
        "INTERACTION_CREATE",
        &b"{}"[..],
    );
    send(&mut sender, command).await;
    assert_eq!(world.take_all(names::INTERACTIONS, 1).await, ["command"]);
    management::unbound_queue(world.vhost.name()).await;
    all_confirmed(&sender).await;
    // Refused messages return from the retry queue, under their ids.
    let got = world.take_all(names::EVENTS_GUILD, joins).await;
    assert_eq!(first_seen(&got).len(), joins);
    world.finish(&[]).await;
}

#[tokio::test]
async fn deleted_queues_are_declared_again_and_nothing_is_lost() {
    let world = World::new().await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    for queue in [names::EVENTS_GUILD, names::UNROUTED] {
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
    let mut sender = start(&world);
    // Enough for confirmations of several messages at once, with returns in any order.
    let ids: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for id in &ids {
        send(&mut sender, join(id.clone())).await;
    }
    all_confirmed(&sender).await;
    assert!(sender.progress().unroutable >= 1);
    let mut got = first_seen(&world.take_all(names::EVENTS_GUILD, ids.len()).await);
    got.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(got, ids);
    world.finish(&[]).await;
}

#[tokio::test]
async fn nothing_is_published_on_a_connection_without_the_lease() {
    let world = World::new().await;
    let queue = shard_state_queue(0, Priorities::Classic);
    let (_lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    let (fence_sender, fence) = watch::channel(0);
    let fenced = PipelineOptions {
        fence: Some(Fence {
            epoch: fence,
            lock: lease_lock(&queue.name),
        }),
        ..world.pipeline_options()
    };
    let (mut sender, _task) = Pipeline::start(world.connection.clone(), fenced, CancellationToken::new());
    send(&mut sender, join("fenced")).await;
    // Another publisher's confirmations show that the broker had time to process messages.
    for number in 0..50 {
        world
            .publisher()
            .publish(&join(format!("free-{number}")))
            .await
            .unwrap();
    }
    assert_eq!(sender.progress().confirmed, 0);
    fence_sender.send_replace(1);
    all_confirmed(&sender).await;
    let got = world.take_all(names::EVENTS_GUILD, 51).await;
    assert_eq!(got.last().map(String::as_str), Some("fenced"));
    world.finish(&[]).await;
}

/// Another connection has taken the lock of the lease, while this connection and its epoch are unchanged.
#[tokio::test]
async fn nothing_is_published_while_another_connection_holds_the_lock() {
    let world = World::new().await;
    let queue = shard_state_queue(0, Priorities::Classic);
    let (lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    let (_keep, epoch) = watch::channel(lease.epoch());
    let fenced = PipelineOptions {
        fence: Some(Fence {
            epoch,
            lock: lease_lock(&queue.name),
        }),
        ..world.pipeline_options()
    };
    let (mut sender, _task) = Pipeline::start(world.connection.clone(), fenced, CancellationToken::new());
    send(&mut sender, join("ours")).await;
    all_confirmed(&sender).await;
    lease.release().await;
    let other = world.another_connection();
    let (others, _) = Lease::acquire(&other, &queue, || {}).await.unwrap();
    // The last confirmation of the lock has expired.
    tokio::time::sleep(LOCK_VALID).await;
    for number in 0..3 {
        send(&mut sender, join(format!("fenced-{number}"))).await;
    }
    for number in 0..50 {
        world
            .publisher()
            .publish(&join(format!("free-{number}")))
            .await
            .unwrap();
    }
    assert_eq!(sender.progress().confirmed, 1);
    others.release().await;
    let (_lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    all_confirmed(&sender).await;
    let got = world.take_all(names::EVENTS_GUILD, 54).await;
    assert_eq!(got[51..], ["fenced-0", "fenced-1", "fenced-2"], "{got:?}");
    world.finish(&[]).await;
}

#[tokio::test]
async fn window_limits_unconfirmed_messages() {
    let world = World::new().await;
    let queue = shard_state_queue(0, Priorities::Classic);
    let (_keep, fence) = watch::channel(0);
    let fenced = PipelineOptions {
        fence: Some(Fence {
            epoch: fence,
            lock: lease_lock(&queue.name),
        }),
        window: 4,
        ..world.pipeline_options()
    };
    let (mut sender, _task) = Pipeline::start(world.connection.clone(), fenced, CancellationToken::new());
    let mut taken = 0;
    while sender.has_room() {
        sender.send(join(taken.to_string())).unwrap();
        taken += 1;
        tokio::task::yield_now().await;
    }
    assert!(taken <= 4 + 8, "{taken}");
    assert!(sender.send(join("more")).is_err());
}
