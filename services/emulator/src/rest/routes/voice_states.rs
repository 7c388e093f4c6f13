//! Voice states. No member is ever connected to voice in the emulator, so every voice state is unknown.
//! <https://discord.com/developers/docs/resources/voice#get-user-voice-state>

use http::Method;

use crate::rest::{
    call::{AccessChecks, Call, RouteResponse},
    errors::{ApiResult, ErrorCode},
    limits::BucketClass,
    route::{Route, bot},
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, OWN, BucketClass::ReadMember, unknown),
    bot(&Method::PATCH, OWN, BucketClass::EditMember, unknown),
    bot(&Method::GET, ONE, BucketClass::ReadMember, unknown),
    bot(&Method::PATCH, ONE, BucketClass::EditMember, unknown),
];

const OWN: &str = "/guilds/{guild_id}/voice-states/@me";
const ONE: &str = "/guilds/{guild_id}/voice-states/{user_id}";

fn unknown(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    if !call.param("user_id").is_empty() {
        call.id("user_id")?;
    }
    call.app.world.read(|state| {
        state.guild_for_bot(id)?;
        Err(ErrorCode::UnknownVoiceState.into())
    })
}
