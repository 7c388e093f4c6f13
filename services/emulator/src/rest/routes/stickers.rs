//! Stickers of servers. <https://discord.com/developers/docs/resources/sticker>

use http::Method;
use serde_json::{Value, json};

use super::emojis;
use crate::{
    model::{Guild, Id, Permissions, Sticker, StickerFormat},
    rest::{
        call::{AccessChecks, Call, RouteResponse, UploadedFile},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        permissions,
        route::{Route, bot},
        validate::{
            form::{Form, FormField, Length, read_body},
            sticker::read_sticker_file,
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, GUILD, BucketClass::ReadGuild, list),
    bot(&Method::POST, GUILD, BucketClass::Sticker, create),
    bot(&Method::GET, GUILD_ONE, BucketClass::ReadGuild, get_of_guild),
    bot(&Method::PATCH, GUILD_ONE, BucketClass::Sticker, edit),
    bot(&Method::DELETE, GUILD_ONE, BucketClass::Sticker, delete),
    bot(&Method::GET, "/stickers/{sticker_id}", BucketClass::CurrentUser, get),
    bot(&Method::GET, "/sticker-packs", BucketClass::CurrentUser, list_packs),
];

const GUILD: &str = "/guilds/{guild_id}/stickers";
const GUILD_ONE: &str = "/guilds/{guild_id}/stickers/{sticker_id}";

/// Sticker slots of a server by boost level.
const fn maximum(premium_tier: u8) -> usize {
    match premium_tier {
        0 => 5,
        1 => 15,
        2 => 30,
        _ => 60,
    }
}

struct StickerForm {
    name: FormField<String>,
    description: FormField<String>,
    tags: FormField<String>,
}

fn read(form: &Form<'_>) -> StickerForm {
    let description = form.raw("description").and_then(Value::as_str);
    let is_empty = description.is_some_and(|text| text.trim().is_empty());
    let shortest = if is_empty { 0 } else { 2 };
    StickerForm {
        name: form.text("name", Length::between(2, 30)),
        description: form.text("description", Length::between(shortest, 100)),
        tags: form.text("tags", Length::between(1, 200)),
    }
}

fn read_new<'a>(form: &Form<'_>, files: &'a [UploadedFile]) -> (StickerForm, Option<&'a UploadedFile>) {
    form.require("name");
    form.require("tags");
    let file = files.iter().find(|file| file.field == "file");
    if file.is_none() {
        form.refuse("file", "BASE_TYPE_REQUIRED", "This field is required");
    }
    (read(form), file)
}

/// A sticker with its `user`, which Discord shows to those who may create or manage expressions.
fn view(state: &State, sticker: &Sticker) -> Value {
    let mut view = json!(sticker);
    let may_see = state.guilds.get(&sticker.guild_id).is_some_and(|guild| {
        permissions::in_guild(guild, state.bot_id, state.now())
            .intersects(Permissions::CREATE_GUILD_EXPRESSIONS | Permissions::MANAGE_GUILD_EXPRESSIONS)
    });
    if let Some(user) = state.users.get(&sticker.user_id).filter(|_| may_see) {
        view["user"] = json!(user);
    }
    view
}

fn list(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let stickers = state.guild_for_bot(id)?.stickers.values();
        let views: Vec<Value> = stickers.map(|sticker| view(state, sticker)).collect();
        Ok(RouteResponse::json(&views))
    })
}

fn find(state: &State, call: &Call) -> ApiResult<(Id, Sticker)> {
    let (guild, id) = (call.id("guild_id")?, call.id("sticker_id")?);
    let sticker = state.guild_for_bot(guild)?.stickers.get(&id).cloned();
    Ok((guild, sticker.ok_or(ErrorCode::UnknownSticker)?))
}

fn get_of_guild(call: &Call) -> ApiResult<RouteResponse> {
    call.app
        .world
        .read(|state| Ok(RouteResponse::json(&view(state, &find(state, call)?.1))))
}

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("sticker_id")?;
    call.app.world.read(|state| {
        let mut guilds = state.guilds.values();
        let sticker = guilds.find_map(|guild| guild.stickers.get(&id));
        Ok(RouteResponse::json(sticker.ok_or(ErrorCode::UnknownSticker)?))
    })
}

/// Refuses a Lottie file in a server that is neither verified nor partnered. The error code is not documented.
fn require_lottie(guild: &Guild, format: StickerFormat) -> ApiResult<()> {
    let allowed = guild.has_feature("VERIFIED") || guild.has_feature("PARTNERED");
    if format == StickerFormat::Lottie && !allowed {
        return Err(ErrorCode::InvalidAsset.into());
    }
    Ok(())
}

fn create(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let (form, file) = read_body(&call.json_or_empty(), |form| read_new(form, &call.body.files))?;
    let file = file.ok_or(ErrorCode::InvalidFormBody)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::CREATE_GUILD_EXPRESSIONS)?;
        let format = read_sticker_file(file)?;
        require_lottie(guild, format)?;
        if guild.stickers.len() >= maximum(guild.premium_tier) {
            return Err(ErrorCode::MaximumStickers.into());
        }
        let sticker = Sticker {
            id: state.next_id(),
            name: form.name.value().unwrap_or_default(),
            description: form.description.value(),
            tags: form.tags.value().unwrap_or_default(),
            format,
            available: true,
            guild_id: id,
            user_id: state.bot_id,
        };
        state.blobs.insert(sticker.id.to_string(), file.bytes.clone());
        let view = view(state, &sticker);
        state.put_sticker(sticker, &call.cause());
        Ok(RouteResponse::created(&view))
    })
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, read)?;
    call.app.world.write(|state| {
        let (guild, mut sticker) = find(state, call)?;
        emojis::require_change(state, state.guild_for_bot(guild)?, sticker.user_id == state.bot_id)?;
        if let FormField::Value(name) = form.name {
            sticker.name = name;
        }
        if let FormField::Value(tags) = form.tags {
            sticker.tags = tags;
        }
        sticker.description = form.description.or_keep(sticker.description);
        let view = view(state, &sticker);
        state.put_sticker(sticker, &call.cause());
        Ok(RouteResponse::json(&view))
    })
}

fn delete(call: &Call) -> ApiResult<RouteResponse> {
    call.app.world.write(|state| {
        let (guild, sticker) = find(state, call)?;
        emojis::require_change(state, state.guild_for_bot(guild)?, sticker.user_id == state.bot_id)?;
        state.delete_sticker(guild, sticker.id, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

/// Discord's own stickers, of which the emulator has none.
fn list_packs(_: &Call) -> ApiResult<RouteResponse> {
    Ok(RouteResponse::json(&json!({ "sticker_packs": [] })))
}
