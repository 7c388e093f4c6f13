//! Emoji of servers and of the application. <https://discord.com/developers/docs/resources/emoji>

use http::Method;
use serde_json::{Value, json};

use super::applications::require_own;
use crate::{
    model::{Emoji, Guild, Id, Permissions},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::{Form, FormField, Length, read_body},
            image::{Image, read_image},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, GUILD, BucketClass::ReadGuild, list),
    bot(&Method::POST, GUILD, BucketClass::Emoji, create),
    bot(&Method::GET, GUILD_ONE, BucketClass::ReadGuild, get),
    bot(&Method::PATCH, GUILD_ONE, BucketClass::Emoji, edit),
    bot(&Method::DELETE, GUILD_ONE, BucketClass::Emoji, delete),
    bot(&Method::GET, OWN, BucketClass::Application, list_own),
    bot(&Method::POST, OWN, BucketClass::Emoji, create_own),
    bot(&Method::GET, OWN_ONE, BucketClass::Application, get_own),
    bot(&Method::PATCH, OWN_ONE, BucketClass::Emoji, edit_own),
    bot(&Method::DELETE, OWN_ONE, BucketClass::Emoji, delete_own),
];

const GUILD: &str = "/guilds/{guild_id}/emojis";
const GUILD_ONE: &str = "/guilds/{guild_id}/emojis/{emoji_id}";
const OWN: &str = "/applications/{application_id}/emojis";
const OWN_ONE: &str = "/applications/{application_id}/emojis/{emoji_id}";
const IMAGE_BYTES: usize = 256 * 1_024;
/// Largest number of emoji of an application.
const MAXIMUM_OWN: usize = 2_000;

/// Largest number of static and of animated emoji of a server, by boost level.
const fn maximum(premium_tier: u8) -> usize {
    match premium_tier {
        0 => 50,
        1 => 100,
        2 => 150,
        _ => 250,
    }
}

struct EmojiForm {
    name: FormField<String>,
    image: FormField<Image>,
    roles: FormField<Vec<u64>>,
}

fn read(form: &Form<'_>, create: bool) -> EmojiForm {
    if create {
        form.require("name");
        form.require("image");
    }
    let name = form.text("name", Length::between(2, 32));
    let wordy = |text: &String| {
        text.chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    if name.as_value().is_some_and(|name| !wordy(name)) {
        form.refuse(
            "name",
            "STRING_TYPE_REGEX",
            "String value did not match validation regex.",
        );
    }
    EmojiForm {
        name,
        image: if create {
            read_image(form, "image", IMAGE_BYTES)
        } else {
            FormField::Absent
        },
        roles: form.snowflakes("roles", Length::up_to(1_521)),
    }
}

fn view(state: &State, emoji: &Emoji) -> Value {
    let mut view = json!(emoji);
    if let Some(user) = state.users.get(&emoji.user_id) {
        view["user"] = json!(user);
    }
    view
}

/// Builds an emoji from a form; its image is served under its id.
fn build(state: &mut State, form: &EmojiForm) -> Emoji {
    let id = state.next_id();
    let mut animated = false;
    if let FormField::Value(image) = &form.image {
        animated = image.content_type == "image/gif";
        state.blobs.insert(id.to_string(), image.bytes.clone().into());
    }
    Emoji {
        id,
        name: form.name.as_value().cloned().unwrap_or_default(),
        roles: roles(form, &[]),
        user_id: state.bot_id,
        require_colons: true,
        managed: false,
        animated,
        available: true,
    }
}

fn roles(form: &EmojiForm, current: &[Id]) -> Vec<Id> {
    let given = form.roles.clone().map(|roles| roles.into_iter().map(Id).collect());
    given.or_default(current.to_vec(), Vec::new())
}

/// Refuses to change an emoji or a sticker without the permission. For one that the bot created itself (`own`),
/// `CREATE_GUILD_EXPRESSIONS` is enough.
pub(super) fn require_change(state: &State, guild: &Guild, own: bool) -> ApiResult<()> {
    let granted = permissions::in_guild(guild, state.bot_id, state.now());
    let enough = granted.contains(Permissions::MANAGE_GUILD_EXPRESSIONS)
        || (own && granted.contains(Permissions::CREATE_GUILD_EXPRESSIONS));
    if enough {
        Ok(())
    } else {
        Err(ErrorCode::MissingPermissions.into())
    }
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let views: Vec<Value> = state
            .guild_for_bot(id)?
            .emojis
            .values()
            .map(|emoji| view(state, emoji))
            .collect();
        Ok(RouteResponse::json(&views))
    })
}

fn find(state: &State, call: &Call) -> ApiResult<(Id, Emoji)> {
    let (guild, id) = (call.id("guild_id")?, call.id("emoji_id")?);
    let emoji = state
        .guild_for_bot(guild)?
        .emojis
        .get(&id)
        .cloned()
        .ok_or(ErrorCode::UnknownEmoji)?;
    Ok((guild, emoji))
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&view(state, &find(state, call)?.1))))
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(call.json()?, |form| read(form, true))?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::CREATE_GUILD_EXPRESSIONS)?;
        let moves = form
            .image
            .as_value()
            .is_some_and(|image| image.content_type == "image/gif");
        if guild.emojis.values().filter(|known| known.animated == moves).count() >= maximum(guild.premium_tier) {
            return Err(ErrorCode::MaximumEmojis.into());
        }
        let emoji = build(state, &form);
        let view = view(state, &emoji);
        state.put_emoji(id, emoji, &call.cause());
        Ok(RouteResponse::created(&view))
    })
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read(form, false))?;
    call.app.world.write(|state| {
        let (guild, mut emoji) = find(state, call)?;
        require_change(state, state.guild_for_bot(guild)?, emoji.user_id == state.bot_id)?;
        if let FormField::Value(name) = &form.name {
            emoji.name.clone_from(name);
        }
        emoji.roles = roles(&form, &emoji.roles);
        let view = view(state, &emoji);
        state.put_emoji(guild, emoji, &call.cause());
        Ok(RouteResponse::json(&view))
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let (guild, emoji) = find(state, call)?;
        require_change(state, state.guild_for_bot(guild)?, emoji.user_id == state.bot_id)?;
        state.delete_emoji(guild, emoji.id, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

fn find_own<'a>(state: &'a State, call: &Call) -> ApiResult<&'a Emoji> {
    require_own(call)?;
    state
        .application_emojis
        .get(&call.id("emoji_id")?)
        .ok_or_else(|| ErrorCode::UnknownEmoji.into())
}

fn list_own(call: &Call) -> ApiResult<RouteResponse> {
    require_own(call)?;
    call.app.world.read(|state| {
        let views: Vec<Value> = state
            .application_emojis
            .values()
            .map(|emoji| view(state, emoji))
            .collect();
        Ok(RouteResponse::json(&json!({ "items": views })))
    })
}

fn get_own(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&view(state, find_own(state, call)?))))
}

fn create_own(call: &Call) -> ApiResult<RouteResponse> {
    require_own(call)?;
    let form = read_body(call.json()?, |form| read(form, true))?;
    call.app.world.write(|state| {
        if state.application_emojis.len() >= MAXIMUM_OWN {
            return Err(ErrorCode::MaximumEmojis.into());
        }
        let emoji = build(state, &form);
        let view = view(state, &emoji);
        state.application_emojis.insert(emoji.id, emoji);
        Ok(RouteResponse::created(&view))
    })
}

fn edit_own(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read(form, false))?;
    call.app.world.write(|state| {
        let mut emoji = find_own(state, call)?.clone();
        if let FormField::Value(name) = &form.name {
            emoji.name.clone_from(name);
        }
        let view = view(state, &emoji);
        state.application_emojis.insert(emoji.id, emoji);
        Ok(RouteResponse::json(&view))
    })
}

fn delete_own(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let id = find_own(state, call)?.id;
        state.application_emojis.remove(&id);
        Ok(RouteResponse::NoContent)
    })
}
