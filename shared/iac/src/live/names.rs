//! Addresses of ids.

use std::collections::BTreeMap;

use crate::model::{Address, Attributes, Kind, Reference, Snowflake, Target};

/// The addresses of managed resources by id, with the ids of @everyone and the bot.
#[derive(Clone, Debug)]
pub struct AddressIndex {
    guild_id: Snowflake,
    bot_id: Snowflake,
    addresses: BTreeMap<(Kind, Snowflake), Address>,
}

impl AddressIndex {
    /// An index of managed addresses with their ids.
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

    /// The address of a managed resource, by kind and id.
    #[must_use]
    pub fn address(&self, kind: Kind, id: Snowflake) -> Option<&Address> {
        self.addresses.get(&(kind, id))
    }

    /// The attributes with addresses in place of the ids of managed resources. Both sides of a comparison are converted, so
    /// that `member:ID` of the bot equals `bot`.
    #[must_use]
    pub fn with_addresses(&self, attributes: &Attributes) -> Attributes {
        let mut local = attributes.clone();
        local.map_references(&mut |kinds, reference| {
            if let Reference::Id(id) = reference
                && let Some(address) = kinds.iter().find_map(|kind| self.address(*kind, *id))
            {
                *reference = Reference::Address(address.clone());
            }
        });
        if let Some(channel) = local.channel_mut()
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

    /// The canonical form of a target: `everyone` and `bot` instead of their ids, and addresses instead of ids.
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
