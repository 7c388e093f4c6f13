//! Which resources have an image, and where. A value that cannot be read stands for no image: the resource is read all the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Unreadable, event, wire};
use crate::live::LiveImage;
use crate::model::{Kind, Snowflake};

type Images = BTreeMap<(Kind, Snowflake), LiveImage>;

/// Of emoji and stickers.
pub(super) fn of_guild(guild: &wire::Guild) -> Images {
    let emoji = guild.emojis.iter().map(|emoji| {
        let animated = emoji.animated == Some(true);
        ((Kind::Emoji, emoji.id), LiveImage::of_emoji(emoji.id, animated))
    });
    let stickers = guild.stickers.iter().flatten().filter_map(|sticker| {
        let image = LiveImage::of_sticker(sticker.id, sticker.format_type.as_i64()?.into())?;
        Some(((Kind::Sticker, sticker.id), image))
    });
    emoji.chain(stickers).collect()
}

/// Avatars of webhooks, of whatever kind they are.
pub(super) fn of_webhooks(value: &Value) -> Images {
    let webhooks = value.as_array().into_iter().flatten();
    let images = webhooks.filter_map(|webhook| {
        let id = webhook["id"].as_str()?.parse().ok()?;
        let image = LiveImage::of_avatar(id, webhook["avatar"].as_str()?)?;
        Some(((Kind::Webhook, id), image))
    });
    images.collect()
}

/// Cover images of scheduled events.
pub(super) fn of_events(value: &Value) -> Result<Images, Unreadable> {
    let events: Vec<wire::Event> = wire::read(event::CALL, value)?;
    let images = events.iter().filter_map(|event| {
        let image = LiveImage::of_event(event.id, event.image.as_str()?)?;
        Some(((Kind::Event, event.id), image))
    });
    Ok(images.collect())
}
