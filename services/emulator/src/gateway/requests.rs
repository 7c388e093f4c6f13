//! What an identified client may ask for: members, sounds, a voice channel.

use serde_json::{Value, json};

use super::{
    Intents,
    payload::{OneOrMany, RequestMembers, RequestSounds, VoiceState},
    session::Session,
};
use crate::{
    AppState,
    model::{Guild, Id},
    world::{State, to_body},
};

/// Members of one chunk.
const CHUNK: usize = 1_000;
/// Most members that a search or a list of ids gives.
const MOST_FOUND: usize = 100;

/// Op 8 → `GUILD_MEMBERS_CHUNK`, as many as needed, to this session alone.
/// <https://discord.com/developers/docs/events/gateway-events#request-guild-members>
pub(super) fn members(app: &AppState, session: &Session, request: &RequestMembers) {
    let everyone = request.user_ids.is_none() && request.query.as_deref() == Some("") && request.limit == 0;
    if everyone && !session.intents.contains(Intents::GUILD_MEMBERS) {
        tracing::info!("asked for all members without the GUILD_MEMBERS intent: no answer, as on Discord");
        return;
    }
    app.world.read(|state| {
        let Some(guild) = state
            .guilds
            .get(&request.guild_id)
            .filter(|guild| session.covers(Some(guild.id)))
        else {
            return;
        };
        let (found, not_found) = select(state, guild, request);
        let chunks: Vec<&[Id]> = if found.is_empty() {
            vec![&[]]
        } else {
            found.chunks(CHUNK).collect()
        };
        for (index, chunk) in chunks.iter().enumerate() {
            let members: Vec<Value> = chunk
                .iter()
                .filter_map(|id| state.member_view(guild.id, *id))
                .map(|member| json!(member))
                .collect();
            let mut d = json!({
                "guild_id": guild.id, "members": members, "chunk_index": index, "chunk_count": chunks.len(),
            });
            if !not_found.is_empty() {
                d["not_found"] = json!(not_found);
            }
            // A nonce over 32 bytes is ignored.
            if let Some(nonce) = request.nonce.as_ref().filter(|nonce| nonce.len() <= 32) {
                d["nonce"] = json!(nonce);
            }
            session.push("GUILD_MEMBERS_CHUNK", to_body(&d));
        }
    });
}

fn select(state: &State, guild: &Guild, request: &RequestMembers) -> (Vec<Id>, Vec<Id>) {
    if let Some(ids) = &request.user_ids {
        let ids = match ids {
            OneOrMany::One(id) => std::slice::from_ref(id),
            OneOrMany::Many(ids) => ids.as_slice(),
        };
        return ids
            .iter()
            .take(MOST_FOUND)
            .partition(|id| guild.members.contains_key(id));
    }
    let query = request.query.as_deref().unwrap_or_default().to_lowercase();
    let most = match usize::try_from(request.limit).unwrap_or(usize::MAX) {
        0 if query.is_empty() => usize::MAX,
        0 => MOST_FOUND,
        limit => limit.min(MOST_FOUND),
    };
    let matches = |id: &Id| {
        let nick = guild.members.get(id).and_then(|member| member.nick.as_deref());
        let name = state.users.get(id).map(|user| user.username.as_str());
        [nick, name]
            .into_iter()
            .flatten()
            .any(|name| name.to_lowercase().starts_with(&query))
    };
    (
        guild.members.keys().copied().filter(matches).take(most).collect(),
        Vec::new(),
    )
}

/// Op 31 → `SOUNDBOARD_SOUNDS` for each server; none has sounds here.
pub(super) fn sounds(app: &AppState, session: &Session, request: &RequestSounds) {
    app.world.read(|state| {
        let known = request
            .guild_ids
            .iter()
            .filter(|id| session.covers(Some(**id)) && state.guilds.contains_key(id));
        for guild in known {
            session.push(
                "SOUNDBOARD_SOUNDS",
                to_body(&json!({"guild_id": guild, "soundboard_sounds": []})),
            );
        }
    });
}

/// Op 4 → `VOICE_STATE_UPDATE` of the bot. No voice server exists, so none is named.
pub(super) fn voice(app: &AppState, session: &Session, request: &VoiceState) {
    if !session.intents.contains(Intents::GUILD_VOICE_STATES) || !session.covers(Some(request.guild_id)) {
        return;
    }
    app.world.read(|state| {
        let Some(guild) = state.guilds.get(&request.guild_id) else {
            return;
        };
        let is_voice = |id: &Id| guild.channels.get(id).is_some_and(|channel| channel.kind.is_voice());
        let d = json!({
            "guild_id": guild.id,
            "channel_id": request.channel_id.filter(is_voice),
            "user_id": state.bot_id,
            "member": state.member_view(guild.id, state.bot_id),
            "session_id": session.id,
            "deaf": false, "mute": false, "self_video": false, "suppress": false,
            "self_deaf": request.self_deaf, "self_mute": request.self_mute,
            "request_to_speak_timestamp": null,
        });
        session.push("VOICE_STATE_UPDATE", to_body(&d));
    });
}
