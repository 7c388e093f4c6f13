//! Stickers of the server's own.

use arrakis_domain::Permission;
use serde::Deserialize;
use serde_json::Value;

use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, Requirement, Resolve, Sent, Violation, Write,
};
use super::draft::{Draft, Section, attribute, image, present, resource_entry};
use super::{Attributes, LiveResource};
use crate::rules;
use crate::values::limits::{STICKER_BYTES, STICKER_DESCRIPTION, STICKERS_BY_LEVEL};
use crate::values::{Image, ImageAttribute, ImageFormat, Kind, Kinds, Overwrites, Reference, RulePart, Snowflake};
use crate::wire::{self, LiveImage, Unreadable, nullable};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{Limited, List, Named, Text};
use crate::yaml::{KnownAddresses, Yaml};

attributes! {
    /// A sticker of the server. Discord cannot change its image: another image is a replacement.
    pub struct Sticker {
        /// Name, 2 to 30 characters.
        name: String,
        /// The description for screen readers; empty, or 2 to 100 characters.
        description: String,
        /// The name of a related Unicode emoji.
        tags: String,
        /// PNG, APNG, GIF or Lottie, at most 512 KiB.
        image: Image,
    }
}

document! {
    /// A sticker of the server.
    pub(crate) struct StickerEntry {
        /// Its name; the logical name when absent.
        name: Limited<2, 30>,
        /// The description for screen readers; empty, or 2 to 100 characters.
        description: Limited<0, 100>,
        /// The name of a related Unicode emoji.
        tags: Limited<1, 200>,
        /// The image file: a path relative to this file.
        image: Text<1, 1024>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
        /// The flag that removes it from the configuration while the flag is off.
        flag: Text<1, 50>,
    }
}

resource_entry!(StickerEntry, flag);

impl Section for Named<StickerEntry> {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        for (address, name, entry) in present(section, Kind::Sticker, names) {
            let own = &entry.value;
            if let Some(description) = &own.description {
                let length = description.value.0.chars().count();
                if length > 0 && length < *STICKER_DESCRIPTION.start() {
                    let reason = format!(
                        "a sticker's description is empty or has at least {} characters",
                        STICKER_DESCRIPTION.start()
                    );
                    reader.break_rule_of(description.at, &address, &attribute("description"), reason);
                }
            }
            let sticker = Sticker {
                name: Some(
                    own.name
                        .as_ref()
                        .map_or_else(|| name.value.clone(), |name| name.value.0.clone()),
                ),
                description: own.description.as_ref().map(|description| description.value.0.clone()),
                tags: own.tags.as_ref().map(|tags| tags.value.0.clone()),
                image: image(own.image.as_ref()),
            };
            if sticker.tags.is_none() {
                reader.break_rule_of(
                    name.at,
                    &address,
                    &[RulePart::Creation],
                    "`tags`, the name of a related Unicode emoji, is missing",
                );
            }
            draft.put(address, Attributes::Sticker(sticker), name.at);
        }
    }
}

impl Definition for Sticker {
    const IMAGE: Option<ImageAttribute> = Some(ImageAttribute {
        field: "image",
        formats: &[ImageFormat::Png, ImageFormat::Gif, ImageFormat::Lottie],
        formats_text: "PNG, APNG, GIF or Lottie",
        max_bytes: STICKER_BYTES,
        is_required: true,
        is_replaceable: false,
    });
    const LIST: Option<ListRequest> = None;
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Sticker(own) => Some(own),
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
            description: Some(String::new()),
            ..Self::default()
        }
    }

    fn references(&self) -> Vec<&Reference> {
        Vec::new()
    }

    fn map_references(&mut self, _: &mut dyn FnMut(Kinds, &mut Reference)) {}

    fn remove_references(&mut self, _: &dyn Fn(&Reference) -> bool) -> bool {
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
        vec![Limit::all(Kind::Sticker)]
    }

    fn bound(_: Group, boost_level: u8) -> Bound {
        Bound {
            most: STICKERS_BY_LEVEL[usize::from(boost_level).min(3)],
            what: "stickers",
            rule: rules::STICKERS_LIMIT,
            what_to_do: "remove stickers from the server or from the configuration, or boost the server",
        }
    }

    fn violations(&self, sent: Sent<'_>, server: &Abilities<'_>) -> Vec<Violation> {
        let is_lottie = self.image.as_ref().is_some_and(Image::is_json);
        let has_lottie = server.features.contains("VERIFIED") || server.features.contains("PARTNERED");
        let violation = Violation {
            rule: rules::STICKER_LOTTIE,
            what: "only verified and partnered servers have Lottie stickers: {}".to_owned(),
            what_to_do: "use a PNG, APNG or GIF file as the image, or remove the sticker from the configuration"
                .to_owned(),
        };
        let is_violated = sent.is_creation() && is_lottie && !has_lottie;
        is_violated.then_some(violation).into_iter().collect()
    }

    fn written(&self, field: &str, _: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        match field {
            "image" => Some(vec![(field.to_owned(), Yaml::text(&self.image.as_ref()?.path))]),
            _ => None,
        }
    }

    fn read_answer(answer: &Value, _: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found: StickerObject = wire::read("PATCH /guilds/{id}/stickers/{sticker}", answer)?;
        Ok(Some(found.resource().attributes))
    }
}

/// A sticker as Discord sends it.
#[derive(Debug, Deserialize)]
pub(crate) struct StickerObject {
    pub(crate) id: Snowflake,
    pub(crate) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(crate) description: Option<String>,
    pub(crate) tags: String,
    /// Only for its image.
    #[serde(default)]
    pub(crate) format_type: Value,
}

impl StickerObject {
    pub(crate) fn resource(&self) -> LiveResource {
        let attributes = Sticker {
            name: Some(self.name.clone()),
            description: Some(self.description.clone().unwrap_or_default()),
            tags: Some(self.tags.clone()),
            image: None,
        };
        LiveResource::new(self.id, Attributes::Sticker(attributes))
    }

    /// Where the image is; `None` for a format that this version does not support.
    /// <https://discord.com/developers/docs/resources/sticker#sticker-object-sticker-format-types>
    pub(crate) fn live_image(&self) -> Option<LiveImage> {
        let extension = match self.format_type.as_i64()? {
            1 | 2 => "png",
            3 => "json",
            4 => "gif",
            _ => return None,
        };
        Some(LiveImage {
            path: format!("/stickers/{}.{extension}", self.id),
            extension,
        })
    }
}
