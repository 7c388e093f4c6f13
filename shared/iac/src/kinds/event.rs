//! Scheduled events: <https://discord.com/developers/docs/resources/guild-scheduled-event>.

use std::fmt;
use std::str::FromStr;

use arrakis_domain::Permission;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, ReadNotes, Requirement, Resolve, Sent,
    Violation, Write,
};
use super::draft::{Draft, Section, image, resource_entry};
use super::{Attributes, LiveResource};
use crate::rules;
use crate::values::limits::{EVENT_IMAGE_BYTES, MAX_EVENTS};
use crate::values::{
    Address, CHANNEL, Clearable, Image, ImageAttribute, ImageFormat, Kind, Kinds, Overwrites, Reference, RulePart,
    Snowflake,
};
use crate::wire::{self, Integer, LiveImage, UnknownValues, Unreadable, nullable};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Limited, Link, List, Named, OrNone, Text};
use crate::yaml::tree::Mark;
use crate::yaml::{KnownAddresses, Yaml, entries, link};

/// A time in UTC, with milliseconds. Serialized by RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// The text is not a time by RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time; write it like `2026-12-24T18:00:00Z`")]
pub struct TimestampError(String);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> i128 {
        self.0.unix_timestamp_nanos() / 1_000_000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let refuse = || TimestampError(text.chars().take(60).collect());
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| refuse())?;
        let utc = parsed.checked_to_offset(UtcOffset::UTC).ok_or_else(refuse)?;
        utc.replace_millisecond(utc.millisecond())
            .map(Self)
            .map_err(|_| refuse())
    }
}

serde_as_text!(Timestamp);

/// The location of a scheduled event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventLocation {
    /// On a stage.
    Stage(Reference),
    /// In a voice channel.
    Voice(Reference),
    /// A location outside Discord, as text; such an event has an end.
    External(String),
}

impl EventLocation {
    /// Discord's number of the entity type.
    #[must_use]
    pub const fn discord_number(&self) -> u64 {
        match self {
            Self::Stage(_) => 1,
            Self::Voice(_) => 2,
            Self::External(_) => 3,
        }
    }

    /// The channel; `None` for a location outside Discord.
    #[must_use]
    pub const fn channel(&self) -> Option<&Reference> {
        match self {
            Self::Stage(channel) | Self::Voice(channel) => Some(channel),
            Self::External(_) => None,
        }
    }
}

attributes! {
    /// A scheduled event.
    pub struct Event {
        /// The name.
        name: String,
        /// The description; empty for none.
        description: String,
        /// The start.
        start: Timestamp,
        /// The end; `none` for an event without an end.
        end: Clearable<Timestamp>,
        /// The location.
        place: EventLocation,
        /// The cover image.
        image: Image,
    }
}

document! {
    /// A scheduled event, on a `stage`, in a `voice` channel, or at a `location` elsewhere.
    pub(crate) struct EventEntry {
        /// The name; the logical name when absent.
        name: Limited<1, 100>,
        /// The description.
        description: Limited<0, 1000>,
        /// The start, like `2026-12-24T18:00:00Z`.
        start: Text<1, 60>,
        /// The end, or `none`; required with a location.
        end: OrNone<Text<1, 60>>,
        /// The stage of the event.
        stage: Link,
        /// The voice channel of the event.
        voice: Link,
        /// A location outside Discord.
        location: Limited<1, 100>,
        /// The cover image: a path relative to this file.
        image: Text<1, 1024>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
    }
}

resource_entry!(EventEntry, flag);

impl Section for Named<EventEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (index, (name, entry)) in entries(Some(section)).iter().enumerate() {
            if let Some(address) = names.present(Kind::Event, name) {
                if index >= MAX_EVENTS {
                    let reason = format!("more than {MAX_EVENTS} scheduled events; a server has no more");
                    reader.break_rule_of(name.at, &address, &[RulePart::Creation], reason);
                }
                let event = event(&address, name, entry, names, reader);
                draft.put(address, Attributes::Event(event), name.at);
            }
        }
    }
}

fn event(
    address: &Address,
    name: &At<String>,
    entry: &At<EventEntry>,
    names: &KnownAddresses,
    reader: &mut Reader<'_>,
) -> Event {
    let own = &entry.value;
    let mut time = |text: &str, at: Mark| {
        let time = text.parse::<Timestamp>();
        time.map_err(|error| reader.refuse(at, error.to_string())).ok()
    };
    let start = own.start.as_ref().and_then(|text| time(&text.value.0, text.at));
    let end = own.end.as_ref().and_then(|text| match &text.value.0 {
        Clearable::Cleared => Some(Clearable::Cleared),
        Clearable::Set(written) => time(&written.0, text.at).map(Clearable::Set),
    });
    let places = [own.stage.is_some(), own.voice.is_some(), own.location.is_some()];
    let places = places.into_iter().filter(|given| *given).count();
    if places > 1 {
        reader.refuse(name.at, "an event has exactly one of `stage`, `voice` and `location`");
    }
    let place = match (&own.stage, &own.voice, &own.location) {
        (Some(stage), _, _) => names.required(stage, Kind::Channel, reader).map(EventLocation::Stage),
        (_, Some(voice), _) => names.required(voice, Kind::Channel, reader).map(EventLocation::Voice),
        (_, _, Some(location)) => Some(EventLocation::External(location.value.0.clone())),
        _ => None,
    };
    let event = Event {
        name: Some(
            own.name
                .as_ref()
                .map_or_else(|| name.value.clone(), |name| name.value.0.clone()),
        ),
        description: own.description.as_ref().map(|description| description.value.0.clone()),
        start,
        end,
        place,
        image: image(own.image.as_ref()),
    };
    check_event(address, name.at, own, &event, reader);
    event
}

/// Checks rules of Discord for events.
fn check_event(address: &Address, at: Mark, own: &EventEntry, event: &Event, reader: &mut Reader<'_>) {
    let creation = [RulePart::Creation];
    if own.start.is_none() {
        let reason = "`start` is missing; write `start: 2026-12-24T18:00:00Z`";
        reader.break_rule_of(at, address, &creation, reason);
    }
    if own.stage.is_none() && own.voice.is_none() && own.location.is_none() {
        let reason = "an event has exactly one of `stage`, `voice` and `location`";
        reader.break_rule_of(at, address, &creation, reason);
    }
    if let (Some(start), Some(Clearable::Set(end)), Some(written)) = (event.start, event.end, &own.end)
        && end <= start
    {
        let parts = ["start", "end"].map(|field| RulePart::Attribute(field.to_owned()));
        reader.break_rule_of(written.at, address, &parts, "the event ends before it begins");
    }
    if let Some(location) = &own.location
        && !matches!(event.end, Some(Clearable::Set(_)))
    {
        let parts = ["place", "end"].map(|field| RulePart::Attribute(field.to_owned()));
        reader.break_rule_of(location.at, address, &parts, "an event outside Discord needs an `end`");
    }
}

impl Definition for Event {
    const IMAGE: Option<ImageAttribute> = Some(ImageAttribute {
        field: "image",
        formats: &[ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP],
        formats_text: "PNG, JPEG, GIF or WebP",
        max_bytes: EVENT_IMAGE_BYTES,
        is_required: false,
        is_replaceable: true,
    });
    const LIST: Option<ListRequest> = Some(ListRequest {
        path: "scheduled-events",
        what: "scheduled events",
        permission: "VIEW_CHANNEL",
        is_nullable: false,
        read,
    });
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Event(own) => Some(own),
            _ => None,
        }
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        self.name.as_mut()
    }

    fn stored_name(&self, name: &str) -> String {
        name.trim().to_owned()
    }

    fn image(&self) -> Option<&Image> {
        self.image.as_ref()
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        Some(&mut self.image)
    }

    fn defaults(&self) -> Self {
        Self {
            description: Some(String::new()),
            end: Some(Clearable::Cleared),
            ..Self::default()
        }
    }

    fn references(&self) -> Vec<&Reference> {
        self.place
            .as_ref()
            .and_then(EventLocation::channel)
            .into_iter()
            .collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        if let Some(EventLocation::Stage(channel) | EventLocation::Voice(channel)) = &mut self.place {
            change(CHANNEL, channel);
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        !self
            .place
            .as_ref()
            .and_then(EventLocation::channel)
            .is_some_and(is_gone)
    }

    fn forces_replacement(&self, _: &Self) -> Option<&'static str> {
        None
    }

    fn is_same_place(&self, found: &Self, _: Resolve<'_>) -> bool {
        let number = |place: &Option<EventLocation>| place.as_ref().map(EventLocation::discord_number);
        found.place.is_none() || number(&self.place) == number(&found.place)
    }

    fn requirements(write: Write<'_, Self>) -> Vec<Requirement> {
        // <https://discord.com/developers/docs/resources/guild-scheduled-event#guild-scheduled-event-object-permissions-requirements>
        use Permission as P;
        let (permission, event) = match write {
            Write::Create(event) => (P::CreateEvents, event),
            Write::Update { after, .. } => (P::ManageEvents, after),
            Write::Delete { .. } => return Requirement::on_server(&[P::ManageEvents]),
        };
        match &event.place {
            Some(EventLocation::Stage(channel)) => {
                let permissions = [permission, P::ManageChannels, P::MuteMembers, P::MoveMembers];
                vec![Requirement::in_channel(&permissions, channel)]
            }
            Some(EventLocation::Voice(channel)) => {
                vec![Requirement::in_channel(
                    &[permission, P::ViewChannel, P::Connect],
                    channel,
                )]
            }
            Some(EventLocation::External(_)) | None => Requirement::on_server(&[permission]),
        }
    }

    fn limits(&self, _: Resolve<'_>) -> Vec<Limit> {
        vec![Limit::all(Kind::Event)]
    }

    fn bound(_: Group, _: u8) -> Bound {
        Bound {
            most: MAX_EVENTS,
            what: "scheduled events",
            rule: rules::EVENTS_LIMIT,
            what_to_do: "remove events from the server or from the configuration",
        }
    }

    fn violations(&self, _: Sent<'_>, _: &Abilities<'_>) -> Vec<Violation> {
        Vec::new()
    }

    fn written(&self, field: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            "place" => Some(vec![match self.place.as_ref()? {
                EventLocation::Stage(channel) => ("stage".to_owned(), link(channel, "channel.")),
                EventLocation::Voice(channel) => ("voice".to_owned(), link(channel, "channel.")),
                EventLocation::External(location) => ("location".to_owned(), Yaml::text(location)),
            }]),
            "image" => Some(vec![(field.to_owned(), Yaml::text(&self.image.as_ref()?.path))]),
            _ => None,
        }
    }

    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found = read(&json!([answer]), server, &mut ReadNotes::default())?;
        Ok(found.into_iter().next().map(|found| found.attributes))
    }
}

const CALL: &str = "GET /guilds/{id}/scheduled-events";

/// The known entity types.
const PLACES: std::ops::RangeInclusive<Integer> = 1..=3;

/// A scheduled event as Discord sends it.
#[derive(Debug, Deserialize)]
struct EventObject {
    id: Snowflake,
    name: String,
    /// Required by the OpenAPI document; optional in the reference.
    description: Option<String>,
    scheduled_start_time: String,
    #[serde(deserialize_with = "nullable")]
    scheduled_end_time: Option<String>,
    entity_type: Integer,
    #[serde(deserialize_with = "nullable")]
    channel_id: Option<Snowflake>,
    /// An object for an event outside Discord, `null` else.
    entity_metadata: Option<Value>,
    /// Only for its image.
    #[serde(default)]
    image: Value,
}

#[derive(Debug, Deserialize)]
struct Location {
    location: String,
}

/// Reads the events. One with an unknown entity type is noted as unreadable too.
fn read(value: &Value, _: ReadContext<'_>, notes: &mut ReadNotes) -> Result<Vec<LiveResource>, Unreadable> {
    let events: Vec<EventObject> = wire::read(CALL, value)?;
    let image = |event: &EventObject| {
        let image = LiveImage::by_hash("guild-events", event.id, event.image.as_str()?)?;
        Some(((Kind::Event, event.id), image))
    };
    notes.images.extend(events.iter().filter_map(image));
    let numbered = events.into_iter().enumerate();
    numbered.map(|(index, event)| resource(index, event, notes)).collect()
}

fn resource(index: usize, event: EventObject, notes: &mut ReadNotes) -> Result<LiveResource, Unreadable> {
    let place = live_place(index, &event)?;
    let mut unknown = UnknownValues::of(Kind::Event, event.id, &event.name, &mut notes.unknown);
    if !PLACES.contains(&event.entity_type) {
        notes.unreadable.push(unknown.value("place", event.entity_type));
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
    Ok(LiveResource::new(event.id, Attributes::Event(attributes)))
}

/// The location; `None` for an unknown entity type, or for a channel that does not exist any more.
fn live_place(index: usize, event: &EventObject) -> Result<Option<EventLocation>, Unreadable> {
    let channel = event.channel_id.map(Reference::Id);
    Ok(match event.entity_type {
        1 => channel.map(EventLocation::Stage),
        2 => channel.map(EventLocation::Voice),
        3 => {
            let at = format!("[{index}].entity_metadata");
            let found: Location = wire::read_part(CALL, &at, event.entity_metadata.as_ref())?;
            Some(EventLocation::External(found.location))
        }
        _ => None,
    })
}
