//! Forwarding a message: <https://discord.com/developers/docs/resources/message#message-reference-types>

use serde_json::json;

use super::messages::find;
use crate::{
    gateway::Intents,
    model::{Id, Message, Permissions, message::FLAG_HAS_SNAPSHOT},
    rest::{
        call::AccessChecks,
        errors::{ApiError, ApiResult, ErrorCode},
        validate::message::ReferenceForm,
    },
    world::State,
};

/// Message types that can be forwarded: text, replies, responses to commands. Others are system messages.
const ORDINARY: [u8; 4] = [0, 19, 20, 23];

/// Makes `message` a forward of another message, with a snapshot of it.
///
/// # Errors
/// 160014 when the bot cannot read the other message, 50021 for a system message, 50035 when it does not exist.
pub(super) fn set(state: &State, message: &mut Message, forwarded: ReferenceForm) -> ApiResult<()> {
    let (channel, id) = (Id(forwarded.channel_id.unwrap_or_default()), Id(forwarded.message_id));
    let needed = Permissions::VIEW_CHANNEL | Permissions::READ_MESSAGE_HISTORY;
    let place = state
        .channel_with(channel, needed)
        .map_err(|_| ErrorCode::CannotForwardUnread)?;
    // The error for a missing message, the same as for a reply, is from memory.
    let original = find(state, channel, id)
        .map_err(|_| ApiError::field("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message"))?;
    if !ORDINARY.contains(&original.kind) {
        return Err(ErrorCode::CannotExecuteOnSystemMessage.into());
    }
    if !reads(state, original) {
        return Err(ErrorCode::CannotForwardUnread.into());
    }
    let mut reference = json!({ "type": 1, "channel_id": channel, "message_id": id });
    if let Some(guild) = place.guild_id {
        reference["guild_id"] = json!(guild);
    }
    // A snapshot has no snapshots: a forward of a forward has that of the first message.
    let snapshot = original.snapshot.clone();
    message.snapshot = Some(snapshot.unwrap_or_else(|| state.snapshot_of(original)));
    message.message_reference = Some(reference);
    message.flags |= FLAG_HAS_SNAPSHOT;
    Ok(())
}

/// Whether the bot can read the content of a message. Without the message content intent these are its own messages, those that
/// mention it, and direct messages.
pub(super) fn reads(state: &State, message: &Message) -> bool {
    state.application.privileged_intents.contains(Intents::MESSAGE_CONTENT)
        || message.guild_id.is_none()
        || message.author.id() == state.bot_id
        || message.application_id == Some(state.application.id)
        || message.mentions.contains(&state.bot_id)
}
