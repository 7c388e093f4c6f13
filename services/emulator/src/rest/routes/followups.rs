//! Messages by an interaction's token: the original response and follow-ups.
//! <https://discord.com/developers/docs/interactions/receiving-and-responding#followup-messages>
//!
//! Webhooks of channels have the same paths; `webhook_messages` decides to which of the two a call belongs.

use serde_json::Value;

use super::{
    compose,
    interactions::{answered, blank, mentions_all},
    messages::reference_to,
};
use crate::{
    model::{
        Id, Interaction, InteractionKind, InteractionState, Message,
        message::{FLAG_COMPONENTS_V2, FLAG_LOADING},
    },
    rest::{
        call::{Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        validate::{
            form::read_body,
            message::{Sender, read_message},
        },
    },
    world::State,
};

/// The message of the interaction that a call addresses.
#[derive(Clone, Copy)]
pub(super) enum AddressedMessage {
    /// `@original`.
    Original,
    /// A message by id: the original response or a follow-up.
    Message(Id),
}

fn view(state: &State, channel: Id, id: Id) -> ApiResult<Value> {
    let message = state.message(channel, id).ok_or(ErrorCode::UnknownMessage)?;
    Ok(state.message_view(message))
}

/// The message, when this interaction created it (or, for `@original` of a component, was created by it).
fn find<'a>(state: &'a State, interaction: &Interaction, target: AddressedMessage) -> ApiResult<&'a Message> {
    let id = match target {
        AddressedMessage::Original => interaction.original,
        AddressedMessage::Message(id) if interaction.original == Some(id) || interaction.followups.contains(&id) => {
            Some(id)
        }
        AddressedMessage::Message(_) => None,
    };
    let found = id.and_then(|id| state.message(interaction.channel_id, id));
    found.ok_or_else(|| ErrorCode::UnknownMessage.into())
}

/// `POST`: a follow-up, or the original response itself while it is loading after a defer.
pub(super) fn create(call: &Call) -> ApiResult<RouteResponse> {
    let token = call.param("webhook_token");
    let form = read_body(&call.json_or_empty(), |form| read_message(form, Sender::Interaction, 0));
    call.app.world.write(|state| {
        let interaction = answered(call, state, token)?.clone();
        let all = mentions_all(state, &interaction);
        let form = form?;
        compose::check_new(&form, &call.body.files)?;
        let loading = find(state, &interaction, AddressedMessage::Original)
            .ok()
            .filter(|message| message.flags & FLAG_LOADING != 0)
            .cloned();
        let id = if let Some(mut message) = loading {
            // The defer decided whether it is ephemeral.
            let ephemeral_bit = message.flags & crate::model::message::FLAG_EPHEMERAL;
            message.flags = ephemeral_bit;
            compose::fill(state, &mut message, &form, call, all);
            let id = message.id;
            state.update_message(message);
            id
        } else {
            let mut message = blank(state, &interaction, form.wants_ephemeral());
            if let Some(original) = interaction.original {
                message.kind = 19;
                message.message_reference = Some(reference_to(interaction.guild_id, interaction.channel_id, original));
            } else if interaction.kind == InteractionKind::Command {
                message.kind = 0;
            }
            compose::fill(state, &mut message, &form, call, all);
            let id = message.id;
            state.create_message(message);
            if let Some(known) = state.interactions.get_mut(&interaction.id) {
                known.followups.push(id);
            }
            id
        };
        settle(call, state, interaction.id);
        Ok(RouteResponse::json(&view(state, interaction.channel_id, id)?))
    })
}

/// Records that a deferred interaction was answered by an edit or a follow-up.
fn settle(call: &Call, state: &mut State, id: Id) {
    if let Some(known) = state.interactions.get_mut(&id)
        && known.state == InteractionState::Deferred
    {
        known.state = InteractionState::Answered;
        call.app.load.answered(id);
    }
}

/// `GET` of one message.
pub(super) fn get(call: &Call, target: AddressedMessage) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| {
        let interaction = answered(call, state, call.param("webhook_token"))?;
        let message = find(state, interaction, target)?;
        Ok(RouteResponse::json(&state.message_view(message)))
    })
}

/// `PATCH` of one message.
pub(super) fn edit(call: &Call, target: AddressedMessage) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let interaction = answered(call, state, call.param("webhook_token"))?.clone();
        let mut message = find(state, &interaction, target)?.clone();
        let current = message.flags & FLAG_COMPONENTS_V2;
        let form = read_body(&call.json_or_empty(), |form| {
            read_message(form, Sender::Interaction, current)
        })?;
        let was_loading = message.flags & FLAG_LOADING != 0;
        message.flags &= !FLAG_LOADING;
        compose::edit(state, &mut message, &form, call)?;
        // A message that replaces "thinking…" is not marked as edited.
        if !was_loading {
            message.edited_timestamp = Some(state.now());
        }
        let id = message.id;
        state.update_message(message);
        settle(call, state, interaction.id);
        Ok(RouteResponse::json(&view(state, interaction.channel_id, id)?))
    })
}

/// `DELETE` of one message.
pub(super) fn delete(call: &Call, target: AddressedMessage) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let interaction = answered(call, state, call.param("webhook_token"))?.clone();
        let id = find(state, &interaction, target)?.id;
        state.delete_message(interaction.channel_id, id, None);
        settle(call, state, interaction.id);
        Ok(RouteResponse::NoContent)
    })
}
