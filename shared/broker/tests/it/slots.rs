use std::time::{Duration, Instant};

use arrakis_broker::take_slot;
use arrakis_broker::topology::{IDENTIFY_SLOT_MS, identify_slot_queue};

use crate::world::World;

/// Two processes request the slot of a bucket at the same time: one waits until the slot is free, also if its holder is dead. Another
/// bucket's slot is free.
#[tokio::test]
async fn one_slot_at_a_time_across_connections() {
    let world = World::bare().await;
    let begin = Instant::now();
    let first = world.another_connection();
    take_slot(&first, &identify_slot_queue(0)).await.unwrap();
    first.close().await;
    take_slot(&world.connection, &identify_slot_queue(1)).await.unwrap();
    let other_bucket = begin.elapsed();
    take_slot(&world.connection, &identify_slot_queue(0)).await.unwrap();
    let slot = Duration::from_millis(IDENTIFY_SLOT_MS.unsigned_abs());
    // The broker's timer decides; this asserts only that the second process waited.
    assert!(begin.elapsed() >= slot.mul_f64(0.9), "{:?}", begin.elapsed());
    assert!(other_bucket < begin.elapsed());
}
