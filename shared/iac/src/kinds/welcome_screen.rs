//! The welcome screen of a community server.

use arrakis_domain::Permission;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, ReadNotes, Requirement, Resolve, Sent,
    Violation, Write,
};
use super::draft::{Draft, Section, attribute, resource_entry};
use super::{Attributes, LiveResource};
use crate::values::limits::WELCOME_CHANNELS;
use crate::values::{
    Address, CHANNEL, EMOJI, EmojiReference, Image, ImageAttribute, Kind, Kinds, Overwrites, Reference, Snowflake,
};
use crate::wire::{self, UnknownValues, Unreadable, nullable};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{EmojiLink, Limited, Link, List, Text, Truth};
use crate::yaml::{KnownAddresses, Yaml, emoji, link};

/// A channel that the welcome screen points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WelcomeChannel {
    /// The channel.
    pub channel: Reference,
    /// The description, 1 to 50 characters.
    pub description: String,
    /// The emoji before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<EmojiReference>,
}

attributes! {
    /// The welcome screen.
    pub struct WelcomeScreen {
        /// Whether it is enabled.
        enabled: bool,
        /// The description of the server, at most 140 characters; empty for none.
        description: String,
        /// Up to five channels.
        channels: Vec<WelcomeChannel>,
    }
}

document! {
    /// The welcome screen of a community server.
    pub(crate) struct WelcomeEntry {
        /// Whether it is enabled.
        enabled: Truth,
        /// The description of the server.
        description: Limited<0, 140>,
        /// Up to five channels.
        channels: List<WelcomeChannelEntry>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
    }
}

document! {
    /// A channel of the welcome screen.
    pub(crate) struct WelcomeChannelEntry {
        /// The channel.
        channel: Link,
        /// The description.
        description: Limited<1, 50>,
        /// The emoji before it.
        emoji: EmojiLink,
    }
}

resource_entry!(WelcomeEntry);

impl Section for WelcomeEntry {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        let screen = welcome_screen(&section.value, names, reader);
        draft.put(Address::WELCOME_SCREEN, Attributes::WelcomeScreen(screen), section.at);
    }
}

fn welcome_screen(entry: &WelcomeEntry, names: &KnownAddresses, reader: &mut Reader<'_>) -> WelcomeScreen {
    let channels = entry.channels.as_ref().map(|channels| {
        if let Some(over) = channels.value.0.get(WELCOME_CHANNELS) {
            reader.break_rule_of(
                over.at,
                &Address::WELCOME_SCREEN,
                &attribute("channels"),
                format!("more than {WELCOME_CHANNELS} channels; the welcome screen has no more"),
            );
        }
        let mut read = Vec::new();
        for own in &channels.value.0 {
            let (Some(channel), Some(description)) = (&own.value.channel, &own.value.description) else {
                reader.refuse(
                    own.at,
                    "a channel of the welcome screen has a `channel` and a `description`",
                );
                continue;
            };
            if let Some(channel) = names.link(channel, Kind::Channel, reader) {
                let emoji = own.value.emoji.as_ref().and_then(|emoji| names.emoji(emoji, reader));
                read.push(WelcomeChannel {
                    channel,
                    description: description.value.0.clone(),
                    emoji,
                });
            }
        }
        read
    });
    WelcomeScreen {
        enabled: entry.enabled.as_ref().map(|enabled| enabled.value.0),
        description: entry
            .description
            .as_ref()
            .map(|description| description.value.0.clone()),
        channels,
    }
}

impl Definition for WelcomeScreen {
    const IMAGE: Option<ImageAttribute> = None;
    const LIST: Option<ListRequest> = Some(ListRequest {
        path: "welcome-screen",
        what: "the welcome screen",
        permission: "MANAGE_GUILD",
        is_nullable: true,
        read,
    });
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::WelcomeScreen(own) => Some(own),
            _ => None,
        }
    }

    fn name(&self) -> Option<&String> {
        None
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        None
    }

    fn stored_name(&self, name: &str) -> String {
        name.trim().to_owned()
    }

    fn image(&self) -> Option<&Image> {
        None
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        None
    }

    fn defaults(&self) -> Self {
        Self {
            enabled: Some(false),
            description: Some(String::new()),
            channels: Some(Vec::new()),
        }
    }

    fn references(&self) -> Vec<&Reference> {
        let channels = self.channels.iter().flatten();
        channels
            .flat_map(|channel| {
                let emoji = channel.emoji.as_ref().and_then(EmojiReference::custom);
                [Some(&channel.channel), emoji].into_iter().flatten()
            })
            .collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        for channel in self.channels.iter_mut().flatten() {
            change(CHANNEL, &mut channel.channel);
            if let Some(emoji) = channel.emoji.as_mut().and_then(EmojiReference::custom_mut) {
                change(EMOJI, emoji);
            }
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        if let Some(channels) = &mut self.channels {
            channels.retain(|channel| !is_gone(&channel.channel));
            for channel in channels {
                channel.emoji.take_if(|emoji| emoji.custom().is_some_and(is_gone));
            }
        }
        true
    }

    fn forces_replacement(&self, _: &Self) -> Option<&'static str> {
        None
    }

    fn is_same_place(&self, _: &Self, _: Resolve<'_>) -> bool {
        true
    }

    fn requirements(_: Write<'_, Self>) -> Vec<Requirement> {
        Requirement::on_server(&[Permission::ManageGuild])
    }

    fn limits(&self, _: Resolve<'_>) -> Vec<Limit> {
        Vec::new()
    }

    fn bound(_: Group, _: u8) -> Bound {
        Bound::NONE
    }

    fn violations(&self, _: Sent<'_>, _: &Abilities<'_>) -> Vec<Violation> {
        Vec::new()
    }

    fn written(&self, field: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            "channels" => {
                let channels = self.channels.iter().flatten().map(welcome_channel);
                Some(vec![(field.to_owned(), Yaml::List(channels.collect()))])
            }
            _ => None,
        }
    }

    fn read_answer(_: &Value, _: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        // Discord's response does not state whether the screen is shown.
        Ok(None)
    }
}

fn welcome_channel(channel: &WelcomeChannel) -> Yaml {
    let mut fields = vec![
        ("channel".to_owned(), link(&channel.channel, "channel.")),
        ("description".to_owned(), Yaml::text(&channel.description)),
    ];
    fields.extend(emoji(channel.emoji.as_ref()));
    Yaml::Map(fields)
}

/// The welcome screen as Discord sends it.
#[derive(Debug, Deserialize)]
struct WelcomeScreenObject {
    #[serde(deserialize_with = "nullable")]
    description: Option<String>,
    welcome_channels: Vec<WelcomeChannelObject>,
}

#[derive(Debug, Deserialize)]
struct WelcomeChannelObject {
    channel_id: Snowflake,
    description: String,
    #[serde(deserialize_with = "nullable")]
    emoji_id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    emoji_name: Option<String>,
}

/// Reads the screen. A server that never had one (`null`) has an empty one that is off.
fn read(value: &Value, server: ReadContext<'_>, notes: &mut ReadNotes) -> Result<Vec<LiveResource>, Unreadable> {
    let screen: Option<WelcomeScreenObject> = wire::read("GET /guilds/{id}/welcome-screen", value)?;
    let (description, sent) = screen.map_or_else(Default::default, |screen| {
        (screen.description.unwrap_or_default(), screen.welcome_channels)
    });
    let channels: Option<Vec<WelcomeChannel>> = sent
        .iter()
        .map(|channel| {
            let emoji = wire::used_emoji(channel.emoji_id, channel.emoji_name.as_deref())?;
            Some(WelcomeChannel {
                channel: Reference::Id(channel.channel_id),
                description: channel.description.clone(),
                emoji,
            })
        })
        .collect();
    let names = sent.iter().filter_map(|channel| channel.emoji_name.as_deref());
    let names = names.collect::<Vec<_>>().join(", ");
    let channels =
        UnknownValues::of(Kind::WelcomeScreen, server.guild, "", &mut notes.unknown).check("channels", channels, names);
    let attributes = WelcomeScreen {
        enabled: Some(server.features.contains("WELCOME_SCREEN_ENABLED")),
        description: Some(description),
        channels,
    };
    let attributes = Attributes::WelcomeScreen(attributes);
    Ok(vec![LiveResource::new(server.guild, attributes)])
}
