//! Scheduled events.

use serde_json::Value;

use super::unknown::{UnknownValue, Unknowns};
use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, Clearable, Event, EventPlace, Kind, Reference};

pub(super) const CALL: &str = "GET /guilds/{id}/scheduled-events";

/// Discord's numbers of the kinds of places that are known.
const PLACES: std::ops::RangeInclusive<wire::Integer> = 1..=3;

/// The events. One with an unknown kind of place is noted as unreadable too.
pub(super) fn resources(
    value: &Value,
    unknown: &mut Vec<UnknownValue>,
    unreadable: &mut Vec<UnknownValue>,
) -> Result<Vec<LiveResource>, Unreadable> {
    let events: Vec<wire::Event> = wire::read(CALL, value)?;
    let numbered = events.into_iter().enumerate();
    numbered
        .map(|(index, event)| resource(index, event, unknown, unreadable))
        .collect()
}

fn resource(
    index: usize,
    event: wire::Event,
    unknown: &mut Vec<UnknownValue>,
    unreadable: &mut Vec<UnknownValue>,
) -> Result<LiveResource, Unreadable> {
    let place = place(index, &event)?;
    let mut unknown = Unknowns::of(Kind::Event, event.id, &event.name, unknown);
    if !PLACES.contains(&event.entity_type) {
        unreadable.push(unknown.value("place", event.entity_type));
    }
    let place = unknown.check("place", place, event.entity_type);
    let mut time = |field: &str, text: &str| unknown.check(field, text.parse().ok(), text);
    let start = time("start", &event.scheduled_start_time);
    let end = match event.scheduled_end_time.as_deref() {
        None => Some(Clearable::Cleared),
        Some(text) => time("end", text).map(Clearable::Set),
    };
    let attributes = Event {
        name: Some(event.name),
        description: Some(event.description.unwrap_or_default()),
        start,
        end,
        place,
        image: None,
    };
    Ok(plain(event.id, Attributes::Event(attributes)))
}

/// Where it takes place; `None` for a kind of place that is unknown, or whose channel is gone.
fn place(index: usize, event: &wire::Event) -> Result<Option<EventPlace>, Unreadable> {
    let channel = event.channel_id.map(Reference::Id);
    Ok(match event.entity_type {
        1 => channel.map(EventPlace::Stage),
        2 => channel.map(EventPlace::Voice),
        3 => {
            let at = format!("[{index}].entity_metadata");
            let found: wire::Location = wire::read_part(CALL, &at, event.entity_metadata.as_ref())?;
            Some(EventPlace::External(found.location))
        }
        _ => None,
    })
}
