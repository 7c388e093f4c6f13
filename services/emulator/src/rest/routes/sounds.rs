//! Soundboard sounds, as far as bots read them when they start: Discord's own sounds, and an empty list for each server.
//! <https://discord.com/developers/docs/resources/soundboard>

use http::Method;
use serde_json::{Value, json};

use crate::rest::{
    call::{AccessChecks, Call, RouteResponse},
    errors::ApiResult,
    limits::BucketClass,
    route::{Route, bot},
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::GET,
        "/soundboard-default-sounds",
        BucketClass::CurrentUser,
        default_sounds,
    ),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/soundboard-sounds",
        BucketClass::ReadGuild,
        guild_sounds,
    ),
];

/// Discord's own sounds. The first is the documentation's example, the others are from memory.
const DEFAULT_SOUNDS: [(&str, &str, &str); 6] = [
    ("1", "quack", "🦆"),
    ("2", "airhorn", "🔊"),
    ("3", "cricket", "🦗"),
    ("4", "golf clap", "👏"),
    ("5", "sad horn", "🎺"),
    ("7", "ba dum tss", "🥁"),
];

fn default_sounds(_: &Call) -> ApiResult<RouteResponse> {
    let sounds: Vec<Value> = DEFAULT_SOUNDS
        .iter()
        .map(|(id, name, emoji)| {
            json!({ "name": name, "sound_id": id, "volume": 1.0, "emoji_id": null, "emoji_name": emoji, "available": true })
        })
        .collect();
    Ok(RouteResponse::json(&sounds))
}

fn guild_sounds(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| state.guild_for_bot(id).map(|_| ()))?;
    Ok(RouteResponse::json(&json!({ "items": [] })))
}
