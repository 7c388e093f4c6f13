//! Between ids and addresses.

use std::collections::BTreeMap;

use crate::model::{
    Address, Attributes, AutomodAction, Channel, Clearable, EmojiReference, EventPlace, Overwrite, Reference,
    Snowflake, Target,
};

/// Which address stands for which id, and who @everyone and the bot are.
#[derive(Clone, Debug)]
pub struct Names {
    guild_id: Snowflake,
    bot_id: Snowflake,
    addresses: BTreeMap<Snowflake, Address>,
}

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
            .map(|(address, id)| (id, address.clone()))
            .collect();
        Self {
            guild_id,
            bot_id,
            addresses,
        }
    }

    /// The address of an id, of what is managed. The server's own id is @everyone's here, if that is managed.
    #[must_use]
    pub fn address(&self, id: Snowflake) -> Option<&Address> {
        self.addresses.get(&id)
    }

    /// The same attributes with an address in place of every id that has one. What is compared goes through this on both
    /// sides, so that `member:ID` of the bot and `bot` are one.
    #[must_use]
    pub fn localised(&self, attributes: &Attributes) -> Attributes {
        let mut local = attributes.clone();
        map_references(&mut local, &mut |reference| {
            if let Reference::Id(id) = reference
                && let Some(address) = self.addresses.get(id)
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
            Target::Role(Reference::Id(id)) => match self.addresses.get(id) {
                Some(address) => Target::from(address.clone()),
                None => target.clone(),
            },
            Target::Role(Reference::Address(address)) if address.is_everyone() => Target::Everyone,
            Target::Member(id) if *id == self.bot_id => Target::Bot,
            other => other.clone(),
        }
    }
}

/// Shows every reference in the attributes to `change`.
pub fn map_references(attributes: &mut Attributes, change: &mut impl FnMut(&mut Reference)) {
    match attributes {
        Attributes::Server(server) => {
            let channels = [
                &mut server.afk_channel,
                &mut server.system_channel,
                &mut server.rules_channel,
                &mut server.public_updates_channel,
                &mut server.safety_alerts_channel,
            ];
            channels.into_iter().for_each(|channel| clearable(channel, change));
        }
        Attributes::Category(channel) | Attributes::Channel(channel) => of_channel(channel, change),
        Attributes::Emoji(emoji) => emoji.roles.iter_mut().flatten().for_each(change),
        Attributes::Webhook(webhook) => webhook.channel.iter_mut().for_each(change),
        Attributes::Automod(rule) => {
            rule.exempt_roles.iter_mut().flatten().for_each(&mut *change);
            rule.exempt_channels.iter_mut().flatten().for_each(&mut *change);
            for action in rule.actions.iter_mut().flatten() {
                if let AutomodAction::Alert { channel } = action {
                    change(channel);
                }
            }
        }
        Attributes::WelcomeScreen(screen) => {
            for channel in screen.channels.iter_mut().flatten() {
                change(&mut channel.channel);
                own(&mut channel.emoji, change);
            }
        }
        Attributes::Onboarding(onboarding) => {
            onboarding.default_channels.iter_mut().flatten().for_each(&mut *change);
            for option in onboarding
                .prompts
                .iter_mut()
                .flatten()
                .flat_map(|prompt| &mut prompt.options)
            {
                option
                    .roles
                    .iter_mut()
                    .chain(&mut option.channels)
                    .for_each(&mut *change);
                own(&mut option.emoji, change);
            }
        }
        Attributes::Event(event) => {
            if let Some(EventPlace::Stage(channel) | EventPlace::Voice(channel)) = &mut event.place {
                change(channel);
            }
        }
        Attributes::Role(_) | Attributes::Sticker(_) => {}
    }
}

fn of_channel(channel: &mut Channel, change: &mut impl FnMut(&mut Reference)) {
    clearable(&mut channel.category, change);
    if let Some(Clearable::Set(EmojiReference::Own(reference))) = &mut channel.default_reaction {
        change(reference);
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
                change(role);
            }
            (target, overwrite)
        });
    *overwrites = changed.collect();
}

fn clearable(reference: &mut Option<Clearable<Reference>>, change: &mut impl FnMut(&mut Reference)) {
    if let Some(Clearable::Set(reference)) = reference {
        change(reference);
    }
}

fn own(emoji: &mut Option<EmojiReference>, change: &mut impl FnMut(&mut Reference)) {
    if let Some(EmojiReference::Own(reference)) = emoji {
        change(reference);
    }
}
