//! Requests of an identified client: members, sounds, channel info, a voice channel.

use serde_json::{Value, json};

use super::{
    Intents,
    payload::{RequestChannelInfo, RequestMembers, RequestSounds, VoiceState},
    session::Session,
};
use crate::{
    AppState,
    model::{Guild, Id},
    world::{State, to_body},
};

/// Members of one chunk.
const CHUNK: usize = 1_000;
/// Largest number of members of a search or a list of ids.
const MOST_FOUND: usize = 100;

/// Op 8 → `GUILD_MEMBERS_CHUNK`, as many as needed, to this session alone.
/// <https://discord.com/developers/docs/events/gateway-events#request-guild-members>
pub(super) fn members(app: &AppState, session: &Session, request: &RequestMembers) {
    let everyone = request.is_for_everyone();
    if everyone && !session.intents.contains(Intents::GUILD_MEMBERS) {
        tracing::info!("request for all members without the GUILD_MEMBERS intent is ignored, as at Discord");
        return;
    }
    for id in request.guild_id.ids() {
        if everyone
            && app.options.rate_limits
            && let Err(retry_after_ms) = app.hub.take_all_members(*id)
        {
            session.push("RATE_LIMITED", to_body(&rate_limited(*id, request, retry_after_ms)));
            continue;
        }
        members_of(app, session, *id, request);
    }
}

/// <https://discord.com/developers/docs/events/gateway-events#rate-limited>
fn rate_limited(guild: Id, request: &RequestMembers, retry_after_ms: u64) -> Value {
    let mut meta = json!({"guild_id": guild});
    if let Some(nonce) = request.nonce() {
        meta["nonce"] = json!(nonce);
    }
    #[expect(clippy::cast_precision_loss, reason = "at most thirty seconds")]
    let seconds = retry_after_ms as f64 / 1_000.0;
    json!({"opcode": 8, "retry_after": seconds, "meta": meta})
}

fn members_of(app: &AppState, session: &Session, id: Id, request: &RequestMembers) {
    app.world.read(|state| {
        let Some(guild) = state.guilds.get(&id).filter(|guild| session.covers(Some(guild.id))) else {
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
            // All members are offline in the emulator, so the list is empty.
            if request.presences == Some(true) && session.intents.contains(Intents::GUILD_PRESENCES) {
                d["presences"] = json!([]);
            }
            if let Some(nonce) = request.nonce() {
                d["nonce"] = json!(nonce);
            }
            session.push("GUILD_MEMBERS_CHUNK", to_body(&d));
        }
    });
}

fn select(state: &State, guild: &Guild, request: &RequestMembers) -> (Vec<Id>, Vec<Id>) {
    if let Some(ids) = &request.user_ids {
        return ids
            .ids()
            .iter()
            .take(MOST_FOUND)
            .partition(|id| guild.members.contains_key(id));
    }
    let query = request.query.as_deref().unwrap_or_default().to_lowercase();
    let most = match usize::try_from(request.limit.unwrap_or(0)).unwrap_or(usize::MAX) {
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

/// Op 31 → `SOUNDBOARD_SOUNDS` for each server; no server of the emulator has sounds.
pub(super) fn sounds(app: &AppState, session: &Session, request: &RequestSounds) {
    app.world.read(|state| {
        let known = request
            .guild_ids
            .ids()
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

/// Op 43 → `CHANNEL_INFO`; no member is ever in a voice channel of the emulator, so the list is empty.
pub(super) fn channel_info(app: &AppState, session: &Session, request: &RequestChannelInfo) {
    let guild = request.guild_id;
    let known = app.world.read(|state| state.guilds.contains_key(&guild));
    if known && session.covers(Some(guild)) {
        session.push("CHANNEL_INFO", to_body(&json!({"guild_id": guild, "channels": []})));
    }
}

/// Op 4 → `VOICE_STATE_UPDATE` of the bot. No `VOICE_SERVER_UPDATE` follows, since no voice server exists.
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
            "self_deaf": request.self_deaf.unwrap_or(false), "self_mute": request.self_mute.unwrap_or(false),
            "request_to_speak_timestamp": null,
        });
        session.push("VOICE_STATE_UPDATE", to_body(&d));
    });
}
