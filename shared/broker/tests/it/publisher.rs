use std::time::Duration;

use arrakis_broker::{Message, PublishError, PublishOutcome};
use arrakis_contracts::names;
use arrakis_test_support::eventually;

use crate::management;
use crate::world::{World, first_seen, join};

#[tokio::test]
async fn unroutable_message_is_reported() {
    let world = World::new().await;
    let publisher = world.publisher();
    assert_eq!(publisher.publish(&join("a")).await.unwrap(), PublishOutcome::Confirmed);
    let nowhere = Message::new(names::JOBS, "no-such-kind", "job-1", "job", &b"{}"[..]);
    let PublishOutcome::Unroutable { reply } = publisher.publish(&nowhere).await.unwrap() else {
        panic!("it found a queue")
    };
    assert!(reply.contains("312"), "{reply}");
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["a"]);
    world.finish(&[]).await;
}

#[tokio::test]
async fn concurrent_publishes_have_their_own_outcomes() {
    let world = World::new().await;
    let publisher = world.publisher();
    let publishes = (0..60).map(|number| {
        let publisher = publisher.clone();
        async move {
            let lost = number % 3 == 0;
            let key = if lost { "no-such-kind" } else { "notify" };
            let message = Message::new(names::JOBS, key, number.to_string(), "job", &b"{}"[..]);
            let outcome = publisher.publish(&message).await.unwrap();
            assert_eq!(matches!(outcome, PublishOutcome::Unroutable { .. }), lost, "{number}");
        }
    });
    futures_util::future::join_all(publishes).await;
    assert_eq!(world.take_all("arrakis.jobs.notify", 40).await.len(), 40);
    world.finish(&[]).await;
}

#[tokio::test]
async fn publish_is_repeated_with_the_same_id_after_a_lost_connection() {
    let world = World::new().await;
    let publisher = world.publisher();
    let ids: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for (number, id) in ids.iter().enumerate() {
        if number % 50 == 25 {
            world.proxy.close_connections();
        }
        assert_eq!(
            publisher.publish(&join(id.clone())).await.unwrap(),
            PublishOutcome::Confirmed
        );
    }
    let got = world.take_all(names::EVENTS_GUILD, 200).await;
    assert_eq!(first_seen(&got), ids);
    world.finish(&[]).await;
}

#[tokio::test]
async fn publish_to_a_full_queue_fails_after_the_time_limit() {
    let world = World::new().await;
    management::bound_queue(world.vhost.name(), names::EVENTS_GUILD, 1).await;
    let publisher = world.publisher().with_limit(Duration::from_millis(400));
    let refused = eventually(
        async || match publisher.publish(&join("x")).await {
            Err(PublishError::NotConfirmed {
                last_error, attempts, ..
            }) if last_error.contains("refused") => Some(attempts),
            _ => None,
        },
        "a refusal",
    )
    .await;
    assert!(refused >= 1);
    management::unbound_queue(world.vhost.name()).await;
    let publisher = world.publisher();
    assert_eq!(publisher.publish(&join("y")).await.unwrap(), PublishOutcome::Confirmed);
    world.finish(&[names::EVENTS_GUILD]).await;
}
