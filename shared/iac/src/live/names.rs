//! Between ids and addresses.

use std::collections::BTreeMap;

use crate::model::{
    Address, Attributes, AutomodAction, Channel, Clearable, EmojiReference, EventPlace, Kind, Overwrite, Reference,
    Snowflake, Target,
};

/// Which address stands for which id, and who @everyone and the bot are.
#[derive(Clone, Debug)]
pub struct Names {
    guild_id: Snowflake,
    bot_id: Snowflake,
    addresses: BTreeMap<(Kind, Snowflake), Address>,
}

/// Kinds of resources that a reference may name, the usual one first. An id alone does not say: @everyone has the id of its
/// server, and so has the first channel of an old one.
pub type Kinds = &'static [Kind];

const ROLE: Kinds = &[Kind::Role];
const CATEGORY: Kinds = &[Kind::Category];
const CHANNEL: Kinds = &[Kind::Channel];
const CHANNEL_OR_CATEGORY: Kinds = &[Kind::Channel, Kind::Category];
const EMOJI: Kinds = &[Kind::Emoji];

impl Names {
    /// From the addresses that are managed with their ids.
    pub fn new<'a>(
        guild_id: Snowflake,
        bot_id: Snowflake,
        managed: impl IntoIterator<Item = (&'a Address, Snowflake)>,
    ) -> Self {
        let addresses = managed
            .into_iter()
            .filter(|(address, _)| !address.kind().is_single())
            .map(|(address, id)| ((address.kind(), id), address.clone()))
            .collect();
        Self {
            guild_id,
            bot_id,
            addresses,
        }
    }

    /// The address of what is managed, by kind and id.
    #[must_use]
    pub fn address(&self, kind: Kind, id: Snowflake) -> Option<&Address> {
        self.addresses.get(&(kind, id))
    }

    /// The same attributes with an address in place of every id that has one. What is compared goes through this on both
    /// sides, so that `member:ID` of the bot and `bot` are one.
    #[must_use]
    pub fn localised(&self, attributes: &Attributes) -> Attributes {
        let mut local = attributes.clone();
        map_references(&mut local, &mut |kinds, reference| {
            if let Reference::Id(id) = reference
                && let Some(address) = kinds.iter().find_map(|kind| self.address(*kind, *id))
            {
                *reference = Reference::Address(address.clone());
            }
        });
        if let Attributes::Channel(channel) | Attributes::Category(channel) = &mut local
            && let Some(overwrites) = &mut channel.overwrites
            && overwrites.keys().any(|target| self.target(target) != *target)
        {
            *overwrites = std::mem::take(overwrites)
                .into_iter()
                .map(|(target, overwrite)| (self.target(&target), overwrite))
                .collect();
        }
        local
    }

    /// One way to name a target: `everyone` and `bot` rather than their ids, and addresses rather than ids.
    #[must_use]
    pub fn target(&self, target: &Target) -> Target {
        match target {
            Target::Role(Reference::Id(id)) if *id == self.guild_id => Target::Everyone,
            Target::Role(Reference::Id(id)) => match self.address(Kind::Role, *id) {
                Some(address) => Target::from(address.clone()),
                None => target.clone(),
            },
            Target::Role(Reference::Address(address)) if address.is_everyone() => Target::Everyone,
            Target::Member(id) if *id == self.bot_id => Target::Bot,
            other => other.clone(),
        }
    }
}

/// Shows every reference in the attributes to `change`, with the kinds of resources that it may name.
pub fn map_references(attributes: &mut Attributes, change: &mut impl FnMut(Kinds, &mut Reference)) {
    match attributes {
        Attributes::Server(server) => {
            let channels = [
                &mut server.afk_channel,
                &mut server.system_channel,
                &mut server.rules_channel,
                &mut server.public_updates_channel,
                &mut server.safety_alerts_channel,
            ];
            channels
                .into_iter()
                .for_each(|channel| clearable(channel, CHANNEL, change));
        }
        Attributes::Category(channel) | Attributes::Channel(channel) => of_channel(channel, change),
        Attributes::Emoji(emoji) => list(emoji.roles.as_mut(), ROLE, change),
        Attributes::Webhook(webhook) => webhook.channel.iter_mut().for_each(|one| change(CHANNEL, one)),
        Attributes::Automod(rule) => {
            list(rule.exempt_roles.as_mut(), ROLE, change);
            list(rule.exempt_channels.as_mut(), CHANNEL_OR_CATEGORY, change);
            for action in rule.actions.iter_mut().flatten() {
                if let AutomodAction::Alert { channel } = action {
                    change(CHANNEL, channel);
                }
            }
        }
        Attributes::WelcomeScreen(screen) => {
            for channel in screen.channels.iter_mut().flatten() {
                change(CHANNEL, &mut channel.channel);
                own(&mut channel.emoji, change);
            }
        }
        Attributes::Onboarding(onboarding) => {
            list(onboarding.default_channels.as_mut(), CHANNEL_OR_CATEGORY, change);
            let prompts = onboarding.prompts.iter_mut().flatten();
            for option in prompts.flat_map(|prompt| &mut prompt.options) {
                list(Some(&mut option.roles), ROLE, change);
                list(Some(&mut option.channels), CHANNEL_OR_CATEGORY, change);
                own(&mut option.emoji, change);
            }
        }
        Attributes::Event(event) => {
            if let Some(EventPlace::Stage(channel) | EventPlace::Voice(channel)) = &mut event.place {
                change(CHANNEL, channel);
            }
        }
        Attributes::Role(_) | Attributes::Sticker(_) => {}
    }
}

fn of_channel(channel: &mut Channel, change: &mut impl FnMut(Kinds, &mut Reference)) {
    clearable(&mut channel.category, CATEGORY, change);
    if let Some(Clearable::Set(EmojiReference::Own(reference))) = &mut channel.default_reaction {
        change(EMOJI, reference);
    }
    for tag in channel.tags.iter_mut().flatten() {
        own(&mut tag.emoji, change);
    }
    let Some(overwrites) = &mut channel.overwrites else {
        return;
    };
    let changed = std::mem::take(overwrites)
        .into_iter()
        .map(|(mut target, overwrite): (_, Overwrite)| {
            if let Target::Role(role) = &mut target {
                change(ROLE, role);
            }
            (target, overwrite)
        });
    *overwrites = changed.collect();
}

fn list(references: Option<&mut Vec<Reference>>, kinds: Kinds, change: &mut impl FnMut(Kinds, &mut Reference)) {
    let references = references.into_iter().flatten();
    references.for_each(|reference| change(kinds, reference));
}

fn clearable(
    reference: &mut Option<Clearable<Reference>>,
    kinds: Kinds,
    change: &mut impl FnMut(Kinds, &mut Reference),
) {
    if let Some(Clearable::Set(reference)) = reference {
        change(kinds, reference);
    }
}

fn own(emoji: &mut Option<EmojiReference>, change: &mut impl FnMut(Kinds, &mut Reference)) {
    if let Some(EmojiReference::Own(reference)) = emoji {
        change(EMOJI, reference);
    }
}
