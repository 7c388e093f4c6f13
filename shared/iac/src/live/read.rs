//! Reads a [`LiveServer`] from Discord's JSON: the responses to one GET for each list.
//!
//! References are ids, never addresses. Discord may add fields and values at any time: unknown fields are ignored; an attribute
//! with an unknown value is `None`, so that it is not managed, and is recorded in [`LiveServer::unknown`]. A response without a
//! required field is an error: a missing list is never read as an empty one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{LiveBot, LiveServer};
use crate::kinds::{
    EmojiObject, Guild, LIST_CHANNELS, ReadContext, ReadNotes, StickerObject, read_channel_list, read_roles,
    read_server,
};
use crate::model::{Attributes, Kind, Snowflake};
use crate::wire::{self, Member, Unreadable, User};

/// Responses of Discord, as received.
#[derive(Clone, Debug, Default)]
pub struct Collections {
    /// `GET /users/@me`: the bot.
    pub me: Value,
    /// `GET /guilds/{id}`, including roles, emoji and stickers.
    pub guild: Value,
    /// `GET /guilds/{id}/channels`.
    pub channels: Value,
    /// `GET /guilds/{id}/members/{bot}`.
    pub bot: Value,
    /// Responses to the requests of [`Kind::list`], by kind; a kind that was not requested is absent.
    pub lists: BTreeMap<Kind, Value>,
}

impl LiveServer {
    /// Reads a server from responses.
    ///
    /// # Errors
    /// A response differs from Discord's documentation; the error contains call and field.
    pub fn read(collections: &Collections) -> Result<Self, Unreadable> {
        let guild: Guild = wire::read("GET /guilds/{id}", &collections.guild)?;
        let bot: Member = wire::read("GET /guilds/{id}/members/{bot}", &collections.bot)?;
        let bot = LiveBot {
            user_id: read_me(&collections.me)?,
            roles: bot.roles.into_iter().collect(),
        };
        let mut notes = ReadNotes::default();
        let settings = read_server(&guild, &mut notes.unknown);
        let mut live = Self::new(guild.id, guild.owner_id, bot, settings);
        live.boost_level = u8::try_from(guild.premium_tier.max(0)).unwrap_or(u8::MAX);
        live.features = guild.features.iter().cloned().collect();
        let roles = read_roles(&guild, &live.bot.roles, &mut notes.unknown);
        let channels = read_channel_list(LIST_CHANNELS, &collections.channels, guild.id, &mut notes.unknown)?;
        live.foreign_channels = channels.unreadable.len();
        live.channels_unordered = channels.unordered;
        notes.unreadable.extend(channels.unreadable);
        let animated = guild.emojis.iter().filter(|emoji| emoji.is_animated());
        live.animated_emoji = animated.map(|emoji| emoji.id).collect();
        let emoji = guild.emojis.iter();
        let stickers = guild.stickers.iter().flatten();
        let images = emoji
            .clone()
            .map(|emoji| (Kind::Emoji, emoji.id, Some(emoji.live_image())));
        let images = images.chain(
            stickers
                .clone()
                .map(|sticker| (Kind::Sticker, sticker.id, sticker.live_image())),
        );
        live.images = images
            .filter_map(|(kind, id, image)| Some(((kind, id), image?)))
            .collect();
        let mut all = roles;
        all.extend(channels.known);
        all.extend(emoji.map(EmojiObject::resource));
        all.extend(stickers.map(StickerObject::resource));
        let context = ReadContext {
            guild: guild.id,
            features: &live.features,
        };
        for (kind, answer) in &collections.lists {
            if let Some(list) = kind.list() {
                all.extend((list.read)(answer, context, &mut notes)?);
            }
        }
        all.into_iter().for_each(|resource| live.insert(resource));
        live.unknown = notes.unknown;
        live.unreadable = notes.unreadable;
        live.incomplete = notes.incomplete;
        live.images.extend(notes.images);
        let listed = Kind::ALL.iter().filter(|kind| kind.list().is_some());
        let unread = listed.filter(|kind| !collections.lists.contains_key(kind));
        live.unread = unread.copied().collect();
        // Discord may omit the stickers, which does not mean that there are none.
        live.unread.extend(guild.stickers.is_none().then_some(Kind::Sticker));
        Ok(live)
    }
}

/// The bot's user id from `GET /users/@me`.
///
/// # Errors
/// The response has no id.
pub fn read_me(answer: &Value) -> Result<Snowflake, Unreadable> {
    let user: User = wire::read("GET /users/@me", answer)?;
    Ok(user.id)
}

/// The attributes, with references by id, in the response to a request that creates or changes a resource. `None` if the
/// response does not contain them.
///
/// # Errors
/// The response differs from Discord's documentation.
pub fn read_answer(kind: Kind, answer: &Value, guild: Snowflake) -> Result<Option<Attributes>, Unreadable> {
    if !answer.is_object() {
        return Ok(None);
    }
    let features = BTreeSet::new();
    let server = ReadContext {
        guild,
        features: &features,
    };
    kind.read_answer(answer, server)
}

/// The attributes of all channels and categories, including overwrites, from `GET /guilds/{id}/channels`.
///
/// # Errors
/// The response differs from Discord's documentation.
pub fn read_channels(answer: &Value, guild: Snowflake) -> Result<Vec<(Snowflake, Attributes)>, Unreadable> {
    let found = read_channel_list(LIST_CHANNELS, answer, guild, &mut Vec::new())?.known;
    Ok(found.into_iter().map(|found| (found.id, found.attributes)).collect())
}
