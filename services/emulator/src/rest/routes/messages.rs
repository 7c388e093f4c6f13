//! Messages of channels. <https://discord.com/developers/docs/resources/message>

use http::Method;
use serde_json::Value;

use super::{
    compose, forwards,
    threads::{require_active, require_unlocked},
    users::accepts_messages,
};
use crate::{
    model::{
        Author, Channel, ChannelKind, Id, Message, Permissions,
        message::{FLAG_COMPONENTS_V2, FLAG_SUPPRESS_EMBEDS},
    },
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::{FormField, Length, read_body},
            message::{MessageForm, Sender, read_message},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, ALL, BucketClass::ReadMessages, list),
    bot(&Method::POST, ALL, BucketClass::CreateMessage, create),
    bot(&Method::GET, ONE, BucketClass::ReadMessages, get),
    bot(&Method::PATCH, ONE, BucketClass::EditMessage, edit),
    bot(&Method::DELETE, ONE, BucketClass::DeleteMessage, delete),
    bot(
        &Method::POST,
        "/channels/{channel_id}/messages/bulk-delete",
        BucketClass::BulkDelete,
        bulk_delete,
    ),
    bot(
        &Method::POST,
        "/channels/{channel_id}/messages/{message_id}/crosspost",
        BucketClass::Crosspost,
        crosspost,
    ),
    bot(
        &Method::POST,
        "/channels/{channel_id}/typing",
        BucketClass::Typing,
        typing,
    ),
];

const ALL: &str = "/channels/{channel_id}/messages";
const ONE: &str = "/channels/{channel_id}/messages/{message_id}";
/// Message flag: published to following channels.
const CROSSPOSTED: u64 = 1;
/// Time for which a nonce is stored; Discord documents the "past few minutes".
const NONCE_MS: u64 = 3 * 60 * 1_000;
const FOURTEEN_DAYS_MS: u64 = 14 * 24 * 60 * 60 * 1_000;

/// A message in the bot's view: without the message content intent the content of others is empty.
pub(super) fn view(state: &State, message: &Message) -> Value {
    let mut view = state.message_view(message);
    if !forwards::reads(state, message) {
        view["content"] = "".into();
        for key in ["embeds", "attachments", "components"] {
            view[key] = Value::Array(Vec::new());
        }
    }
    view
}

/// A message that channel routes can address; ephemeral ones are addressed by their interaction alone.
pub(super) fn find(state: &State, channel: Id, message: Id) -> ApiResult<&Message> {
    let found = state
        .message(channel, message)
        .filter(|message| !message.is_ephemeral());
    found.ok_or_else(|| ErrorCode::UnknownMessage.into())
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let channel = call.id("channel_id")?;
    let limit = usize::try_from(call.query.number("limit", 1, 100, 50)?).unwrap_or(50);
    let pick = |key: &str| call.query.snowflake(key).map(|id| id.map(Id));
    let (around, before, after) = (pick("around")?, pick("before")?, pick("after")?);
    call.app.world.read(|state| {
        let home = state.channel_with(channel, Permissions::VIEW_CHANNEL)?;
        require_text(home)?;
        if state.channel_with(channel, Permissions::READ_MESSAGE_HISTORY).is_err() {
            return Ok(RouteResponse::json(&Vec::<Value>::new()));
        }
        let all: Vec<&Message> = state
            .messages
            .get(&channel)
            .map(|all| all.values().filter(|message| !message.is_ephemeral()).collect())
            .unwrap_or_default();
        let page = page(&all, limit, around, before, after);
        let views: Vec<Value> = page.iter().rev().map(|message| view(state, message)).collect();
        Ok(RouteResponse::json(&views))
    })
}

/// Selects a page, oldest first. Only one of the three ids is used, in this order.
fn page<'a>(
    all: &[&'a Message],
    limit: usize,
    around: Option<Id>,
    before: Option<Id>,
    after: Option<Id>,
) -> Vec<&'a Message> {
    let (from, to) = if let Some(id) = around {
        let at = all.partition_point(|message| message.id < id);
        let from = at.saturating_sub(limit / 2);
        (from, (from + limit).min(all.len()))
    } else if let Some(id) = before {
        let to = all.partition_point(|message| message.id < id);
        (to.saturating_sub(limit), to)
    } else if let Some(id) = after {
        let from = all.partition_point(|message| message.id <= id);
        (from, (from + limit).min(all.len()))
    } else {
        (all.len().saturating_sub(limit), all.len())
    };
    all[from..to].to_vec()
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, message) = (call.id("channel_id")?, call.id("message_id")?);
    call.app.world.read(|state| {
        state.channel_with(channel, Permissions::READ_MESSAGE_HISTORY)?;
        Ok(RouteResponse::json(&view(state, find(state, channel, message)?)))
    })
}

/// Refuses channels without messages.
pub(super) fn require_text(channel: &Channel) -> ApiResult<()> {
    if channel.kind.holds_messages() {
        Ok(())
    } else {
        Err(ErrorCode::CannotSendInVoice.into())
    }
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let channel = call.id("channel_id")?;
    let form = read_body(&call.json_or_empty(), |form| read_message(form, Sender::Bot, 0))?;
    compose::check_new(&form, &call.body.files)?;
    call.app.world.write(|state| {
        let granted = may_send(state, channel, &form, !call.body.files.is_empty())?;
        if let Some(earlier) = sent_before(state, channel, &form, call) {
            return Ok(RouteResponse::json(&view(state, earlier)));
        }
        let guild = state.channel(channel).and_then(|channel| channel.guild_id);
        let id = state.next_id();
        let mut message = Message::text(id, channel, guild, Author::User(state.bot_id), "", state.now());
        if let Some(forwarded) = form.forwarded() {
            forwards::set(state, &mut message, forwarded)?;
        } else {
            set_reference(state, &mut message, &form, granted)?;
        }
        compose::fill(state, &mut message, &form, call, compose::may_mention_all(granted));
        notify_replied(state, &mut message, &form);
        let nonce = message.nonce.clone();
        state.create_message(message);
        let message = find(state, channel, id)?;
        let mut view = view(state, message);
        if let Some(nonce) = nonce {
            view["nonce"] = nonce;
        }
        Ok(RouteResponse::json(&view))
    })
}

/// Permissions of the bot in the channel (`None` in direct messages), when it may send this message.
fn may_send(state: &State, channel: Id, form: &MessageForm, files: bool) -> ApiResult<Option<Permissions>> {
    let home = state.channel_with(channel, Permissions::VIEW_CHANNEL)?;
    require_text(home)?;
    if home.kind == ChannelKind::Dm {
        let reachable = home.recipients.iter().all(|user| accepts_messages(state, *user));
        return if reachable {
            Ok(None)
        } else {
            Err(ErrorCode::CannotMessageUser.into())
        };
    }
    let mut needed = if home.kind.is_thread() {
        Permissions::SEND_MESSAGES_IN_THREADS
    } else {
        Permissions::SEND_MESSAGES
    };
    if files {
        needed |= Permissions::ATTACH_FILES;
    }
    if form.embeds.as_value().is_some_and(|embeds| !embeds.is_empty()) {
        needed |= Permissions::EMBED_LINKS;
    }
    if form.tts {
        needed |= Permissions::SEND_TTS_MESSAGES;
    }
    state.channel_with(channel, needed)?;
    require_unlocked(state, home)?;
    let guild = home.guild_id.and_then(|guild| state.guilds.get(&guild));
    Ok(guild.map(|guild| permissions::in_channel(guild, home, state.bot_id, state.now())))
}

/// The message sent with the same nonce within the last minutes, with `enforce_nonce`.
fn sent_before<'a>(state: &'a State, channel: Id, form: &MessageForm, call: &Call) -> Option<&'a Message> {
    let nonce = form.nonce.as_ref().filter(|_| form.enforce_nonce)?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    state.messages.get(&channel)?.values().rev().find(|message| {
        message.author.id() == state.bot_id
            && message.timestamp.0 + NONCE_MS > call.now.0
            && message.nonce.as_ref().is_some_and(|known| text(known) == text(nonce))
    })
}

fn set_reference(
    state: &State,
    message: &mut Message,
    form: &MessageForm,
    granted: Option<Permissions>,
) -> ApiResult<()> {
    let Some(reference) = &form.reference else {
        return Ok(());
    };
    if granted.is_some_and(|granted| !granted.contains(Permissions::READ_MESSAGE_HISTORY)) {
        return Err(ErrorCode::CannotReplyWithoutHistory.into());
    }
    let target = Id(reference.message_id);
    if find(state, message.channel_id, target).is_err() {
        if reference.fail_if_not_exists {
            return Err(ApiError::field(
                "message_reference",
                "REPLIES_UNKNOWN_MESSAGE",
                "Unknown message",
            ));
        }
        return Ok(());
    }
    message.kind = 19;
    message.message_reference = Some(reference_to(message.guild_id, message.channel_id, target));
    Ok(())
}

/// `message_reference` of a reply.
pub(super) fn reference_to(guild: Option<Id>, channel: Id, message: Id) -> Value {
    let mut reference = serde_json::json!({ "type": 0, "channel_id": channel, "message_id": message });
    if let Some(guild) = guild {
        reference["guild_id"] = serde_json::json!(guild);
    }
    reference
}

/// A reply mentions the author of the replied message, unless `allowed_mentions` is present without `replied_user`.
fn notify_replied(state: &State, message: &mut Message, form: &MessageForm) {
    let wanted = form
        .allowed_mentions
        .as_value()
        .is_none_or(|allowed| allowed.replied_user);
    let Some(reference) = form.reference.filter(|_| wanted && message.kind == 19) else {
        return;
    };
    let Ok(replied) = find(state, message.channel_id, Id(reference.message_id)) else {
        return;
    };
    if let Author::User(author) = replied.author
        && !message.mentions.contains(&author)
    {
        message.mentions.push(author);
    }
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, id) = (call.id("channel_id")?, call.id("message_id")?);
    call.app.world.write(|state| {
        let home = state.channel_with(channel, Permissions::VIEW_CHANNEL)?;
        if home.kind == ChannelKind::Dm && !home.recipients.iter().all(|user| accepts_messages(state, *user)) {
            return Err(ErrorCode::CannotMessageUser.into());
        }
        require_unlocked(state, home)?;
        require_active(home)?;
        let mut message = find(state, channel, id)?.clone();
        let current = message.flags & FLAG_COMPONENTS_V2;
        let form = read_body(&call.json_or_empty(), |form| read_message(form, Sender::Bot, current))?;
        if message.author != Author::User(state.bot_id) {
            return suppress_embeds(call, state, message, &form);
        }
        compose::edit(state, &mut message, &form, call)?;
        message.edited_timestamp = Some(state.now());
        state.update_message(message);
        Ok(RouteResponse::json(&view(state, find(state, channel, id)?)))
    })
}

/// The only field that may be edited on messages of others, with `MANAGE_MESSAGES`.
fn suppress_embeds(
    call: &Call,
    state: &mut State,
    mut message: Message,
    form: &MessageForm,
) -> ApiResult<RouteResponse> {
    let fields = call.json_or_empty();
    let only_flags = fields
        .as_object()
        .is_some_and(|fields| fields.keys().all(|key| key == "flags"));
    let FormField::Value(flags) = form.flags else {
        return Err(ErrorCode::CannotEditOthersMessage.into());
    };
    if !only_flags {
        return Err(ErrorCode::CannotEditOthersMessage.into());
    }
    let (channel, id) = (message.channel_id, message.id);
    state.channel_with(channel, Permissions::MANAGE_MESSAGES)?;
    message.flags = (message.flags & !FLAG_SUPPRESS_EMBEDS) | (flags & FLAG_SUPPRESS_EMBEDS);
    state.update_message(message);
    Ok(RouteResponse::json(&view(state, find(state, channel, id)?)))
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, id) = (call.id("channel_id")?, call.id("message_id")?);
    call.app.world.write(|state| {
        state.channel_with(channel, Permissions::VIEW_CHANNEL)?;
        let message = find(state, channel, id)?;
        let own = message.author.id() == state.bot_id || message.application_id == Some(state.application.id);
        if own {
            state.delete_message(channel, id, None);
            return Ok(RouteResponse::NoContent);
        }
        if message.guild_id.is_none() {
            return Err(ErrorCode::CannotExecuteOnDm.into());
        }
        state.channel_with(channel, Permissions::MANAGE_MESSAGES)?;
        state.delete_message(channel, id, Some(&call.cause()));
        Ok(RouteResponse::NoContent)
    })
}

fn bulk_delete(call: &Call) -> ApiResult<RouteResponse> {
    let channel = call.id("channel_id")?;
    let ids = read_body(call.json()?, |form| {
        form.require("messages");
        form.snowflakes("messages", Length::up_to(1_000))
            .value()
            .unwrap_or_default()
    })?;
    let mut ids: Vec<Id> = ids.into_iter().map(Id).collect();
    ids.sort_unstable();
    ids.dedup();
    call.app.world.write(|state| {
        let home = state.channel_with(channel, Permissions::MANAGE_MESSAGES)?;
        if home.kind == ChannelKind::Dm {
            return Err(ErrorCode::CannotExecuteOnDm.into());
        }
        if !(2..=100).contains(&ids.len()) {
            return Err(ErrorCode::BulkDeleteCount.into());
        }
        if ids.iter().any(|id| id.created_ms() + FOURTEEN_DAYS_MS < call.now.0) {
            return Err(ErrorCode::BulkDeleteTooOld.into());
        }
        state.delete_messages(channel, &ids, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

fn crosspost(call: &Call) -> ApiResult<RouteResponse> {
    let (channel, id) = (call.id("channel_id")?, call.id("message_id")?);
    call.app.world.write(|state| {
        let home = state.channel_with(channel, Permissions::SEND_MESSAGES)?;
        if home.kind != ChannelKind::Announcement {
            return Err(ErrorCode::WrongChannelKind.into());
        }
        let mut message = find(state, channel, id)?.clone();
        if message.author.id() != state.bot_id {
            state.channel_with(channel, Permissions::MANAGE_MESSAGES)?;
        }
        if message.flags & CROSSPOSTED != 0 {
            return Err(ErrorCode::AlreadyCrossposted.into());
        }
        message.flags |= CROSSPOSTED;
        state.update_message(message);
        Ok(RouteResponse::json(&view(state, find(state, channel, id)?)))
    })
}

fn typing(call: &Call) -> ApiResult<RouteResponse> {
    let channel = call.id("channel_id")?;
    call.app.world.write(|state| {
        let home = state.channel_with(channel, Permissions::SEND_MESSAGES)?;
        require_text(home)?;
        state.start_typing(channel, state.bot_id);
        Ok(RouteResponse::NoContent)
    })
}
