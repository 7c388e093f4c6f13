//! Webhooks of channels. <https://discord.com/developers/docs/resources/webhook>
//!
//! Their messages are in `webhook_messages`.

use http::Method;
use rand::{RngExt as _, distr::Alphanumeric};
use serde_json::{Value, json};

use super::{cdn::store_image, webhook_messages::webhook as by_own_token};
use crate::{
    model::{ChannelKind, Id, Permissions, Webhook},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot, by_token},
        validate::{
            form::{Form, FormField, Length, read_body},
            image::{Image, read_image},
            message::refuse_webhook_name,
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::POST,
        "/channels/{channel_id}/webhooks",
        BucketClass::ManageWebhooks,
        create,
    ),
    bot(
        &Method::GET,
        "/channels/{channel_id}/webhooks",
        BucketClass::ManageWebhooks,
        list_channel,
    ),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/webhooks",
        BucketClass::ManageWebhooks,
        list_guild,
    ),
    bot(&Method::GET, "/webhooks/{webhook_id}", BucketClass::ManageWebhooks, get),
    bot(
        &Method::PATCH,
        "/webhooks/{webhook_id}",
        BucketClass::ManageWebhooks,
        edit,
    ),
    bot(
        &Method::DELETE,
        "/webhooks/{webhook_id}",
        BucketClass::ManageWebhooks,
        delete,
    ),
    by_token(&Method::GET, BY_TOKEN, BucketClass::ManageWebhooks, get_by_token),
    by_token(&Method::PATCH, BY_TOKEN, BucketClass::ManageWebhooks, edit_by_token),
    by_token(&Method::DELETE, BY_TOKEN, BucketClass::ManageWebhooks, delete_by_token),
];

const BY_TOKEN: &str = "/webhooks/{webhook_id}/{webhook_token}";
/// Largest number of webhooks of a channel.
const MAXIMUM: usize = 15;
const AVATAR_BYTES: usize = 8 * 1_024 * 1_024;

/// A webhook with its URL and, for callers who may manage it, its creator.
fn view(call: &Call, state: &State, webhook: &Webhook, with_user: bool) -> Value {
    let mut view = json!(webhook);
    view["url"] = json!(format!(
        "{}/webhooks/{}/{}",
        call.app.addresses.rest, webhook.id, webhook.token
    ));
    if with_user && let Some(user) = state.users.get(&webhook.user_id) {
        view["user"] = json!(user);
    }
    view
}

struct WebhookForm {
    name: FormField<String>,
    avatar: FormField<Image>,
    channel: FormField<u64>,
}

fn read(form: &Form<'_>, create: bool) -> WebhookForm {
    if create {
        form.require("name");
    }
    let name = form.text("name", Length::between(1, 80));
    if let FormField::Value(name) = &name {
        refuse_webhook_name(form, "name", name);
    }
    WebhookForm {
        name,
        avatar: read_image(form, "avatar", AVATAR_BYTES),
        channel: form.snowflake("channel_id"),
    }
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let channel = call.id("channel_id")?;
    let form = read_body(call.json()?, |form| read(form, true))?;
    call.app.world.write(|state| {
        let home = state.channel_with(channel, Permissions::MANAGE_WEBHOOKS)?;
        let fits = !matches!(home.kind, ChannelKind::Dm | ChannelKind::Category) && !home.kind.is_thread();
        let guild = home.guild_id.filter(|_| fits).ok_or(ErrorCode::WrongChannelKind)?;
        if state
            .webhooks
            .values()
            .filter(|known| known.channel_id == channel)
            .count()
            >= MAXIMUM
        {
            return Err(ErrorCode::MaximumWebhooks.into());
        }
        let webhook = Webhook {
            id: state.next_id(),
            kind: 1,
            guild_id: guild,
            channel_id: channel,
            user_id: state.bot_id,
            name: form.name.clone().value(),
            avatar: form.avatar.clone().value().map(|image| store_image(state, &image)),
            token: rand::rng().sample_iter(Alphanumeric).take(68).map(char::from).collect(),
            application_id: Some(state.application.id),
        };
        let view = view(call, state, &webhook, true);
        state.put_webhook(webhook, &call.cause());
        Ok(RouteResponse::json(&view))
    })
}

fn list_channel(call: &Call) -> ApiResult<RouteResponse> {
    let channel = call.id("channel_id")?;
    call.app.world.read(|state| {
        state.channel_with(channel, Permissions::MANAGE_WEBHOOKS)?;
        Ok(list(call, state, |webhook| webhook.channel_id == channel))
    })
}

fn list_guild(call: &Call) -> ApiResult<RouteResponse> {
    let guild = call.id("guild_id")?;
    call.app.world.read(|state| {
        state.guild_with(guild, Permissions::MANAGE_WEBHOOKS)?;
        Ok(list(call, state, |webhook| webhook.guild_id == guild))
    })
}

fn list(call: &Call, state: &State, wanted: impl Fn(&Webhook) -> bool) -> RouteResponse {
    let mut found: Vec<&Webhook> = state.webhooks.values().filter(|webhook| wanted(webhook)).collect();
    found.sort_by_key(|webhook| webhook.id);
    let views: Vec<Value> = found
        .into_iter()
        .map(|webhook| view(call, state, webhook, true))
        .collect();
    RouteResponse::json(&views)
}

fn find<'a>(call: &Call, state: &'a State) -> ApiResult<&'a Webhook> {
    let webhook = state
        .webhooks
        .get(&call.id("webhook_id")?)
        .ok_or(ErrorCode::UnknownWebhook)?;
    state.channel_with(webhook.channel_id, Permissions::MANAGE_WEBHOOKS)?;
    Ok(webhook)
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&view(call, state, find(call, state)?, true))))
}

fn get_by_token(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.read(|state| {
        Ok(RouteResponse::json(&view(
            call,
            state,
            by_own_token(call, state)?,
            false,
        )))
    })
}

fn change(state: &mut State, webhook: &mut Webhook, form: &WebhookForm) {
    if let FormField::Value(name) = &form.name {
        webhook.name = Some(name.clone());
    }
    let avatar = form.avatar.clone().map(|image| store_image(state, &image));
    webhook.avatar = avatar.or_keep(webhook.avatar.take());
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read(form, false))?;
    call.app.world.write(|state| {
        let mut webhook = find(call, state)?.clone();
        if let FormField::Value(channel) = form.channel {
            let channel = state.channel_with(Id(channel), Permissions::MANAGE_WEBHOOKS)?;
            if channel.guild_id != Some(webhook.guild_id) {
                return Err(ErrorCode::UnknownChannel.into());
            }
            webhook.channel_id = channel.id;
        }
        change(state, &mut webhook, &form);
        let view = view(call, state, &webhook, true);
        state.put_webhook(webhook, &call.cause());
        Ok(RouteResponse::json(&view))
    })
}

fn edit_by_token(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read(form, false))?;
    call.app.world.write(|state| {
        let mut webhook = by_own_token(call, state)?.clone();
        change(state, &mut webhook, &form);
        let view = view(call, state, &webhook, false);
        state.put_webhook(webhook, &call.cause());
        Ok(RouteResponse::json(&view))
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let id = find(call, state)?.id;
        state.delete_webhook(id, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

fn delete_by_token(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let id = by_own_token(call, state)?.id;
        state.delete_webhook(id, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}
