use std::time::{Duration, Instant};

use arrakis_broker::take_slot;
use arrakis_broker::topology::{IDENTIFY_SLOT_MS, identify_slot_queue};

use crate::world::World;

/// Two processes that want the same bucket at the same time: one waits until the slot is over, and a dead taker's slot
/// lasts as long as a living one's. Another bucket waits for nobody.
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
    // The broker's own timer decides; this only says that the slot was waited for at all.
    assert!(begin.elapsed() >= slot.mul_f64(0.9), "{:?}", begin.elapsed());
    assert!(other_bucket < begin.elapsed());
}
