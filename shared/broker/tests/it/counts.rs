use arrakis_broker::{QueueCounts, queue_counts};
use arrakis_contracts::names;

use crate::world::{World, join};

#[tokio::test]
async fn counts_of_an_unknown_queue_are_none() {
    let world = World::new().await;
    let publisher = world.publisher();
    for id in ["a", "b", "c"] {
        publisher.publish(&join(id)).await.unwrap();
    }
    let three = QueueCounts {
        messages: 3,
        consumers: 0,
    };
    assert_eq!(queue_counts(&world.connection, names::EVENTS_GUILD).await, Some(three));
    assert_eq!(queue_counts(&world.connection, "no-such-queue").await, None);
    // The refusal closed the channel and not the connection.
    assert_eq!(queue_counts(&world.connection, names::EVENTS_GUILD).await, Some(three));
    assert_eq!(world.take_all(names::EVENTS_GUILD, 3).await.len(), 3);
    world.finish(&[]).await;
}
