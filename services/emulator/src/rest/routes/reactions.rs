//! Reactions. <https://discord.com/developers/docs/resources/message#create-reaction>

use http::Method;
use serde_json::{Value, json};

use super::{messages::find, threads::require_active};
use crate::{
    model::{Id, Permissions, User},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::DELETE, ALL, BucketClass::Reaction, remove_all),
    bot(&Method::GET, ONE, BucketClass::ReadReactions, list),
    bot(&Method::DELETE, ONE, BucketClass::Reaction, remove_emoji),
    bot(&Method::PUT, OWN, BucketClass::Reaction, add),
    bot(&Method::DELETE, OWN, BucketClass::Reaction, remove_own),
    bot(&Method::DELETE, OTHERS, BucketClass::Reaction, remove_other),
];

const ALL: &str = "/channels/{channel_id}/messages/{message_id}/reactions";
const ONE: &str = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}";
const OWN: &str = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me";
const OTHERS: &str = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/{user_id}";
/// Largest number of different emoji on a message.
const MAXIMUM: usize = 20;

/// The emoji of the path: a Unicode emoji, or `name:id` of a custom emoji in the bot's servers.
fn emoji(call: &Call, state: &State) -> ApiResult<Value> {
    let text = call.param("emoji_name");
    if let Some((name, id)) = text.split_once(':') {
        let id: Id = id.parse().map_err(|_| ErrorCode::UnknownReactionEmoji)?;
        let in_guilds = state.guilds.values().any(|guild| guild.emojis.contains_key(&id));
        if !in_guilds && !state.application_emojis.contains_key(&id) {
            return Err(ErrorCode::UnknownReactionEmoji.into());
        }
        return Ok(json!({ "id": id, "name": name }));
    }
    // Unicode emoji are short and have no letters; digits may begin a keycap.
    let wordless = !text.is_ascii() && text.chars().count() <= 12 && !text.chars().any(char::is_alphabetic);
    if wordless {
        Ok(json!({ "id": null, "name": text }))
    } else {
        Err(ErrorCode::UnknownReactionEmoji.into())
    }
}

fn place(call: &Call) -> ApiResult<(Id, Id)> {
    Ok((call.id("channel_id")?, call.id("message_id")?))
}

fn add(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, id) = place(call)?;
    call.app.world.write(|state| {
        let home = state.channel_with(channel, Permissions::READ_MESSAGE_HISTORY)?;
        require_active(home)?;
        let message = find(state, channel, id)?;
        let emoji = emoji(call, state)?;
        if !message.reactions.iter().any(|known| known.emoji == emoji) {
            if message.reactions.len() >= MAXIMUM {
                return Err(ErrorCode::MaximumReactions.into());
            }
            state.channel_with(channel, Permissions::ADD_REACTIONS)?;
        }
        state.react(channel, id, state.bot_id, &emoji, true);
        Ok(RouteResponse::NoContent)
    })
}

fn remove_own(call: &Call) -> ApiResult<RouteResponse> {
    remove(call, None)
}

fn remove_other(call: &Call) -> ApiResult<RouteResponse> {
    remove(call, Some(call.id("user_id")?))
}

fn remove(call: &Call, other: Option<Id>) -> ApiResult<RouteResponse> {
    let (channel, id) = place(call)?;
    call.app.world.write(|state| {
        let user = other.unwrap_or(state.bot_id);
        let needed = if user == state.bot_id {
            Permissions::VIEW_CHANNEL
        } else {
            Permissions::MANAGE_MESSAGES
        };
        state.channel_with(channel, needed)?;
        find(state, channel, id)?;
        let emoji = emoji(call, state)?;
        state.react(channel, id, user, &emoji, false);
        Ok(RouteResponse::NoContent)
    })
}

fn remove_emoji(call: &Call) -> ApiResult<RouteResponse> {
    clear(call, true)
}

fn remove_all(call: &Call) -> ApiResult<RouteResponse> {
    clear(call, false)
}

fn clear(call: &Call, one: bool) -> ApiResult<RouteResponse> {
    let (channel, id) = place(call)?;
    call.app.world.write(|state| {
        state.channel_with(channel, Permissions::MANAGE_MESSAGES)?;
        find(state, channel, id)?;
        let emoji = if one { Some(emoji(call, state)?) } else { None };
        state.clear_reactions(channel, id, emoji.as_ref());
        Ok(RouteResponse::NoContent)
    })
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, id) = place(call)?;
    let limit = usize::try_from(call.query.number("limit", 1, 100, 25)?).unwrap_or(25);
    let after = call.query.snowflake("after")?.map(Id);
    call.app.world.read(|state| {
        state.channel_with(channel, Permissions::READ_MESSAGE_HISTORY)?;
        let message = find(state, channel, id)?;
        let emoji = emoji(call, state)?;
        let mut users: Vec<Id> = message
            .reactions
            .iter()
            .filter(|known| known.emoji == emoji)
            .flat_map(|known| known.users.iter().copied())
            .filter(|user| after.is_none_or(|after| *user > after))
            .collect();
        users.sort_unstable();
        let users: Vec<&User> = users.iter().take(limit).filter_map(|id| state.users.get(id)).collect();
        Ok(RouteResponse::json(&users))
    })
}
