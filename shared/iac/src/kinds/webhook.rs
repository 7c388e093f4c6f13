//! Incoming webhooks. Followed channels and interactions of applications have webhooks too; those are not managed.

use arrakis_domain::Permission;
use serde::Deserialize;
use serde_json::{Value, json};

use super::definition::{
    Abilities, Bound, CheckedAt, Definition, Group, Limit, ListRequest, ReadContext, ReadNotes, Requirement, Resolve,
    Sent, Violation, Write,
};
use super::draft::{Draft, Section, attribute, image, present, resource_entry};
use super::{Attributes, LiveResource};
use crate::rules;
use crate::values::limits::{AVATAR_BYTES, MAX_WEBHOOKS};
use crate::values::{
    CHANNEL, Image, ImageAttribute, ImageFormat, Kind, Kinds, Overwrites, Reference, RulePart, Snowflake,
};
use crate::wire::{self, Integer, LiveImage, UnknownValues, Unreadable, nullable};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Limited, Link, List, Named, Text};
use crate::yaml::{KnownAddresses, Yaml};

attributes! {
    /// An incoming webhook. Its token is a secret and never part of a configuration or a state.
    pub struct Webhook {
        /// The name of the author of its messages, 1 to 80 characters, without `clyde` and `discord`.
        name: String,
        /// The channel of its messages.
        channel: Reference,
        /// The avatar beside its messages.
        avatar: Image,
    }
}

document! {
    /// An incoming webhook. Its token is never written anywhere.
    pub(crate) struct WebhookEntry {
        /// The name of the author of its messages; the logical name when absent.
        name: Limited<1, 80>,
        /// The channel of its messages.
        channel: Link,
        /// The avatar: a path of an image file, relative to this file.
        avatar: Text<1, 1024>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
    }
}

resource_entry!(WebhookEntry, flag);

impl Section for Named<WebhookEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (address, name, entry) in present(section, Kind::Webhook, names) {
            let own = &entry.value;
            let (shown, at) = match &own.name {
                Some(name) => (name.value.0.clone(), name.at),
                None => (name.value.clone(), name.at),
            };
            let lower = shown.to_lowercase();
            for word in RESERVED_NAMES.into_iter().filter(|word| lower.contains(word)) {
                let reason = format!("Discord refuses a webhook with the name `{word}`");
                reader.break_rule_of(at, &address, &attribute("name"), reason);
            }
            let channel = match &own.channel {
                Some(channel) => names.required(channel, Kind::Channel, reader),
                None => {
                    let reason = "the `channel` of the webhook is missing";
                    reader.break_rule_of(name.at, &address, &[RulePart::Creation], reason);
                    None
                }
            };
            let webhook = Webhook {
                name: Some(shown),
                channel,
                avatar: image(own.avatar.as_ref()),
            };
            draft.put(address, Attributes::Webhook(webhook), name.at);
        }
    }
}

impl Definition for Webhook {
    const IMAGE: Option<ImageAttribute> = Some(ImageAttribute {
        field: "avatar",
        formats: &[ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP],
        formats_text: "PNG, JPEG, GIF or WebP",
        max_bytes: AVATAR_BYTES,
        is_required: false,
        is_replaceable: true,
    });
    const LIST: Option<ListRequest> = Some(ListRequest {
        path: "webhooks",
        what: "webhooks",
        permission: "MANAGE_WEBHOOKS",
        is_nullable: false,
        read,
    });
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[("channel", "channel.")];
    const CONTAINER: Option<&'static str> = Some("channel");

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Webhook(own) => Some(own),
            _ => None,
        }
    }

    fn name(&self) -> Option<&String> {
        self.name.as_ref()
    }

    fn name_mut(&mut self) -> Option<&mut String> {
        self.name.as_mut()
    }

    fn stored_name(&self, name: &str) -> String {
        name.trim().to_owned()
    }

    fn image(&self) -> Option<&Image> {
        self.avatar.as_ref()
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        Some(&mut self.avatar)
    }

    fn defaults(&self) -> Self {
        Self::default()
    }

    fn references(&self) -> Vec<&Reference> {
        self.channel.iter().collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        if let Some(channel) = &mut self.channel {
            change(CHANNEL, channel);
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        !self.channel.as_ref().is_some_and(is_gone)
    }

    fn forces_replacement(&self, _: &Self) -> Option<&'static str> {
        None
    }

    fn is_same_place(&self, found: &Self, resolve: Resolve<'_>) -> bool {
        let (asked, there) = (self.channel.as_ref(), found.channel.as_ref());
        asked
            .is_none_or(|asked| there.is_some_and(|there| resolve(asked).is_some() && resolve(asked) == resolve(there)))
    }

    fn requirements(write: Write<'_, Self>) -> Vec<Requirement> {
        // The current channel and the new one.
        let channels = [write.before(), write.after()].map(|webhook| webhook?.channel.as_ref());
        let channels = channels.into_iter().flatten();
        channels
            .map(|channel| Requirement {
                permissions: vec![Permission::ManageWebhooks],
                at: CheckedAt::ReadableChannel(channel.clone()),
            })
            .collect()
    }

    fn limits(&self, resolve: Resolve<'_>) -> Vec<Limit> {
        let channel = self.channel.as_ref().and_then(resolve);
        channel
            .map(|channel| Limit {
                kind: Kind::Webhook,
                group: Group::Within(channel),
            })
            .into_iter()
            .collect()
    }

    fn bound(_: Group, _: u8) -> Bound {
        Bound {
            most: MAX_WEBHOOKS,
            what: "webhooks",
            rule: rules::WEBHOOKS_LIMIT,
            what_to_do: "put some of them into another channel",
        }
    }

    fn violations(&self, sent: Sent<'_>, _: &Abilities<'_>) -> Vec<Violation> {
        let name = self.name.as_deref().unwrap_or_default().to_lowercase();
        let reserved = RESERVED_NAMES.into_iter().find(|word| name.contains(word));
        let violation = reserved.filter(|_| sent.has("name")).map(|word| Violation {
            rule: rules::WEBHOOK_NAME,
            what: format!("the name of a webhook must not contain `{word}`: {{}}"),
            what_to_do: "give it another name".to_owned(),
        });
        violation.into_iter().collect()
    }

    fn written(&self, field: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            "avatar" => Some(vec![(field.to_owned(), Yaml::text(&self.avatar.as_ref()?.path))]),
            _ => None,
        }
    }

    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found = read(&json!([answer]), server, &mut ReadNotes::default())?;
        Ok(found.into_iter().next().map(|found| found.attributes))
    }
}

/// Words that Discord does not accept in the name of a webhook.
const RESERVED_NAMES: [&str; 2] = ["clyde", "discord"];

/// <https://discord.com/developers/docs/resources/webhook#webhook-object-webhook-types>
const INCOMING: Integer = 1;

const CALL: &str = "GET /guilds/{id}/webhooks";

/// An incoming webhook as Discord sends it.
#[derive(Debug, Deserialize)]
struct WebhookObject {
    id: Snowflake,
    #[serde(deserialize_with = "nullable")]
    channel_id: Option<Snowflake>,
    /// May be `null` by the reference, not by the OpenAPI document.
    #[serde(deserialize_with = "nullable")]
    name: Option<String>,
}

/// Reads the incoming webhooks. The others are noted as unreadable, by the value of their kind.
fn read(value: &Value, _: ReadContext<'_>, notes: &mut ReadNotes) -> Result<Vec<LiveResource>, Unreadable> {
    let heads: Vec<wire::Head> = wire::read(CALL, value)?;
    let mut incoming = Vec::new();
    for (index, head) in heads.into_iter().enumerate() {
        if head.kind != INCOMING {
            let name = head.name.unwrap_or_default();
            notes
                .unreadable
                .push(UnknownValues::of(Kind::Webhook, head.id, &name, &mut Vec::new()).value("kind", head.kind));
            continue;
        }
        let webhook: WebhookObject = wire::read_part(CALL, &format!("[{index}]"), value.get(index))?;
        let attributes = Webhook {
            name: Some(webhook.name.unwrap_or_default()),
            channel: webhook.channel_id.map(Reference::Id),
            avatar: None,
        };
        incoming.push(LiveResource::new(webhook.id, Attributes::Webhook(attributes)));
    }
    notes.images.extend(images(value));
    Ok(incoming)
}

/// Avatars of webhooks of any kind.
fn images(value: &Value) -> Vec<((Kind, Snowflake), LiveImage)> {
    let webhooks = value.as_array().into_iter().flatten();
    let images = webhooks.filter_map(|webhook| {
        let id = webhook["id"].as_str()?.parse().ok()?;
        let image = LiveImage::by_hash("avatars", id, webhook["avatar"].as_str()?)?;
        Some(((Kind::Webhook, id), image))
    });
    images.collect()
}
