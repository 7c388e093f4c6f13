//! Scheduled events.

use serde::Deserialize;
use serde_json::Value;

use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{Attributes, Event, EventPlace, Reference, Snowflake};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    location: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    id: Snowflake,
    #[serde(default)]
    name: String,
    description: Option<String>,
    scheduled_start_time: Option<String>,
    scheduled_end_time: Option<String>,
    #[serde(default)]
    entity_type: u64,
    channel_id: Option<Snowflake>,
    #[serde(default)]
    entity_metadata: Option<Place>,
}

pub(super) fn resources(value: &Value) -> Result<Vec<LiveResource>, Unreadable> {
    let events: Vec<Wire> = wire::read("scheduled events", value)?;
    Ok(events.into_iter().map(resource).collect())
}

fn resource(event: Wire) -> LiveResource {
    let channel = event.channel_id.map(Reference::Id);
    let place = match event.entity_type {
        1 => channel.map(EventPlace::Stage),
        2 => channel.map(EventPlace::Voice),
        3 => event
            .entity_metadata
            .and_then(|place| place.location)
            .map(EventPlace::External),
        _ => None,
    };
    let attributes = Event {
        name: Some(event.name),
        description: Some(event.description.unwrap_or_default()),
        start: event.scheduled_start_time.and_then(|text| text.parse().ok()),
        end: event.scheduled_end_time.and_then(|text| text.parse().ok()),
        place,
        image: None,
    };
    plain(event.id, Attributes::Event(attributes))
}
