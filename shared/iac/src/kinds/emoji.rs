//! Emoji of the server's own.

use arrakis_domain::Permission;
use serde::Deserialize;
use serde_json::Value;

use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, Requirement, Resolve, Sent, Violation, Write,
};
use super::draft::{Draft, Section, attribute, image, present, resource_entry};
use super::{Attributes, LiveResource};
use crate::rules;
use crate::values::limits::{EMOJI_BY_LEVEL, EMOJI_BYTES};
use crate::values::{Image, ImageAttribute, ImageFormat, Kind, Kinds, Overwrites, ROLE, Reference, Snowflake};
use crate::wire::{self, LiveImage, Unreadable};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Limited, Link, List, Named, Text};
use crate::yaml::{KnownAddresses, Yaml};

attributes! {
    /// An emoji of the server. Discord cannot change its image: another image is a replacement.
    pub struct Emoji {
        /// Name, 2 to 32 letters, digits and underscores.
        name: String,
        /// PNG, JPEG, GIF, WebP or AVIF, at most 256 KiB.
        image: Image,
        /// Roles that can use it; empty for all members.
        roles: Vec<Reference>,
    }
}

document! {
    /// An emoji of the server.
    pub(crate) struct EmojiEntry {
        /// Its name, 2 to 32 letters, digits and `_`; the logical name with `_` for `-` when absent.
        name: Limited<2, 32>,
        /// The image file: a path relative to this file.
        image: Text<1, 1024>,
        /// Roles that can use it; absent for all members.
        roles: List<Link>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
    }
}

resource_entry!(EmojiEntry, flag);

impl Section for Named<EmojiEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (address, name, entry) in present(section, Kind::Emoji, names) {
            let own = &entry.value;
            let (shown, at) = match &own.name {
                Some(name) => (name.value.0.clone(), name.at),
                None => (name.value.replace('-', "_"), name.at),
            };
            if shown.len() < 2 || !shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                reader.break_rule_of(
                    at,
                    &address,
                    &attribute("name"),
                    format!("`{shown}` is not the name of an emoji: 2 to 32 letters, digits and `_`"),
                );
            }
            let emoji = Emoji {
                name: Some(shown),
                image: image(own.image.as_ref()),
                roles: own.roles.as_ref().map(|roles| {
                    reader.with_subject(&address, &attribute("roles"), |reader| {
                        names.links(&roles.value.0, &[Kind::Role], reader)
                    })
                }),
            };
            draft.put(address, Attributes::Emoji(emoji), name.at);
        }
    }
}

impl Definition for Emoji {
    const IMAGE: Option<ImageAttribute> = Some(ImageAttribute {
        field: "image",
        formats: &[
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::Gif,
            ImageFormat::WebP,
            ImageFormat::Avif,
        ],
        formats_text: "PNG, JPEG, GIF, WebP or AVIF",
        max_bytes: EMOJI_BYTES,
        is_required: true,
        is_replaceable: false,
    });
    const LIST: Option<ListRequest> = None;
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[("roles", "role.")];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Emoji(own) => Some(own),
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
        self.image.as_ref()
    }

    fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        Some(&mut self.image)
    }

    fn defaults(&self) -> Self {
        Self {
            roles: Some(Vec::new()),
            ..Self::default()
        }
    }

    fn references(&self) -> Vec<&Reference> {
        self.roles.iter().flatten().collect()
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        for role in self.roles.iter_mut().flatten() {
            change(ROLE, role);
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        if let Some(roles) = &mut self.roles {
            roles.retain(|role| !is_gone(role));
        }
        true
    }

    fn forces_replacement(&self, after: &Self) -> Option<&'static str> {
        Image::differs(self.image.as_ref(), after.image.as_ref()).then_some("image")
    }

    fn is_same_place(&self, _: &Self, _: Resolve<'_>) -> bool {
        true
    }

    fn requirements(write: Write<'_, Self>) -> Vec<Requirement> {
        Requirement::on_server(&[match write {
            Write::Create(_) => Permission::CreateGuildExpressions,
            Write::Update { .. } | Write::Delete { .. } => Permission::ManageGuildExpressions,
        }])
    }

    fn limits(&self, _: Resolve<'_>) -> Vec<Limit> {
        vec![Limit {
            kind: Kind::Emoji,
            group: Group::Animated(self.image.as_ref().is_some_and(Image::is_gif)),
        }]
    }

    fn bound(group: Group, boost_level: u8) -> Bound {
        Bound {
            most: EMOJI_BY_LEVEL[usize::from(boost_level).min(3)],
            what: match group {
                Group::Animated(true) => "animated emoji",
                _ => "emoji that are not animated",
            },
            rule: rules::EMOJI_LIMIT,
            what_to_do: "remove emoji from the server or from the configuration, or boost the server",
        }
    }

    fn violations(&self, _: Sent<'_>, _: &Abilities<'_>) -> Vec<Violation> {
        Vec::new()
    }

    fn written(&self, field: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            "image" => Some(vec![(field.to_owned(), Yaml::text(&self.image.as_ref()?.path))]),
            _ => None,
        }
    }

    fn read_answer(answer: &Value, _: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found: EmojiObject = wire::read("PATCH /guilds/{id}/emojis/{emoji}", answer)?;
        Ok(Some(found.resource().attributes))
    }
}

/// An emoji as Discord sends it.
#[derive(Debug, Deserialize)]
pub(crate) struct EmojiObject {
    pub(crate) id: Snowflake,
    pub(crate) name: String,
    /// Required by the OpenAPI document, as is `managed`; optional in the reference.
    pub(crate) roles: Option<Vec<Snowflake>>,
    pub(crate) managed: Option<bool>,
    pub(crate) animated: Option<bool>,
}

impl EmojiObject {
    pub(crate) fn resource(&self) -> LiveResource {
        let attributes = Emoji {
            name: Some(self.name.clone()),
            image: None,
            roles: Some(self.roles.iter().flatten().copied().map(Reference::Id).collect()),
        };
        LiveResource {
            managed: self.managed.unwrap_or(false),
            ..LiveResource::new(self.id, Attributes::Emoji(attributes))
        }
    }

    pub(crate) fn is_animated(&self) -> bool {
        self.animated == Some(true)
    }

    /// Where the image is.
    pub(crate) fn live_image(&self) -> LiveImage {
        let extension = if self.is_animated() { "gif" } else { "png" };
        LiveImage {
            path: format!("/emojis/{}.{extension}", self.id),
            extension,
        }
    }
}
