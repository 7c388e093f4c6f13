//! Fuzz tests of messages from other publishers: see `arrakis-fuzz`.

use arrakis_contracts::Job;
use arrakis_contracts::labels::HeaderValue;
use arrakis_fuzz::Fuzz;
use lapin::protocol::basic::parse_properties;

use crate::connection::FRAME_BYTES;
use crate::dead_letters::{describe, replayed};
use crate::delivery::Delivery;
use crate::message::{Message, fits_short};
use crate::retry::mark;

/// Headers and properties of a message travel in one frame.
const FRAME: usize = FRAME_BYTES as usize;

/// Builds a delivery from input: four bytes with the length of the properties, the properties, the body.
fn delivery(input: &[u8]) -> Result<Delivery, String> {
    let (length, rest) = input.split_first_chunk::<4>().ok_or("no length")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_or(rest.len(), |length| length.min(rest.len()));
    let (properties, body) = rest.split_at(length);
    let (_, properties) = parse_properties(properties).map_err(|_| "no properties")?;
    let key = "interaction.command.position".into();
    let mut delivery = lapin::message::Delivery::mock(1, "arrakis.events".into(), key, false, body.to_vec());
    delivery.properties = properties;
    Ok(Delivery::read("arrakis.interactions", delivery))
}

/// Asserts that a delivered message can be published again: to a retry queue, the dead letters or its queue.
fn assert_publishable(message: &Message) {
    drop(message.properties());
    for name in [&message.exchange, &message.routing_key] {
        assert!(fits_short(name), "no exchange and no key has {} bytes", name.len());
    }
    let header = |(name, value): (&String, &HeaderValue)| match value {
        HeaderValue::Text(text) => name.len() + text.len() + 6,
        HeaderValue::Integer(_) => name.len() + 10,
    };
    let names = message.id.len() + message.kind.len() + message.app_id.as_ref().map_or(0, String::len);
    let bytes = message.headers.iter().map(header).sum::<usize>() + names;
    assert!(bytes + 1_024 < FRAME, "{bytes} bytes of properties do not fit a frame");
}

#[test]
fn deliveries() {
    let words = [
        "attempts",
        "origin_key",
        "origin_queue",
        "last_error",
        "dead_reason",
        "guild",
        "seq",
        "session",
        "v",
        "x-death",
        "INTERACTION_CREATE",
    ];
    let fuzz = Fuzz::target(env!("CARGO_MANIFEST_DIR"), "deliveries")
        .dictionary(&words)
        .max_length(120 << 10)
        .cases(3_000);
    fuzz.run(|input| {
        let delivery = match delivery(input) {
            Ok(delivery) => delivery,
            Err(why) => return why,
        };
        for error in ["short", &"é".repeat(3_000)] {
            let mut copy = delivery.to_message("arrakis.dlx", delivery.origin_key());
            mark(&mut copy, &delivery, delivery.attempts().saturating_add(1), error);
            assert_publishable(&copy);
        }
        let letter = describe(&delivery);
        if let Some(message) = replayed(&delivery, &letter) {
            assert_publishable(&message);
        }
        match (delivery.labels(), Job::decode(delivery.body())) {
            (Ok(_), _) => "an event".to_owned(),
            (_, Ok(_)) => "a job".to_owned(),
            (Err(event), Err(job)) => format!("{event}; {job}"),
        }
    });
}
