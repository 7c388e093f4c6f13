use std::time::Duration;

use arrakis_broker::topology::shard_state_queue;
use arrakis_broker::{Lease, LeaseError, Priorities};
use arrakis_contracts::names::lease_lock;

use arrakis_test_support::eventually;

use crate::world::World;

const KINDS: [Priorities; 2] = [Priorities::Classic, Priorities::Classes];

#[tokio::test]
async fn new_lease_has_no_value_and_released_lease_keeps_the_newest() {
    for kind in KINDS {
        let world = World::bare().await;
        let queue = shard_state_queue(0, kind);
        let (mut lease, value) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
        assert_eq!(value, None);
        for number in 0..20 {
            lease.write(format!("value {number}")).await.unwrap();
        }
        lease.release().await;
        let connection = world.another_connection();
        let (_lease, value) = Lease::acquire(&connection, &queue, || {}).await.unwrap();
        assert_eq!(value.as_deref(), Some(&b"value 19"[..]), "{kind:?}");
    }
}

#[tokio::test]
async fn standby_receives_the_newest_value_when_the_holder_dies() {
    for kind in KINDS {
        let world = World::bare().await;
        let queue = shard_state_queue(3, kind);
        let (mut lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
        lease.write("old").await.unwrap();
        let connection = world.another_connection();
        let (waiting, waits_for_lease) = tokio::sync::oneshot::channel::<()>();
        let waiting = std::sync::Mutex::new(Some(waiting));
        let standby = tokio::spawn(async move {
            let acquired = Lease::acquire(&connection, &shard_state_queue(3, kind), || {
                drop(waiting.lock().unwrap().take());
            })
            .await;
            acquired.map(|(lease, value)| (lease, value, connection))
        });
        let _ = waits_for_lease.await;
        lease.write("new").await.unwrap();
        assert!(!standby.is_finished());
        // The connection is cut without a close, as by a crash.
        drop(lease);
        world.connection.close().await;
        let (_lease, value, _link) = tokio::time::timeout(Duration::from_secs(10), standby)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(value.as_deref(), Some(&b"new"[..]), "{kind:?}");
    }
}

#[tokio::test]
async fn lost_connection_loses_the_lease_and_keeps_the_value() {
    let world = World::bare().await;
    let queue = shard_state_queue(0, Priorities::Classic);
    let (mut lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    lease.write("kept").await.unwrap();
    world.proxy.close_connections();
    lease.lost().await;
    let (lease, value) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    assert_eq!(value.as_deref(), Some(&b"kept"[..]));
    assert_eq!(lease.epoch(), 2);
}

#[tokio::test]
async fn two_processes_that_start_together_get_one_lease() {
    let world = World::bare().await;
    let other = world.another_connection();
    let queue = shard_state_queue(0, Priorities::Classic);
    let waits = std::sync::atomic::AtomicU32::new(0);
    let note = || {
        waits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let (a, b) = (
        Lease::acquire(&world.connection, &queue, note),
        Lease::acquire(&other, &queue, note),
    );
    tokio::pin!(a, b);
    let (first, first_is_a) = tokio::select! {
        a = &mut a => (a.unwrap().0, true),
        b = &mut b => (b.unwrap().0, false),
    };
    let mut first = first;
    first.write("mine").await.unwrap();
    let second = async { if first_is_a { b.await } else { a.await } };
    tokio::pin!(second);
    // Each found a queue without consumers at its start. The one that waits must still report that it is a standby.
    let waits_for_lease = || std::future::ready(waits.load(std::sync::atomic::Ordering::Relaxed) > 0);
    tokio::select! {
        _ = &mut second => panic!("both hold it"),
        () = eventually(waits_for_lease, "the other process to report that it waits") => {}
    }
    first.release().await;
    let (_lease, value) = tokio::time::timeout(Duration::from_secs(10), second)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(value.as_deref(), Some(&b"mine"[..]));
}

#[tokio::test]
async fn deleted_queue_loses_the_lease() {
    let world = World::bare().await;
    let queue = shard_state_queue(0, Priorities::Classic);
    let (mut lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    let channel = world
        .another_connection()
        .current()
        .await
        .unwrap()
        .channel()
        .await
        .unwrap();
    channel
        .queue_delete(queue.name.as_str().into(), Default::default())
        .await
        .unwrap();
    assert!(lease.lost().await.contains("cancelled"));
    let (_lease, value) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    assert_eq!(value, None);
}

#[tokio::test]
async fn standby_does_not_get_a_deleted_queues_lease_while_the_holders_connection_lives() {
    for kind in KINDS {
        let world = World::bare().await;
        let queue = shard_state_queue(0, kind);
        let (mut lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
        lease.write("kept").await.unwrap();
        let connection = world.another_connection();
        let (waits, mut waits_for_lease) = tokio::sync::watch::channel(0);
        let standby = tokio::spawn(async move {
            let (queue, waiting) = (shard_state_queue(0, kind), || waits.send_modify(|count| *count += 1));
            loop {
                match Lease::acquire(&connection, &queue, waiting).await {
                    Ok((lease, value)) => return (lease, value, connection),
                    // The queue was deleted while it was consumed.
                    Err(LeaseError::Lost(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        waits_for_lease.wait_for(|count| *count > 0).await.unwrap();
        delete_queue(&world, &queue.name).await;
        assert!(lease.lost().await.contains("cancelled"), "{kind:?}");
        drop(lease);
        // The standby's consumer ends with the queue. It starts again, receives the empty value, and finds the lock held.
        let before = *waits_for_lease.borrow_and_update();
        waits_for_lease.wait_for(|count| *count > before + 6).await.unwrap();
        assert!(!standby.is_finished(), "{kind:?}: two hold the lease");
        let (mut lease, value) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
        assert_eq!(value, None, "{kind:?}");
        lease.write("written again").await.unwrap();
        assert!(!standby.is_finished(), "{kind:?}: two hold the lease");
        lease.release().await;
        let (_lease, value, _link) = tokio::time::timeout(Duration::from_secs(10), standby)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(value.as_deref(), Some(&b"written again"[..]), "{kind:?}");
    }
}

#[tokio::test]
async fn deleted_lock_loses_the_lease() {
    let world = World::bare().await;
    let queue = shard_state_queue(0, Priorities::Classic);
    let (mut lease, _) = Lease::acquire(&world.connection, &queue, || {}).await.unwrap();
    // Over AMQP only the holder's connection may delete the lock; an operator can use rabbitmqctl.
    delete_queue(&world, &lease_lock(&queue.name)).await;
    assert_eq!(lease.lost().await, "the lock was deleted");
}

async fn delete_queue(world: &World, queue: &str) {
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    channel.queue_delete(queue.into(), Default::default()).await.unwrap();
}
