//! Servers. <https://discord.com/developers/docs/resources/guild>

use http::Method;
use serde_json::{Value, json};

use super::cdn::store_image;
use crate::{
    model::{ChannelKind, Guild, Id, Permissions, guild::Values},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode, FieldErrors},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            command::LOCALES,
            form::{Form, FormField, Length, read_body},
            image::{Image, read_image},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(&Method::GET, "/guilds/{guild_id}", BucketClass::ReadGuild, get),
    bot(&Method::PATCH, "/guilds/{guild_id}", BucketClass::EditGuild, edit),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/preview",
        BucketClass::ReadGuild,
        preview,
    ),
    bot(
        &Method::GET,
        "/guilds/{guild_id}/regions",
        BucketClass::ReadGuild,
        regions,
    ),
    bot(&Method::GET, "/voice/regions", BucketClass::CurrentUser, regions),
    bot(&Method::POST, "/guilds", BucketClass::EditGuild, no_new_guilds),
];

const IMAGE_BYTES: usize = 10 * 1_024 * 1_024;

fn get(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let with_counts = call.query.flag("with_counts");
    call.app.world.read(|state| {
        let guild = state.guild_for_bot(id)?;
        let mut view = json!(guild);
        if with_counts {
            view["approximate_member_count"] = json!(guild.members.len());
            view["approximate_presence_count"] = json!(guild.members.len());
        }
        Ok(RouteResponse::json(&view))
    })
}

fn preview(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    call.app.world.read(|state| {
        let guild = state.guild_for_bot(id)?;
        Ok(RouteResponse::json(&json!({
            "id": guild.id,
            "name": guild.name,
            "icon": guild.icon,
            "description": guild.description,
            "home_header": guild.home_header,
            "splash": guild.splash,
            "discovery_splash": guild.discovery_splash,
            "features": guild.features,
            "approximate_member_count": guild.members.len(),
            "approximate_presence_count": guild.members.len(),
            "emojis": Values(&guild.emojis),
            "stickers": Values(&guild.stickers),
        })))
    })
}

fn regions(call: &Call) -> ApiResult<RouteResponse> {
    if !call.param("guild_id").is_empty() {
        let id = call.id("guild_id")?;
        call.app.world.read(|state| state.guild_for_bot(id).map(|_| ()))?;
    }
    let regions: Vec<Value> = [("us-east", "US East"), ("rotterdam", "Rotterdam"), ("singapore", "Singapore")]
        .into_iter()
        .map(|(id, name)| {
            json!({ "id": id, "name": name, "custom": false, "deprecated": false, "optimal": id == "us-east" })
        })
        .collect();
    Ok(RouteResponse::json(&regions))
}

/// Bots cannot create servers (since July 2025).
fn no_new_guilds(_: &Call) -> ApiResult<RouteResponse> {
    Err(ErrorCode::BotsCannotUse.into())
}

struct GuildForm {
    name: FormField<String>,
    description: FormField<String>,
    /// Icon, banner, splash, discovery splash, home header.
    pictures: [FormField<Image>; 5],
    numbers: [FormField<i64>; 5],
    channels: [FormField<u64>; 5],
    preferred_locale: FormField<String>,
    features: FormField<Vec<String>>,
    progress_bar: FormField<bool>,
}

fn read(form: &Form<'_>) -> GuildForm {
    if matches!(form.raw("name"), Some(Value::Null)) {
        form.refuse("name", "BASE_TYPE_REQUIRED", "This field is required");
    }
    GuildForm {
        name: form.text("name", Length::between(2, 100)),
        description: form.text("description", Length::up_to(300)),
        pictures: ["icon", "banner", "splash", "discovery_splash", "home_header"]
            .map(|key| read_image(form, key, IMAGE_BYTES)),
        numbers: [
            form.choice("verification_level", &[0, 1, 2, 3, 4]),
            form.choice("default_message_notifications", &[0, 1]),
            form.choice("explicit_content_filter", &[0, 1, 2]),
            form.choice("afk_timeout", &[60, 300, 900, 1_800, 3_600]),
            form.integer("system_channel_flags", 0, 1_023),
        ],
        channels: [
            form.snowflake("afk_channel_id"),
            form.snowflake("system_channel_id"),
            form.snowflake("rules_channel_id"),
            form.snowflake("public_updates_channel_id"),
            form.snowflake("safety_alerts_channel_id"),
        ],
        preferred_locale: read_locale(form),
        features: form.entries("features", Length::up_to(1_521)).map(|list| {
            list.iter()
                .filter_map(|entry| entry.as_str().map(str::to_owned))
                .collect()
        }),
        progress_bar: form.flag("premium_progress_bar_enabled"),
    }
}

fn read_locale(form: &Form<'_>) -> FormField<String> {
    match form.text("preferred_locale", Length::up_to(10)) {
        FormField::Value(locale) if !LOCALES.contains(&locale.as_str()) => {
            form.refuse(
                "preferred_locale",
                "BASE_TYPE_CHOICES",
                format!("Value must be one of {LOCALES:?}."),
            );
            FormField::Absent
        }
        given => given,
    }
}

fn edit(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let form = read_body(call.json()?, read)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_GUILD)?;
        check_channels(guild, &form)?;
        check_community(state, guild, &form)?;
        let pictures = form
            .pictures
            .clone()
            .map(|image| image.map(|image| store_image(state, &image)));
        state.update_guild(
            id,
            |guild| {
                let slots = [
                    &mut guild.icon,
                    &mut guild.banner,
                    &mut guild.splash,
                    &mut guild.discovery_splash,
                    &mut guild.home_header,
                ];
                for (slot, picture) in slots.into_iter().zip(pictures) {
                    *slot = picture.or_keep(slot.take());
                }
                change(guild, &form);
            },
            &call.cause(),
        );
        Ok(RouteResponse::json(state.guild_for_bot(id)?))
    })
}

const CHANNEL_FIELDS: [&str; 5] = [
    "afk_channel_id",
    "system_channel_id",
    "rules_channel_id",
    "public_updates_channel_id",
    "safety_alerts_channel_id",
];

/// Checks that the channels of a form exist, and that the AFK channel is a voice channel.
fn check_channels(guild: &Guild, form: &GuildForm) -> ApiResult<()> {
    let errors = FieldErrors::default();
    for (field, given) in CHANNEL_FIELDS.iter().zip(&form.channels) {
        let FormField::Value(id) = given else { continue };
        let wanted = if *field == "afk_channel_id" {
            ChannelKind::Voice
        } else {
            ChannelKind::Text
        };
        let fits = guild.channels.get(&Id(*id)).is_some_and(|channel| {
            channel.kind == wanted || (wanted == ChannelKind::Text && channel.kind == ChannelKind::Announcement)
        });
        if !fits {
            errors.add(&[(*field).to_owned()], "CHANNEL_INVALID", "Invalid channel");
        }
    }
    errors.finish(())
}

/// The feature `COMMUNITY` needs `ADMINISTRATOR`, a rules channel and an updates channel.
fn check_community(state: &State, guild: &Guild, form: &GuildForm) -> ApiResult<()> {
    let FormField::Value(features) = &form.features else {
        return Ok(());
    };
    let wants = features.iter().any(|feature| feature == "COMMUNITY");
    if wants == guild.has_feature("COMMUNITY") {
        return Ok(());
    }
    state.guild_with(guild.id, Permissions::ADMINISTRATOR)?;
    if !wants {
        return Ok(());
    }
    let errors = FieldErrors::default();
    for (field, given, current) in [
        ("rules_channel_id", &form.channels[2], guild.rules_channel_id),
        (
            "public_updates_channel_id",
            &form.channels[3],
            guild.public_updates_channel_id,
        ),
    ] {
        if given.as_value().is_none() && (current.is_none() || *given == FormField::Null) {
            errors.add(&[field.to_owned()], "BASE_TYPE_REQUIRED", "This field is required");
        }
    }
    errors.finish(())
}

/// Features that a bot may change: <https://discord.com/developers/docs/resources/guild#guild-object-mutable-guild-features>.
const MUTABLE_FEATURES: [&str; 4] = ["COMMUNITY", "DISCOVERABLE", "INVITES_DISABLED", "RAID_ALERTS_DISABLED"];

fn change(guild: &mut Guild, form: &GuildForm) {
    if let FormField::Value(name) = &form.name {
        guild.name.clone_from(name);
    }
    guild.description = form.description.clone().or_keep(guild.description.take());
    if let FormField::Value(locale) = &form.preferred_locale {
        guild.preferred_locale.clone_from(locale);
    }
    let small = |given: &FormField<i64>, current: u8, default: u8| {
        given
            .clone()
            .map(|number| u8::try_from(number).unwrap_or(default))
            .or_default(current, default)
    };
    let [verification, notifications, filter, timeout, flags] = &form.numbers;
    guild.verification_level = small(verification, guild.verification_level, 0);
    guild.default_message_notifications = small(notifications, guild.default_message_notifications, 0);
    guild.explicit_content_filter = small(filter, guild.explicit_content_filter, 0);
    if let FormField::Value(seconds) = timeout {
        guild.afk_timeout = u32::try_from(*seconds).unwrap_or(300);
    }
    if let FormField::Value(flags) = flags {
        guild.system_channel_flags = u64::try_from(*flags).unwrap_or(0);
    }
    let slots = [
        &mut guild.afk_channel_id,
        &mut guild.system_channel_id,
        &mut guild.rules_channel_id,
        &mut guild.public_updates_channel_id,
        &mut guild.safety_alerts_channel_id,
    ];
    for (slot, given) in slots.into_iter().zip(&form.channels) {
        *slot = given.clone().map(Id).or_keep(slot.take());
    }
    if let FormField::Value(features) = &form.features {
        guild
            .features
            .retain(|known| !MUTABLE_FEATURES.contains(&known.as_str()) || features.contains(known));
        for feature in features {
            if MUTABLE_FEATURES.contains(&feature.as_str()) && !guild.has_feature(feature) {
                guild.features.push(feature.clone());
            }
        }
    }
    guild.premium_progress_bar_enabled = form
        .progress_bar
        .clone()
        .or_default(guild.premium_progress_bar_enabled, false);
}
