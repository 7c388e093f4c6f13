//! From Discord's JSON to [`Live`]: what one GET for each collection says, normalised to the model.
//!
//! References are ids, never addresses. Discord adds fields and numbers
//! at any time: a field that is unknown here is passed over, and an attribute whose value is unknown is `None`. Refuses only
//! what has no id or is not JSON of this shape at all.
//!
//! To add a kind, add a file that reads its collection and a field of [`Collections`].

mod automod;
mod channel;
mod community;
mod event;
mod expression;
mod role;
mod server;
mod webhook;
mod wire;

use serde_json::Value;

use super::{Live, LiveBot, LiveResource};
use crate::model::{Attributes, Snowflake};

pub use channel::{FLAG_HIDE_DOWNLOAD_OPTIONS, FLAG_REQUIRE_TAG};

/// What Discord answered, as it came.
#[derive(Clone, Debug, Default)]
pub struct Collections {
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

/// Discord's JSON has not the shape that its documents give it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Discord's answer about {what} cannot be read: {why}")]
pub struct Unreadable {
    /// Which collection.
    pub what: &'static str,
    /// What is wrong.
    pub why: String,
}

impl Live {
    /// Reads Discord's answers.
    ///
    /// # Errors
    /// What has not the shape that Discord's documents give it, named by collection.
    pub fn read(collections: &Collections) -> Result<Self, Unreadable> {
        let guild: wire::Guild = wire::read("the server", &collections.guild)?;
        let channels: Vec<wire::Channel> = wire::read("channels", &collections.channels)?;
        let bot: wire::Member = wire::read("the bot's own membership", &collections.bot)?;
        let bot = LiveBot {
            user_id: bot.user.id,
            roles: bot.roles.into_iter().collect(),
        };
        let mut live = Self::new(guild.id, guild.owner_id, bot, server::attributes(&guild));
        live.boost_level = guild.premium_tier;
        live.features = guild.features.iter().cloned().collect();
        let roles = role::resources(&guild, &live.bot);
        let (known, foreign) = channel::resources(&channels, guild.id);
        live.foreign_channels = foreign;
        let mut all = vec![roles, known, expression::emojis(&guild), expression::stickers(&guild)];
        let (id, enabled) = (guild.id, live.features.contains("WELCOME_SCREEN_ENABLED"));
        let screen = |value| community::welcome_screen(value, id, enabled).map(|screen| vec![screen]);
        let onboarding = |value| community::onboarding(value, id).map(|onboarding| vec![onboarding]);
        all.extend(collections.webhooks.as_ref().map(webhook::resources).transpose()?);
        all.extend(collections.automod.as_ref().map(automod::resources).transpose()?);
        all.extend(collections.welcome_screen.as_ref().map(screen).transpose()?);
        all.extend(collections.onboarding.as_ref().map(onboarding).transpose()?);
        all.extend(collections.events.as_ref().map(event::resources).transpose()?);
        all.into_iter().flatten().for_each(|resource| live.insert(resource));
        Ok(live)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{AutomodTrigger, Kind};

    fn collections() -> Collections {
        Collections {
            guild: json!({"id": "1", "owner_id": "2", "name": "Sietch", "verification_level": 9, "brand_new": {"a": []},
                "features": ["COMMUNITY", "NOT_YET_INVENTED"], "premium_tier": 1,
                "roles": [{"id": "1", "name": "@everyone", "permissions": "1024"},
                    {"id": "5", "name": "Naib", "permissions": "18446744073709551615", "color": 255, "position": 1}]}),
            channels: json!([{"id": "7", "type": 0, "name": "a", "permission_overwrites": [
                    {"id": "1", "type": 0, "allow": "0", "deny": "1024"}, {"id": "2", "type": 1, "allow": "1024", "deny": "0"},
                    {"id": "9", "type": 7, "allow": "0", "deny": "0"}]},
                {"id": "8", "type": 99, "name": "from the future"},
                {"id": "9", "type": 15, "name": "f", "default_sort_order": 77, "flags": 16, "default_forum_layout": 88,
                    "available_tags": [{"id": "3", "name": "t", "moderated": true, "emoji_name": "🔥", "emoji_id": null}]}]),
            bot: json!({"user": {"id": "2", "clan": null}, "roles": ["5"]}),
            ..Collections::default()
        }
    }

    #[test]
    fn what_is_new_at_discord_is_passed_over() {
        let live = Live::read(&collections()).unwrap();
        let id = |id| Snowflake::new(id).unwrap();
        let Attributes::Server(server) = &live.get(Kind::Server, id(1)).unwrap().attributes else {
            panic!("no server");
        };
        assert_eq!((server.verification_level, server.community), (None, Some(true)));
        let role = live.role(id(5)).unwrap();
        assert_eq!(role.given_to_bot, Some(true));
        assert_eq!(role.permissions.unwrap().bits(), u64::MAX);
        assert_eq!((live.foreign_channels, live.of_kind(Kind::Channel).count()), (1, 2));
        assert_eq!(live.channel(id(7)).unwrap().overwrites.as_ref().unwrap().len(), 2);
        let forum = live.channel(id(9)).unwrap();
        assert_eq!(
            (forum.sort_order, forum.layout, forum.require_tag),
            (None, None, Some(true))
        );
        assert!(forum.tags.as_ref().unwrap()[0].moderated);
    }

    #[test]
    fn the_further_kinds_are_read_when_asked_for() {
        let rules = json!([{"id": "4", "name": "r", "enabled": true, "trigger_type": 1, "trigger_metadata": {"keyword_filter": ["spice"]},
                "actions": [{"type": 3, "metadata": {"duration_seconds": 60}}]},
            {"id": "5", "name": "new", "enabled": true, "trigger_type": 42, "actions": [{"type": 1}]}]);
        let webhooks =
            json!([{"id": "6", "type": 1, "channel_id": "7", "name": "w"}, {"id": "7", "type": 2, "channel_id": "7"}]);
        let live = Live::read(&Collections {
            automod: Some(rules),
            webhooks: Some(webhooks),
            welcome_screen: Some(Value::Null),
            ..collections()
        })
        .unwrap();
        let triggers: Vec<bool> = live
            .of_kind(Kind::Automod)
            .map(|rule| match &rule.attributes {
                Attributes::Automod(rule) => matches!(rule.trigger, Some(AutomodTrigger::Keyword { .. })),
                _ => false,
            })
            .collect();
        assert_eq!(triggers, [true, false]);
        assert_eq!(live.of_kind(Kind::Webhook).count(), 1);
        assert_eq!(live.of_kind(Kind::WelcomeScreen).count(), 1);
    }

    #[test]
    fn what_has_another_shape_is_named() {
        let wrong = Collections {
            channels: json!({"message": "?"}),
            ..collections()
        };
        assert!(Live::read(&wrong).unwrap_err().to_string().contains("channels"));
        let no_id = Collections {
            bot: json!({"roles": []}),
            ..collections()
        };
        assert!(Live::read(&no_id).unwrap_err().to_string().contains("user"));
    }
}
