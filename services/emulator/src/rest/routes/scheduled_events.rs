//! Scheduled events. <https://discord.com/developers/docs/resources/guild-scheduled-event>

use http::Method;
use serde_json::{Value, json};

use super::cdn::store_image;
use crate::{
    model::{ChannelKind, Guild, Id, Permissions, ScheduledEvent, Timestamp},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode, FieldErrors},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            community::{EventForm, read_event},
            form::{FormField, read_body},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, ALL, BucketClass::ScheduledEvents, list),
    bot(&Method::POST, ALL, BucketClass::ScheduledEvents, create),
    bot(&Method::GET, ONE, BucketClass::ScheduledEvents, get),
    bot(&Method::PATCH, ONE, BucketClass::ScheduledEvents, edit),
    bot(&Method::DELETE, ONE, BucketClass::ScheduledEvents, delete),
    bot(&Method::GET, USERS, BucketClass::ScheduledEvents, list_users),
];

const ALL: &str = "/guilds/{guild_id}/scheduled-events";
const ONE: &str = "/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}";
const USERS: &str = "/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/users";
/// Largest number of scheduled and active events of a server.
const MAXIMUM: usize = 100;
const SCHEDULED: u8 = 1;
const ACTIVE: u8 = 2;
const EXTERNAL: u8 = 3;

fn view(state: &State, event: &ScheduledEvent) -> Value {
    let mut view = json!(event);
    if let Some(user) = state.users.get(&event.creator_id) {
        view["creator"] = json!(user);
    }
    view
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let events = state.guild_for_bot(id)?.scheduled_events.values();
        let open = events.filter(|event| event.status <= ACTIVE);
        Ok(RouteResponse::json(
            &open.map(|event| view(state, event)).collect::<Vec<_>>(),
        ))
    })
}

fn find<'a>(state: &'a State, call: &Call) -> ApiResult<&'a ScheduledEvent> {
    let guild = state.guild_for_bot(call.id("guild_id")?)?;
    let event = guild.scheduled_events.get(&call.id("guild_scheduled_event_id")?);
    Ok(event.ok_or(ErrorCode::UnknownScheduledEvent)?)
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&view(state, find(state, call)?))))
}

/// Members cannot mark their interest in the emulator, so the list is empty.
fn list_users(call: &Call) -> ApiResult<RouteResponse> {
    call.query.number("limit", 1, 100, 100)?;
    call.app.world.read(|state| {
        find(state, call)?;
        Ok(RouteResponse::json(&json!([])))
    })
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(call.json()?, |form| read_event(form, true))?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::CREATE_EVENTS)?;
        if guild
            .scheduled_events
            .values()
            .filter(|event| event.status <= ACTIVE)
            .count()
            >= MAXIMUM
        {
            return Err(ErrorCode::MaximumScheduledEvents.into());
        }
        let blank = ScheduledEvent {
            id: Id(0),
            guild_id: id,
            channel_id: None,
            creator_id: state.bot_id,
            name: String::new(),
            description: None,
            starts: Timestamp(0),
            ends: None,
            status: SCHEDULED,
            entity_type: 0,
            location: None,
            image: None,
        };
        let mut event = changed(blank, &form);
        check(guild, &event, form.starts.as_value().copied(), state.now())?;
        event.id = state.next_id();
        event.image = form.image.clone().value().map(|image| store_image(state, &image));
        let answer = RouteResponse::json(&view(state, &event));
        state.put_scheduled_event(&event, &call.cause());
        Ok(answer)
    })
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read_event(form, false))?;
    call.app.world.write(|state| {
        let known = find(state, call)?.clone();
        require(state, &known)?;
        let image = known.image.clone();
        let mut event = changed(known, &form);
        let moved = form.starts.as_value().copied();
        check(state.guild_for_bot(event.guild_id)?, &event, moved, state.now())?;
        let given = form.image.clone().map(|image| store_image(state, &image));
        event.image = given.or_keep(image);
        let answer = RouteResponse::json(&view(state, &event));
        state.put_scheduled_event(&event, &call.cause());
        Ok(answer)
    })
}

/// `CREATE_EVENTS` is enough for the bot's own event.
fn require(state: &State, event: &ScheduledEvent) -> ApiResult<()> {
    let own = event.creator_id == state.bot_id;
    let needed = if own {
        Permissions::CREATE_EVENTS
    } else {
        Permissions::MANAGE_EVENTS
    };
    state.guild_with(event.guild_id, needed).map(|_| ())
}

fn changed(mut event: ScheduledEvent, form: &EventForm) -> ScheduledEvent {
    if let FormField::Value(name) = &form.name {
        event.name.clone_from(name);
    }
    let description = form.description.clone().or_keep(event.description.take());
    event.description = description.filter(|text| !text.is_empty());
    if let FormField::Value(starts) = form.starts {
        event.starts = starts;
    }
    event.ends = form.ends.clone().or_keep(event.ends);
    if let FormField::Value(kind) = form.entity_type {
        event.entity_type = u8::try_from(kind).unwrap_or(0);
    }
    event.channel_id = form.channel.clone().map(Id).or_keep(event.channel_id);
    event.location = form.location.clone().or_keep(event.location.take());
    if let FormField::Value(status) = form.status {
        event.status = u8::try_from(status).unwrap_or(SCHEDULED);
    }
    event
}

/// Required fields by entity type:
/// <https://discord.com/developers/docs/resources/guild-scheduled-event#guild-scheduled-event-object-field-requirements-by-entity-type>.
fn check(guild: &Guild, event: &ScheduledEvent, moved_to: Option<Timestamp>, now: Timestamp) -> ApiResult<()> {
    let errors = FieldErrors::default();
    let refuse = |field: &str, code: &str, words: &str| errors.add(&[field.to_owned()], code, words);
    let required = |field: &str| refuse(field, "BASE_TYPE_REQUIRED", "This field is required");
    if event.entity_type == EXTERNAL {
        if event.channel_id.is_some() {
            refuse(
                "channel_id",
                "BASE_TYPE_CHOICES",
                "An event outside of Discord has no channel",
            );
        }
        if event.location.is_none() {
            required("entity_metadata");
        }
        if event.ends.is_none() {
            required("scheduled_end_time");
        }
    } else {
        let wanted = if event.entity_type == 1 {
            ChannelKind::Stage
        } else {
            ChannelKind::Voice
        };
        match event.channel_id.map(|id| guild.channels.get(&id)) {
            None => required("channel_id"),
            Some(found) if found.is_none_or(|channel| channel.kind != wanted) => {
                refuse("channel_id", "CHANNEL_INVALID", "Invalid channel");
            }
            Some(_) => {}
        }
    }
    if moved_to.is_some_and(|starts| starts < now) {
        refuse(
            "scheduled_start_time",
            "GUILD_SCHEDULED_EVENT_SCHEDULE_PAST",
            "Cannot schedule event in the past.",
        );
    }
    if event.ends.is_some_and(|ends| ends <= event.starts) {
        let words = "Cannot end an event before it starts.";
        refuse("scheduled_end_time", "GUILD_SCHEDULED_EVENT_INVALID_END", words);
    }
    errors.finish(())
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let event = find(state, call)?;
        require(state, event)?;
        let (guild, id) = (event.guild_id, event.id);
        state.delete_scheduled_event(guild, id, &call.cause());
        Ok::<_, ApiError>(RouteResponse::NoContent)
    })
}
