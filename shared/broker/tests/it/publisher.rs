use std::time::Duration;

use arrakis_broker::{Message, Outcome, PublishError};
use arrakis_contracts::names;
use arrakis_test_support::eventually;

use crate::management;
use crate::world::{World, first_seen, join};

#[tokio::test]
async fn confirmed_and_unroutable_are_told_apart() {
    let world = World::new().await;
    let publisher = world.publisher();
    assert_eq!(publisher.publish(&join("a")).await.unwrap(), Outcome::Confirmed);
    let nowhere = Message::new(names::JOBS, "no-such-kind", "job-1", "job", &b"{}"[..]);
    let Outcome::Unroutable { reply } = publisher.publish(&nowhere).await.unwrap() else {
        panic!("it found a queue")
    };
    assert!(reply.contains("312"), "{reply}");
    assert_eq!(world.take_all(names::EVENTS_GUILD, 1).await, ["a"]);
    world.finish(&[]).await;
}

#[tokio::test]
async fn many_at_once_know_each_its_own_outcome() {
    let world = World::new().await;
    let publisher = world.publisher();
    let publishes = (0..60).map(|number| {
        let publisher = publisher.clone();
        async move {
            let lost = number % 3 == 0;
            let key = if lost { "no-such-kind" } else { "notify" };
            let message = Message::new(names::JOBS, key, number.to_string(), "job", &b"{}"[..]);
            let outcome = publisher.publish(&message).await.unwrap();
            assert_eq!(matches!(outcome, Outcome::Unroutable { .. }), lost, "{number}");
        }
    });
    futures_util::future::join_all(publishes).await;
    assert_eq!(world.take_all("arrakis.jobs.notify", 40).await.len(), 40);
    world.finish(&[]).await;
}

#[tokio::test]
async fn a_lost_connection_is_survived_under_the_same_ids() {
    let world = World::new().await;
    let publisher = world.publisher();
    let ids: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for (number, id) in ids.iter().enumerate() {
        if number % 50 == 25 {
            world.proxy.close_connections();
        }
        assert_eq!(publisher.publish(&join(id.clone())).await.unwrap(), Outcome::Confirmed);
    }
    let got = world.take_all(names::EVENTS_GUILD, 200).await;
    assert_eq!(first_seen(&got), ids);
    world.finish(&[]).await;
}

#[tokio::test]
async fn a_full_queue_is_waited_for_and_then_given_up() {
    let world = World::new().await;
    management::bound_queue(world.vhost.name(), names::EVENTS_GUILD, 1).await;
    let publisher = world.publisher().with_limit(Duration::from_millis(400));
    let refused = eventually(
        async || match publisher.publish(&join("x")).await {
            Err(PublishError::GaveUp { last, tries, .. }) if last.contains("refused") => Some(tries),
            _ => None,
        },
        "a refusal",
    )
    .await;
    assert!(refused >= 1);
    management::unbound_queue(world.vhost.name()).await;
    let publisher = world.publisher();
    assert_eq!(publisher.publish(&join("y")).await.unwrap(), Outcome::Confirmed);
    world.finish(&[names::EVENTS_GUILD]).await;
}
