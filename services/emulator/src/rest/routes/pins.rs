//! Pinned messages, by the current paths and the older ones.
//! <https://discord.com/developers/docs/resources/message#get-channel-pins>

use http::Method;
use serde_json::{Value, json};

use super::messages::{find, view};
use crate::{
    model::{Message, Permissions, Timestamp},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::GET,
        "/channels/{channel_id}/messages/pins",
        BucketClass::ReadMessages,
        list,
    ),
    bot(
        &Method::PUT,
        "/channels/{channel_id}/messages/pins/{message_id}",
        BucketClass::Pin,
        pin,
    ),
    bot(
        &Method::DELETE,
        "/channels/{channel_id}/messages/pins/{message_id}",
        BucketClass::Pin,
        unpin,
    ),
    bot(
        &Method::GET,
        "/channels/{channel_id}/pins",
        BucketClass::ReadMessages,
        list_plain,
    ),
    bot(
        &Method::PUT,
        "/channels/{channel_id}/pins/{message_id}",
        BucketClass::Pin,
        pin,
    ),
    bot(
        &Method::DELETE,
        "/channels/{channel_id}/pins/{message_id}",
        BucketClass::Pin,
        unpin,
    ),
];

/// Largest number of pins of a channel.
const MAXIMUM: usize = 250;

/// Pinned messages, newest first. The time of pinning is not stored: messages are ordered by their ids.
fn pinned(state: &State, call: &Call) -> ApiResult<Vec<Message>> {
    let channel = call.id("channel_id")?;
    state.channel_with(channel, Permissions::READ_MESSAGE_HISTORY)?;
    let all = state
        .messages
        .get(&channel)
        .into_iter()
        .flat_map(|all| all.values().rev());
    Ok(all.filter(|message| message.pinned).cloned().collect())
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let limit = usize::try_from(call.query.number("limit", 1, 50, 50)?).unwrap_or(50);
    let before = match call.query.text("before") {
        None => None,
        Some(text) => Some(Timestamp::parse(text).ok_or_else(|| {
            ApiError::field(
                "before",
                "DATE_TIME_TYPE_PARSE",
                format!("Could not parse {text}. Should be ISO8601."),
            )
        })?),
    };
    call.app.world.read(|state| {
        let mut all = pinned(state, call)?;
        all.retain(|message| before.is_none_or(|before| message.timestamp < before));
        let items: Vec<Value> = all
            .iter()
            .take(limit)
            .map(|message| json!({ "pinned_at": message.timestamp, "message": view(state, message) }))
            .collect();
        Ok(RouteResponse::json(
            &json!({ "has_more": all.len() > items.len(), "items": items }),
        ))
    })
}

fn list_plain(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| {
        let views: Vec<Value> = pinned(state, call)?
            .iter()
            .take(50)
            .map(|message| view(state, message))
            .collect();
        Ok(RouteResponse::json(&views))
    })
}

fn pin(call: &Call) -> ApiResult<RouteResponse> {
    set(call, true)
}

fn unpin(call: &Call) -> ApiResult<RouteResponse> {
    set(call, false)
}

fn set(call: &Call, pinned: bool) -> ApiResult<RouteResponse> {
    let (channel, id) = (call.id("channel_id")?, call.id("message_id")?);
    call.app.world.write(|state| {
        state.channel_with(channel, Permissions::PIN_MESSAGES)?;
        let message = find(state, channel, id)?;
        if message.pinned == pinned {
            return Ok(RouteResponse::NoContent);
        }
        let count = state
            .messages
            .get(&channel)
            .map_or(0, |all| all.values().filter(|known| known.pinned).count());
        if pinned && count >= MAXIMUM {
            return Err(ErrorCode::MaximumPins.into());
        }
        state.set_pinned(channel, id, pinned, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}
