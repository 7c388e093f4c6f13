//! Discord's limits on how many there may be, and what a step would make of them.
//!
//! Owns the question whether a server has room for a step at the moment before it. What makes room is found by
//! [`super::fit`]; what there is no room for is reported by preflight.

use std::fmt;

use super::document::Step;
use super::simulate::Run;
use crate::model::limits::{
    AUTOMOD_RULES, EMOJI_BY_LEVEL, MOST_CHANNELS, MOST_EVENTS, MOST_IN_CATEGORY, MOST_ROLES, MOST_WEBHOOKS,
};
use crate::model::{Attributes, AutomodRule, Channel, Clearable, Kind, Reference, Snowflake, Webhook};

/// Something of which a server has only so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// Roles, @everyone among them.
    Roles,
    /// Channels and categories.
    Channels,
    /// Channels of this category.
    Category(Snowflake),
    /// Webhooks of this channel.
    Webhooks(Snowflake),
    /// Rules of auto moderation with Discord's number of a trigger.
    Automod(u64),
    /// Emoji: the animated ones, or the others.
    Emoji {
        /// Whether those that move are meant.
        animated: bool,
    },
    /// Scheduled events.
    Events,
}

impl Limit {
    /// How many there may be on a server of this boost level.
    pub(super) fn most(self, boost_level: u8) -> usize {
        match self {
            Self::Roles => MOST_ROLES,
            Self::Channels => MOST_CHANNELS,
            Self::Category(_) => MOST_IN_CATEGORY,
            Self::Webhooks(_) => MOST_WEBHOOKS,
            Self::Automod(trigger) => {
                let known = AUTOMOD_RULES.iter().find(|(wire, _)| *wire == trigger);
                known.map_or(usize::MAX, |(_, most)| *most)
            }
            Self::Emoji { .. } => EMOJI_BY_LEVEL[usize::from(boost_level).min(3)],
            Self::Events => MOST_EVENTS,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Roles => "roles (@everyone among them)",
            Self::Channels => "channels and categories",
            Self::Category(_) => "channels",
            Self::Webhooks(_) => "webhooks",
            Self::Automod(1) => "automod rules with the trigger `keyword`",
            Self::Automod(3) => "automod rules with the trigger `spam`",
            Self::Automod(4) => "automod rules with the trigger `preset`",
            Self::Automod(5) => "automod rules with the trigger `mention_spam`",
            Self::Automod(_) => "automod rules with the trigger `member_profile`",
            Self::Emoji { animated: true } => "animated emoji",
            Self::Emoji { animated: false } => "emoji that are not animated",
            Self::Events => "scheduled events",
        })
    }
}

impl Run {
    /// What a step adds to, one each.
    pub(super) fn adds_to(&self, step: &Step) -> Vec<Limit> {
        match step {
            Step::Create { attributes, .. } => self.creation_adds_to(attributes),
            Step::Update {
                address,
                id,
                attributes,
                fields,
            } => {
                let names = |field: &str| fields.iter().any(|name| name == field);
                match (address.kind(), attributes) {
                    (Kind::Channel, Attributes::Channel(channel)) if names("category") => {
                        let now = self.category_of(channel);
                        let before = self.live.channel(*id).and_then(|channel| self.category_of(channel));
                        now.filter(|_| now != before).map(Limit::Category).into_iter().collect()
                    }
                    (Kind::Webhook, Attributes::Webhook(webhook)) if names("channel") => {
                        let now = webhook.channel.as_ref().and_then(|channel| self.resolve(channel));
                        let before = self.channel_of_webhook(*id);
                        now.filter(|_| now != before).map(Limit::Webhooks).into_iter().collect()
                    }
                    _ => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    fn creation_adds_to(&self, attributes: &Attributes) -> Vec<Limit> {
        match attributes {
            Attributes::Role(_) => vec![Limit::Roles],
            Attributes::Category(_) => vec![Limit::Channels],
            Attributes::Channel(channel) => {
                let category = self.category_of(channel).map(Limit::Category);
                [Some(Limit::Channels), category].into_iter().flatten().collect()
            }
            Attributes::Webhook(webhook) => {
                let channel = webhook.channel.as_ref().and_then(|channel| self.resolve(channel));
                channel.map(Limit::Webhooks).into_iter().collect()
            }
            Attributes::Automod(AutomodRule {
                trigger: Some(trigger), ..
            }) => vec![Limit::Automod(trigger.wire())],
            Attributes::Emoji(emoji) => {
                let path = emoji.image.as_ref().map(|image| image.path.to_ascii_lowercase());
                let animated = path.is_some_and(|path| path.ends_with(".gif"));
                vec![Limit::Emoji { animated }]
            }
            Attributes::Event(_) => vec![Limit::Events],
            _ => Vec::new(),
        }
    }

    /// Whether it is an emoji that moves.
    pub(super) fn creation_is_animated(&self, attributes: &Attributes) -> bool {
        self.creation_adds_to(attributes)
            .contains(&Limit::Emoji { animated: true })
    }

    /// How many there are.
    pub(super) fn count(&self, limit: Limit) -> usize {
        let live = &self.live;
        match limit {
            Limit::Roles => live.of_kind(Kind::Role).count(),
            Limit::Channels => {
                live.of_kind(Kind::Channel).count() + live.of_kind(Kind::Category).count() + live.foreign_channels
            }
            Limit::Category(id) => self.channels_in(id).count(),
            Limit::Webhooks(id) => {
                let webhooks = live.of_kind(Kind::Webhook);
                webhooks
                    .filter(|webhook| self.channel_of_webhook(webhook.id) == Some(id))
                    .count()
            }
            Limit::Automod(wanted) => {
                let rules = live.of_kind(Kind::Automod);
                rules
                    .filter(|rule| trigger_of(&rule.attributes) == Some(wanted))
                    .count()
            }
            Limit::Emoji { animated } => {
                let emoji = live.of_kind(Kind::Emoji).filter(|emoji| !emoji.managed);
                emoji
                    .filter(|emoji| live.animated_emoji.contains(&emoji.id) == animated)
                    .count()
            }
            Limit::Events => live.of_kind(Kind::Event).count(),
        }
    }

    /// The first limit that a step would pass now.
    pub(super) fn passes(&self, step: &Step) -> Option<Limit> {
        let level = self.live.boost_level;
        let mut limits = self.adds_to(step).into_iter();
        limits.find(|limit| self.count(*limit) >= limit.most(level))
    }

    /// The channels of a category.
    pub(super) fn channels_in(&self, category: Snowflake) -> impl Iterator<Item = Snowflake> {
        let channels = self.live.of_kind(Kind::Channel);
        channels.filter_map(move |found| match &found.attributes {
            Attributes::Channel(channel) if self.category_of(channel) == Some(category) => Some(found.id),
            _ => None,
        })
    }

    /// The id behind a reference, when it leads somewhere.
    pub(super) fn resolve(&self, reference: &Reference) -> Option<Snowflake> {
        match reference {
            Reference::Id(id) => Some(*id),
            Reference::Address(address) => self.state.id(address),
        }
    }

    /// The id of a channel's category.
    pub(super) fn category_of(&self, channel: &Channel) -> Option<Snowflake> {
        self.resolve(channel.category.as_ref().and_then(Clearable::value)?)
    }

    /// The id of a webhook's channel.
    pub(super) fn channel_of_webhook(&self, id: Snowflake) -> Option<Snowflake> {
        match &self.live.get(Kind::Webhook, id)?.attributes {
            Attributes::Webhook(Webhook { channel, .. }) => self.resolve(channel.as_ref()?),
            _ => None,
        }
    }
}

/// Discord's number of a rule's trigger.
pub(super) fn trigger_of(attributes: &Attributes) -> Option<u64> {
    match attributes {
        Attributes::Automod(rule) => rule.trigger.as_ref().map(crate::model::AutomodTrigger::wire),
        _ => None,
    }
}
