//! Messages by a webhook's token: those of channel webhooks here, those of interactions in `followups`.
//! <https://discord.com/developers/docs/resources/webhook#execute-webhook>

use http::Method;
use serde_json::Value;

use super::{
    cdn::hash_of,
    compose,
    followups::{self, AddressedMessage},
    threads,
};
use crate::{
    model::{Author, Id, Message, Webhook, message::FLAG_COMPONENTS_V2},
    rest::{
        call::{Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, by_token},
        validate::{
            form::read_body,
            message::{Sender, read_message},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    by_token(
        &Method::POST,
        "/webhooks/{webhook_id}/{webhook_token}",
        BucketClass::ExecuteWebhook,
        create,
    ),
    by_token(&Method::GET, ORIGINAL, BucketClass::WebhookMessage, get),
    by_token(&Method::PATCH, ORIGINAL, BucketClass::WebhookMessage, edit),
    by_token(&Method::DELETE, ORIGINAL, BucketClass::WebhookMessage, delete),
    by_token(&Method::GET, ONE, BucketClass::WebhookMessage, get),
    by_token(&Method::PATCH, ONE, BucketClass::WebhookMessage, edit),
    by_token(&Method::DELETE, ONE, BucketClass::WebhookMessage, delete),
];

const ORIGINAL: &str = "/webhooks/{webhook_id}/{webhook_token}/messages/@original";
const ONE: &str = "/webhooks/{webhook_id}/{webhook_token}/messages/{message_id}";

/// The webhook of the path; the token must be its own.
///
/// # Errors
/// 10015, 50027.
pub(super) fn webhook<'a>(call: &Call, state: &'a State) -> ApiResult<&'a Webhook> {
    let webhook = state
        .webhooks
        .get(&call.id("webhook_id")?)
        .ok_or(ErrorCode::UnknownWebhook)?;
    if webhook.token == call.param("webhook_token") {
        Ok(webhook)
    } else {
        Err(ErrorCode::InvalidWebhookToken.into())
    }
}

/// Whether the token is an interaction's: then the webhook id is the application's id.
fn is_interaction(call: &Call) -> ApiResult<bool> {
    Ok(call.id("webhook_id")? == call.app.options.application_id)
}

fn target(call: &Call) -> ApiResult<AddressedMessage> {
    if call.param("message_id").is_empty() {
        Ok(AddressedMessage::Original)
    } else {
        call.id("message_id").map(AddressedMessage::Message)
    }
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    if is_interaction(call)? {
        return followups::create(call);
    }
    let thread = call.query.snowflake("thread_id")?.map(Id);
    call.app.world.write(|state| {
        let webhook = webhook(call, state)?.clone();
        let form = read_body(&call.json_or_empty(), |form| read_message(form, Sender::Webhook, 0))?;
        compose::check_new(&form, &call.body.files)?;
        let author = Author::Webhook {
            id: webhook.id,
            name: form
                .username
                .clone()
                .or_else(|| webhook.name.clone())
                .unwrap_or_else(|| "Spidey Bot".to_owned()),
            avatar: form
                .avatar_url
                .as_ref()
                .map(|url| hash_of(url.as_bytes()))
                .or_else(|| webhook.avatar.clone()),
        };
        let (channel, id) = destination(call, state, &webhook, thread, form.thread_name.as_deref())?;
        let mut message = Message::text(id, channel, Some(webhook.guild_id), author, "", state.now());
        message.application_id = webhook.application_id;
        compose::fill(state, &mut message, &form, call, true);
        state.create_message(message);
        if !call.query.flag("wait") {
            return Ok(RouteResponse::NoContent);
        }
        let message = state.message(channel, id).ok_or(ErrorCode::UnknownMessage)?;
        Ok(RouteResponse::json(&state.message_view(message)))
    })
}

/// Channel and id of the message: the webhook's channel, a thread of it, or a new forum post, whose first message has the same
/// id.
fn destination(
    call: &Call,
    state: &mut State,
    webhook: &Webhook,
    thread: Option<Id>,
    name: Option<&str>,
) -> ApiResult<(Id, Id)> {
    let home = state.channel(webhook.channel_id).ok_or(ErrorCode::UnknownChannel)?;
    let name = name.filter(|name| !name.is_empty());
    if name.is_some() && !home.kind.is_forum() {
        return Err(ErrorCode::WebhookThreadOutsideForum.into());
    }
    if name.is_some() && thread.is_some() {
        return Err(ErrorCode::WebhookThreadTwice.into());
    }
    if let Some(id) = thread {
        let thread = state.channel(id).filter(|thread| thread.parent_id == Some(home.id));
        let thread = thread.ok_or(ErrorCode::UnknownChannel)?;
        // A message unarchives a thread, and only moderators unarchive a locked one. That a webhook is not a moderator is not
        // documented.
        if thread.thread.as_ref().is_some_and(|own| own.archived && own.locked) {
            return Err(ErrorCode::ThreadLocked.into());
        }
        let thread = thread.id;
        return Ok((thread, state.next_id()));
    }
    if !home.kind.is_forum() {
        return Ok((home.id, state.next_id()));
    }
    let home = home.clone();
    let name = name.ok_or(ErrorCode::WebhooksNotInForums)?;
    let id = threads::start_named(call, state, &home, name)?;
    Ok((id, id))
}

/// A message that this webhook sent.
fn find<'a>(call: &Call, state: &'a State) -> ApiResult<&'a Message> {
    let webhook = webhook(call, state)?;
    let channel = call.query.snowflake("thread_id")?.map_or(webhook.channel_id, Id);
    let AddressedMessage::Message(id) = target(call)? else {
        return Err(ErrorCode::UnknownMessage.into());
    };
    let found = state
        .message(channel, id)
        .filter(|message| message.author.id() == webhook.id);
    found.ok_or_else(|| ErrorCode::UnknownMessage.into())
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    if is_interaction(call)? {
        return followups::get(call, target(call)?);
    }
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&state.message_view(find(call, state)?))))
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    if is_interaction(call)? {
        return followups::edit(call, target(call)?);
    }
    call.app.world.write(|state| {
        let mut message = find(call, state)?.clone();
        let current = message.flags & FLAG_COMPONENTS_V2;
        let form = read_body(&call.json_or_empty(), |form| {
            read_message(form, Sender::Webhook, current)
        })?;
        compose::edit(state, &mut message, &form, call)?;
        message.edited_timestamp = Some(state.now());
        let view: Value = state.message_view(&message);
        state.update_message(message);
        Ok(RouteResponse::json(&view))
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    if is_interaction(call)? {
        return followups::delete(call, target(call)?);
    }
    call.app.world.write(|state| {
        let (channel, id) = find(call, state).map(|message| (message.channel_id, message.id))?;
        state.delete_message(channel, id, None);
        Ok(RouteResponse::NoContent)
    })
}
