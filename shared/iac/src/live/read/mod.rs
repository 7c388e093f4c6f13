//! From Discord's JSON to [`Live`]: what one GET for each collection says, normalised to the model.
//!
//! References are ids, never addresses. Discord adds fields and numbers at any time: a field that is unknown here is passed
//! over; an attribute whose value is unknown is `None`, so that it is not managed, and is noted in [`Live::unknown`]. Refuses
//! an answer that lacks a field which Discord requires: what was not sent is never taken for empty.
//!
//! To add a kind, add a file that reads its collection and a field of [`Collections`].

mod answer;
mod automod;
mod channel;
mod community;
mod event;
mod expression;
mod image;
mod role;
mod server;
mod unknown;
mod webhook;
mod wire;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Live, LiveBot, LiveResource};
use crate::model::{Attributes, Kind, Snowflake};

pub use answer::{read_answer, read_channels};
pub use channel::{FLAG_HIDE_DOWNLOAD_OPTIONS, FLAG_REQUIRE_TAG};
pub use unknown::UnknownValue;

/// What Discord answered, as it came.
#[derive(Clone, Debug, Default)]
pub struct Collections {
    /// `GET /users/@me`: the bot.
    pub me: Value,
    /// `GET /guilds/{id}`; roles, emoji and stickers are in it.
    pub guild: Value,
    /// `GET /guilds/{id}/channels`.
    pub channels: Value,
    /// `GET /guilds/{id}/members/{bot}`.
    pub bot: Value,
    /// `GET /guilds/{id}/webhooks`, when asked for.
    pub webhooks: Option<Value>,
    /// `GET /guilds/{id}/auto-moderation/rules`, when asked for.
    pub automod: Option<Value>,
    /// `GET /guilds/{id}/welcome-screen`, when asked for; `null` where there is none.
    pub welcome_screen: Option<Value>,
    /// `GET /guilds/{id}/onboarding`, when asked for.
    pub onboarding: Option<Value>,
    /// `GET /guilds/{id}/scheduled-events`, when asked for.
    pub events: Option<Value>,
}

/// An answer of Discord's that lacks what its OpenAPI document requires, or has another type there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Discord's answer to `{call}` cannot be read: {why}, at `{at}`; nothing was changed or forgotten: try again later"
)]
pub struct Unreadable {
    /// The call, e.g. `GET /guilds/{id}`.
    pub call: &'static str,
    /// Path of the field within the answer, e.g. `roles[3].permissions`; for an absent field, of what it is missing from.
    pub at: String,
    /// What is wrong.
    pub why: String,
}

impl Collections {
    /// The kinds whose collection is not here.
    fn unread(&self) -> BTreeSet<Kind> {
        let further = [
            (Kind::Webhook, &self.webhooks),
            (Kind::Automod, &self.automod),
            (Kind::WelcomeScreen, &self.welcome_screen),
            (Kind::Onboarding, &self.onboarding),
            (Kind::Event, &self.events),
        ];
        let unread = further.into_iter().filter(|(_, collection)| collection.is_none());
        unread.map(|(kind, _)| kind).collect()
    }
}

impl Live {
    /// Reads Discord's answers.
    ///
    /// # Errors
    /// What has not the shape that Discord's documents give it, named by call and field.
    pub fn read(collections: &Collections) -> Result<Self, Unreadable> {
        let guild: wire::Guild = wire::read("GET /guilds/{id}", &collections.guild)?;
        let bot: wire::Member = wire::read("GET /guilds/{id}/members/{bot}", &collections.bot)?;
        let bot = LiveBot {
            user_id: read_me(&collections.me)?,
            roles: bot.roles.into_iter().collect(),
        };
        let (mut unknown, mut unreadable) = (Vec::new(), Vec::new());
        let settings = server::attributes(&guild, &mut unknown);
        let mut live = Self::new(guild.id, guild.owner_id, bot, settings);
        live.boost_level = u8::try_from(guild.premium_tier.max(0)).unwrap_or(u8::MAX);
        live.features = guild.features.iter().cloned().collect();
        let roles = role::resources(&guild, &live.bot, &mut unknown);
        let channels = channel::resources(channel::LIST, &collections.channels, guild.id, &mut unknown)?;
        live.foreign_channels = channels.unreadable.len();
        live.channels_unordered = channels.unordered;
        unreadable.extend(channels.unreadable);
        let animated = guild.emojis.iter().filter(|emoji| emoji.animated == Some(true));
        live.animated_emoji = animated.map(|emoji| emoji.id).collect();
        live.images = image::of_guild(&guild);
        let mut all = vec![
            roles,
            channels.known,
            expression::emojis(&guild),
            expression::stickers(&guild),
        ];
        let (id, enabled) = (guild.id, live.features.contains("WELCOME_SCREEN_ENABLED"));
        if let Some(webhooks) = &collections.webhooks {
            let (incoming, others) = webhook::resources(webhooks)?;
            all.push(incoming);
            unreadable.extend(others);
            live.images.extend(image::of_webhooks(webhooks));
        }
        if let Some(rules) = &collections.automod {
            let (rules, is_complete) = automod::resources(rules, &mut unknown, &mut unreadable)?;
            all.push(rules);
            live.incomplete.extend((!is_complete).then_some(Kind::Automod));
        }
        if let Some(screen) = &collections.welcome_screen {
            all.push(vec![community::welcome_screen(screen, id, enabled, &mut unknown)?]);
        }
        if let Some(onboarding) = &collections.onboarding {
            all.push(vec![community::onboarding(onboarding, id, &mut unknown)?]);
        }
        if let Some(events) = &collections.events {
            all.push(event::resources(events, &mut unknown, &mut unreadable)?);
            live.images.extend(image::of_events(events)?);
        }
        all.into_iter().flatten().for_each(|resource| live.insert(resource));
        live.unknown = unknown;
        live.unreadable = unreadable;
        live.unread = collections.unread();
        // The reference lets a server come without its stickers. That is not the same as having none.
        live.unread.extend(guild.stickers.is_none().then_some(Kind::Sticker));
        Ok(live)
    }
}

/// The bot's user id, out of `GET /users/@me`.
///
/// # Errors
/// When the answer has no id.
pub fn read_me(answer: &Value) -> Result<Snowflake, Unreadable> {
    let user: wire::User = wire::read("GET /users/@me", answer)?;
    Ok(user.id)
}

/// Something with nothing but an id and attributes.
const fn plain(id: Snowflake, attributes: Attributes) -> LiveResource {
    LiveResource {
        id,
        attributes,
        position: 0,
        managed: false,
    }
}
