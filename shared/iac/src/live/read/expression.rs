//! Emoji and stickers. Their pictures are not among what Discord tells.

use super::{LiveResource, plain, wire};
use crate::model::{Attributes, Emoji, Reference, Sticker};

pub(super) fn emojis(guild: &wire::Guild) -> Vec<LiveResource> {
    guild.emojis.iter().map(emoji).collect()
}

pub(super) fn emoji(emoji: &wire::Emoji) -> LiveResource {
    let attributes = Emoji {
        name: Some(emoji.name.clone()),
        image: None,
        roles: Some(emoji.roles.iter().flatten().copied().map(Reference::Id).collect()),
    };
    LiveResource {
        managed: emoji.managed.unwrap_or(false),
        ..plain(emoji.id, Attributes::Emoji(attributes))
    }
}

pub(super) fn stickers(guild: &wire::Guild) -> Vec<LiveResource> {
    guild.stickers.iter().flatten().map(sticker).collect()
}

pub(super) fn sticker(sticker: &wire::Sticker) -> LiveResource {
    let attributes = Sticker {
        name: Some(sticker.name.clone()),
        description: Some(sticker.description.clone().unwrap_or_default()),
        tags: Some(sticker.tags.clone()),
        image: None,
    };
    plain(sticker.id, Attributes::Sticker(attributes))
}
