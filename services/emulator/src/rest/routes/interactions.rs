//! The first response to an interaction.
//! <https://discord.com/developers/docs/interactions/receiving-and-responding#create-interaction-response>
//!
//! Owns the rules of the callback: within three seconds, once, and the types allowed for an interaction. Later calls by the
//! token (original response, follow-ups) are in `followups`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};

use super::compose;
use crate::{
    load::Refusal,
    model::{
        Author, Id, Interaction, InteractionKind, InteractionState, Message,
        message::{FLAG_EPHEMERAL, FLAG_LOADING},
    },
    rest::{
        call::{Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        permissions,
        route::{Access, Route},
        validate::{
            command_value::read_choices,
            form::{Form, FormField, Length, read_body},
            message::{MessageForm, Sender, read_message},
            modal::read_modal,
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[Route {
    method: &Method::POST,
    template: "/interactions/{interaction_id}/{interaction_token}/callback",
    // Discord sends no bucket headers for this route, and hikari logs an error when they are present.
    class: None,
    access: Access::Interaction,
    handler: callback,
}];

/// Discord's numbers of callback types.
mod kind {
    pub(super) const MESSAGE: i64 = 4;
    pub(super) const DEFERRED_MESSAGE: i64 = 5;
    pub(super) const DEFERRED_UPDATE: i64 = 6;
    pub(super) const UPDATE: i64 = 7;
    pub(super) const CHOICES: i64 = 8;
    pub(super) const MODAL: i64 = 9;
}

/// The validated data of a callback.
enum Response {
    Message(Box<MessageForm>),
    DeferredMessage { ephemeral: bool },
    DeferredUpdate,
    Update(Box<MessageForm>),
    Choices(Value),
    Modal(Value),
}

/// The interaction of a token. The token contains its id.
pub(super) fn by_token_text<'a>(state: &'a State, token: &str) -> Option<&'a Interaction> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok()?;
    let text = std::str::from_utf8(&decoded).ok()?;
    let id: Id = text.strip_prefix("interaction:")?.split(':').next()?.parse().ok()?;
    state
        .interactions
        .get(&id)
        .filter(|interaction| interaction.token == token)
}

fn callback(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("interaction_id")?;
    let token = call.param("interaction_token");
    call.app.world.write(|state| {
        let interaction = state.interactions.get(&id).ok_or(ErrorCode::UnknownInteraction)?;
        if interaction.token != token {
            return Err(ErrorCode::InvalidWebhookToken.into());
        }
        if interaction.acknowledged_at.is_some() {
            call.app.load.refused(id, Refusal::Second);
            return Err(ErrorCode::AlreadyAcknowledged.into());
        }
        if interaction.is_late(call.now.0) {
            call.app.load.refused(id, Refusal::Late);
            return Err(ErrorCode::UnknownInteraction.into());
        }
        let (callback_type, response) = read_response(call, state, interaction)?;
        let mut interaction = interaction.clone();
        apply(call, state, &mut interaction, response)?;
        interaction.acknowledged_at = Some(call.now);
        interaction.callback_type = u8::try_from(callback_type).ok();
        interaction.responses.push(call.json_or_empty());
        let answer = answer(call, state, &interaction, callback_type);
        call.app
            .load
            .responded(id, interaction.state == InteractionState::Answered);
        state.interactions.insert(id, interaction);
        Ok(answer)
    })
}

/// Callback types allowed for this interaction: only choices for autocomplete; also updates for a component; no modal for a
/// modal.
fn fitting(interaction: &Interaction) -> &'static [i64] {
    match (interaction.kind, interaction.message_id) {
        (InteractionKind::Autocomplete, _) => &[kind::CHOICES],
        (InteractionKind::Command, _) => &[kind::MESSAGE, kind::DEFERRED_MESSAGE, kind::MODAL],
        (InteractionKind::Component, _) => &[
            kind::MESSAGE,
            kind::DEFERRED_MESSAGE,
            kind::DEFERRED_UPDATE,
            kind::UPDATE,
            kind::MODAL,
        ],
        (InteractionKind::Modal, Some(_)) => &[
            kind::MESSAGE,
            kind::DEFERRED_MESSAGE,
            kind::DEFERRED_UPDATE,
            kind::UPDATE,
        ],
        (InteractionKind::Modal, None) => &[kind::MESSAGE, kind::DEFERRED_MESSAGE],
    }
}

fn read_response(call: &Call, state: &State, interaction: &Interaction) -> ApiResult<(i64, Response)> {
    let body = call.json()?;
    let choices = fitting(interaction);
    read_body(body, |form| {
        form.require("type");
        let found = form.choice("type", choices).value()?;
        let data = form.form("data").value();
        Some((found, read_data(form, data.as_ref(), found, state, interaction)))
    })?
    .ok_or_else(|| ErrorCode::InvalidFormBody.into())
    .and_then(|(found, response)| {
        if let Response::Message(message) = &response {
            compose::check_new(message, &call.body.files)?;
        }
        Ok((found, response))
    })
}

fn read_data(
    form: &Form<'_>,
    data: Option<&Form<'_>>,
    found: i64,
    state: &State,
    interaction: &Interaction,
) -> Response {
    let empty = serde_json::Map::new();
    let message = |current_flags| {
        let data = data.cloned().unwrap_or_else(|| form.empty_below("data", &empty));
        Box::new(read_message(&data, Sender::Interaction, current_flags))
    };
    match found {
        kind::MESSAGE => Response::Message(message(0)),
        kind::DEFERRED_MESSAGE => Response::DeferredMessage {
            ephemeral: message(0).wants_ephemeral(),
        },
        kind::UPDATE => {
            let pressed = interaction
                .message_id
                .and_then(|id| state.message(interaction.channel_id, id));
            Response::Update(message(pressed.map_or(0, |message| message.flags)))
        }
        kind::CHOICES => {
            form.require("data");
            let option = focused_kind(&interaction.data);
            let choices = data.map(|data| {
                data.require("choices");
                data.forms("choices", Length::up_to(25))
                    .map(|choices| read_choices(&choices, option))
            });
            Response::Choices(Value::Array(choices.and_then(FormField::value).unwrap_or_default()))
        }
        kind::MODAL => {
            form.require("data");
            Response::Modal(data.map(read_modal).unwrap_or_default())
        }
        _ => Response::DeferredUpdate,
    }
}

/// Type of the focused option; string when there is none.
fn focused_kind(data: &Value) -> i64 {
    fn search(options: &Value) -> Option<i64> {
        options.as_array()?.iter().find_map(|option| {
            if option["focused"] == true {
                option["type"].as_i64()
            } else {
                search(&option["options"])
            }
        })
    }
    search(&data["options"]).unwrap_or(3)
}

fn apply(call: &Call, state: &mut State, interaction: &mut Interaction, response: Response) -> ApiResult<()> {
    interaction.state = InteractionState::Answered;
    match response {
        Response::Message(form) => {
            interaction.ephemeral = form.wants_ephemeral();
            let mut message = blank(state, interaction, interaction.ephemeral);
            interaction.original = Some(message.id);
            let all = mentions_all(state, interaction);
            compose::fill(state, &mut message, &form, call, all);
            state.create_message(message);
        }
        Response::DeferredMessage { ephemeral } => {
            interaction.state = InteractionState::Deferred;
            interaction.ephemeral = ephemeral;
            let mut message = blank(state, interaction, ephemeral);
            message.flags |= FLAG_LOADING;
            interaction.original = Some(message.id);
            state.create_message(message);
        }
        Response::DeferredUpdate => {
            interaction.state = InteractionState::Deferred;
            interaction.original = interaction.message_id;
        }
        Response::Update(form) => {
            interaction.original = interaction.message_id;
            let pressed = interaction
                .message_id
                .and_then(|id| state.message(interaction.channel_id, id));
            let mut message = pressed.cloned().ok_or(ErrorCode::UnknownMessage)?;
            compose::edit(state, &mut message, &form, call)?;
            message.edited_timestamp = Some(state.now());
            state.update_message(message);
        }
        Response::Choices(choices) => interaction.choices = Some(choices),
        Response::Modal(modal) => interaction.modal = Some(modal),
    }
    Ok(())
}

/// Whether the bot may mention everyone in the channel of this interaction.
pub(super) fn mentions_all(state: &State, interaction: &Interaction) -> bool {
    let guild = interaction.guild_id.and_then(|guild| state.guilds.get(&guild));
    let channel = guild.and_then(|guild| guild.channels.get(&interaction.channel_id));
    let granted = guild
        .zip(channel)
        .map(|(guild, channel)| permissions::in_channel(guild, channel, state.bot_id, state.now()));
    compose::may_mention_all(granted)
}

/// An empty message of the bot in response to an interaction.
pub(super) fn blank(state: &mut State, interaction: &Interaction, ephemeral: bool) -> Message {
    let (id, now) = (state.next_id(), state.now());
    let author = Author::User(state.bot_id);
    let mut message = Message::text(id, interaction.channel_id, interaction.guild_id, author, "", now);
    message.application_id = Some(interaction.application_id);
    message.interaction_metadata = Some(metadata(state, interaction));
    match interaction.kind {
        InteractionKind::Command => {
            message.kind = if interaction.data["type"].as_i64() == Some(1) {
                20
            } else {
                23
            }
        }
        InteractionKind::Component | InteractionKind::Modal => {
            if let Some(pressed) = interaction.message_id {
                message.kind = 19;
                let reference = super::messages::reference_to(interaction.guild_id, interaction.channel_id, pressed);
                message.message_reference = Some(reference);
            }
        }
        InteractionKind::Autocomplete => {}
    }
    if ephemeral {
        message.flags |= FLAG_EPHEMERAL;
        message.visible_to = Some(interaction.user_id);
    }
    message
}

/// `interaction_metadata`: <https://discord.com/developers/docs/resources/message#message-interaction-metadata-object>.
fn metadata(state: &State, interaction: &Interaction) -> Value {
    let owner = interaction
        .guild_id
        .map_or_else(|| "0".to_owned(), |guild| guild.to_string());
    let mut metadata = json!({
        "id": interaction.id,
        "type": interaction.kind,
        "user": state.users.get(&interaction.user_id),
        "authorizing_integration_owners": { "0": owner },
    });
    match interaction.kind {
        InteractionKind::Command => {
            metadata["name"] = json!(interaction.command);
            metadata["command_type"] = json!(interaction.data["type"].as_i64().unwrap_or(1));
        }
        InteractionKind::Component => metadata["interacted_message_id"] = json!(interaction.message_id),
        InteractionKind::Modal => {
            // Only the message or the command that opened the modal is recorded; clients rely on the shape.
            let mut opened = json!({
                "id": interaction.id,
                "type": if interaction.message_id.is_some() { 3 } else { 2 },
                "user": state.users.get(&interaction.user_id),
                "authorizing_integration_owners": { "0": metadata["authorizing_integration_owners"]["0"] },
            });
            if let Some(message) = interaction.message_id {
                opened["interacted_message_id"] = json!(message);
            }
            metadata["triggering_interaction_metadata"] = opened;
        }
        InteractionKind::Autocomplete => {}
    }
    metadata
}

/// 204, or with `with_response` the result of the callback.
fn answer(call: &Call, state: &State, interaction: &Interaction, callback_type: i64) -> RouteResponse {
    if !call.query.flag("with_response") {
        return RouteResponse::NoContent;
    }
    let made = matches!(
        callback_type,
        kind::MESSAGE | kind::DEFERRED_MESSAGE | kind::UPDATE | kind::DEFERRED_UPDATE
    );
    let message = interaction
        .original
        .filter(|_| made)
        .and_then(|id| state.message(interaction.channel_id, id));
    let mut body = json!({ "interaction": { "id": interaction.id, "type": interaction.kind } });
    if let Some(message) = message {
        body["interaction"]["response_message_id"] = json!(message.id);
        body["interaction"]["response_message_loading"] = json!(message.flags & FLAG_LOADING != 0);
        body["interaction"]["response_message_ephemeral"] = json!(message.is_ephemeral());
        if matches!(callback_type, kind::MESSAGE | kind::UPDATE) {
            body["resource"] = json!({ "type": callback_type, "message": state.message_view(message) });
        }
    }
    RouteResponse::json(&body)
}

impl MessageForm {
    /// Whether the message is to be ephemeral.
    pub(super) fn wants_ephemeral(&self) -> bool {
        self.flags.as_value().is_some_and(|flags| flags & FLAG_EPHEMERAL != 0)
    }
}

/// The interaction of a webhook call by token, which must be valid and have a first response.
///
/// # Errors
/// 10015 for an unknown token or an interaction without a first response; 50027 after 15 minutes.
pub(super) fn answered<'a>(call: &Call, state: &'a State, token: &str) -> Result<&'a Interaction, ApiError> {
    let interaction = by_token_text(state, token).ok_or(ErrorCode::UnknownWebhook)?;
    if interaction.is_token_expired(call.now.0) {
        return Err(ErrorCode::InvalidWebhookToken.into());
    }
    if interaction.acknowledged_at.is_none() || interaction.kind == InteractionKind::Autocomplete {
        return Err(ErrorCode::UnknownWebhook.into());
    }
    Ok(interaction)
}
