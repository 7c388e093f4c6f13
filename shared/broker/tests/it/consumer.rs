use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_broker::{ConsumeOptions, SettleOutcome, StopTokens, Verdict};
use arrakis_contracts::names;
use arrakis_test_support::eventually;
use parking_lot::Mutex;

use crate::world::{World, join};

#[tokio::test]
async fn panicking_message_is_retried_and_others_are_handled() {
    let world = World::new().await;
    for id in ["before", "poison", "after"] {
        world.publisher().publish(&join(id)).await.unwrap();
    }
    let handled = Arc::new(Mutex::new(HashSet::new()));
    let (stop, seen) = (StopTokens::default(), handled.clone());
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |delivery| {
        let seen = seen.clone();
        async move {
            let id = delivery.message_id().unwrap().to_owned();
            assert_ne!(id, "poison", "as meant");
            seen.lock().insert(id);
            Verdict::Done
        }
    });
    eventually(async || handled.lock().len() == 2, "the neighbours").await;
    eventually(async || world.count(&names::retry(5)).await == 1, "the poison to wait").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    world.finish(&[&names::retry(5), names::EVENTS_GUILD]).await;
}

#[tokio::test]
async fn hanging_handler_is_cancelled_and_the_next_message_is_handled() {
    let world = World::new().await;
    for id in ["hangs", "goes"] {
        world.publisher().publish(&join(id)).await.unwrap();
    }
    let (stop, done) = (StopTokens::default(), Arc::new(AtomicUsize::new(0)));
    let options = ConsumeOptions {
        prefetch: 1,
        limit: Some(Duration::from_millis(100)),
        ..world.consume_options(names::EVENTS_GUILD)
    };
    let count = done.clone();
    let consumer = world.consume(options, &stop, move |delivery| {
        let count = count.clone();
        async move {
            if delivery.message_id() == Some("hangs") {
                std::future::pending::<()>().await;
            }
            count.fetch_add(1, Ordering::SeqCst);
            Verdict::Done
        }
    });
    eventually(async || done.load(Ordering::SeqCst) == 1, "the second message").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    eventually(async || world.count(&names::retry(5)).await == 1, "the first to wait").await;
    world.finish(&[&names::retry(5), names::EVENTS_GUILD]).await;
}

/// As the stable workers take from the canary's queues: nothing while the other consumer has room, and the rest at once when it has none.
#[tokio::test]
async fn consumer_of_lower_priority_takes_what_the_other_has_no_room_for() {
    let world = World::new().await;
    let (stop, release) = (StopTokens::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let (first, second) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let options = |priority| ConsumeOptions {
        prefetch: 2,
        priority,
        ..world.consume_options(names::EVENTS_GUILD)
    };
    let (count, gate) = (first.clone(), release.clone());
    let preferred = world.consume(options(0), &stop, move |_| {
        let (count, gate) = (count.clone(), gate.clone());
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = gate.acquire().await;
            Verdict::Done
        }
    });
    let count = second.clone();
    let other = world.consume(options(-10), &stop, move |_| {
        let count = count.clone();
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            Verdict::Done
        }
    });
    eventually(
        async || world.consumers(names::EVENTS_GUILD).await == 2,
        "both consumers",
    )
    .await;
    for number in 0..2 {
        world.publisher().publish(&join(number.to_string())).await.unwrap();
    }
    eventually(async || first.load(Ordering::SeqCst) == 2, "the preferred consumer").await;
    assert_eq!(second.load(Ordering::SeqCst), 0);
    for number in 2..7 {
        world.publisher().publish(&join(number.to_string())).await.unwrap();
    }
    eventually(async || second.load(Ordering::SeqCst) == 5, "the other consumer").await;
    release.add_permits(100);
    stop.soft.cancel();
    preferred.await.unwrap();
    other.await.unwrap();
    world.finish(&[names::EVENTS_GUILD]).await;
}

#[tokio::test]
async fn soft_stop_finishes_running_handlers_and_requeues_the_rest() {
    let world = World::new().await;
    for number in 0..20 {
        world.publisher().publish(&join(number.to_string())).await.unwrap();
    }
    let (stop, release) = (StopTokens::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let (started, finished) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let options = ConsumeOptions {
        prefetch: 4,
        ..world.consume_options(names::EVENTS_GUILD)
    };
    let (gate, s, f) = (release.clone(), started.clone(), finished.clone());
    let consumer = world.consume(options, &stop, move |_| {
        let (gate, s, f) = (gate.clone(), s.clone(), f.clone());
        async move {
            s.fetch_add(1, Ordering::SeqCst);
            let _ = gate.acquire().await;
            f.fetch_add(1, Ordering::SeqCst);
            Verdict::Done
        }
    });
    eventually(async || started.load(Ordering::SeqCst) == 4, "four deliveries").await;
    stop.soft.cancel();
    release.close();
    consumer.await.unwrap();
    assert_eq!(started.load(Ordering::SeqCst), finished.load(Ordering::SeqCst));
    let left = 20 - finished.load(Ordering::SeqCst);
    assert_eq!(world.take_all(names::EVENTS_GUILD, left).await.len(), left);
    world.finish(&[]).await;
}

#[tokio::test]
async fn hard_stop_cancels_handlers_and_the_message_is_redelivered() {
    let world = World::new().await;
    world.publisher().publish(&join("held")).await.unwrap();
    let (stop, started) = (StopTokens::default(), Arc::new(AtomicUsize::new(0)));
    let count = started.clone();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    });
    eventually(async || started.load(Ordering::SeqCst) == 1, "the delivery").await;
    stop.soft.cancel();
    stop.hard.cancel();
    consumer.await.unwrap();
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["held"]);
    world.finish(&[]).await;
}

/// The acknowledgement is too late: it is reported as stale, and the message is redelivered.
#[tokio::test]
async fn stale_acknowledgement_is_reported() {
    let world = World::new().await;
    world.publisher().publish(&join("twice")).await.unwrap();
    let (stop, seen) = (StopTokens::default(), Arc::new(Mutex::new(Vec::new())));
    let (begun, log) = (Arc::new(tokio::sync::Notify::new()), seen.clone());
    let tell = begun.clone();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |delivery| {
        let (tell, log) = (tell.clone(), log.clone());
        async move {
            if !delivery.redelivered() {
                tell.notify_one();
                eventually(async || !delivery.can_be_settled(), "the channel to close").await;
            }
            let settled = delivery.ack().await;
            log.lock().push((delivery.redelivered(), settled));
            Verdict::Settled
        }
    });
    begun.notified().await;
    world.proxy.close_connections();
    eventually(async || seen.lock().len() == 2, "the second delivery").await;
    stop.soft.cancel();
    consumer.await.unwrap();
    let mut seen = seen.lock().clone();
    seen.sort_by_key(|(redelivered, _)| *redelivered);
    assert_eq!(seen, [(false, SettleOutcome::Stale), (true, SettleOutcome::Sent)]);
    world.finish(&[]).await;
}

#[tokio::test]
async fn deleted_queue_is_declared_again_and_consumed() {
    let world = World::new().await;
    let (stop, handled) = (StopTokens::default(), Arc::new(AtomicUsize::new(0)));
    let count = handled.clone();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Verdict::Done }
    });
    world.publisher().publish(&join("first")).await.unwrap();
    eventually(async || handled.load(Ordering::SeqCst) == 1, "the first").await;
    let channel = world.connection.current().await.unwrap().channel().await.unwrap();
    channel
        .queue_delete(names::EVENTS_GUILD.into(), Default::default())
        .await
        .unwrap();
    eventually(
        async || {
            world.publisher().publish(&join("second")).await.unwrap();
            handled.load(Ordering::SeqCst) >= 2
        },
        "the queue to be there again",
    )
    .await;
    stop.soft.cancel();
    consumer.await.unwrap();
    world.finish(&[names::UNROUTED, names::EVENTS_GUILD]).await;
}

#[tokio::test]
async fn labels_and_body_are_delivered_unchanged() {
    let world = World::new().await;
    let labels = arrakis_contracts::Labels {
        event_id: arrakis_contracts::EventId::of_dispatch("s", 9),
        event: "GUILD_MEMBER_ADD".to_owned(),
        shard: 1,
        shards: 4,
        session: "s".to_owned(),
        seq: 9,
        guild: Some(987_654_321_098_765_432),
        received_us: 1_795_000_000_000_000,
        clock_offset_ms: -12,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    };
    let body = br#"{"odd"  :"spacing", "big":12345678901234567890}"#;
    let mut message = arrakis_broker::Message::new(
        names::EVENTS,
        "member.join",
        labels.event_id.as_str(),
        labels.event.as_str(),
        &body[..],
    );
    message.headers = labels.headers();
    message.priority = Some(5);
    world.publisher().publish(&message).await.unwrap();
    let (seen, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    let stop = StopTokens::default();
    let consumer = world.consume(world.consume_options(names::EVENTS_GUILD), &stop, move |delivery| {
        seen.send(delivery).unwrap();
        async { Verdict::Done }
    });
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!(delivery.labels().unwrap(), labels);
    assert_eq!(&delivery.body()[..], body);
    assert_eq!((delivery.priority(), delivery.attempts()), (Some(5), 0));
    stop.soft.cancel();
    consumer.await.unwrap();
    world.finish(&[]).await;
}
