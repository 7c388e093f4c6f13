//! The onboarding of new members of a community server.

use arrakis_domain::Permission;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::{
    Abilities, Bound, Definition, Group, Limit, ListRequest, ReadContext, ReadNotes, Requirement, Resolve, Sent,
    Violation, Write,
};
use super::draft::{Draft, Section, attribute, resource_entry};
use super::{Attributes, LiveResource};
use crate::values::limits::{ONBOARDING_OPTIONS, ONBOARDING_PROMPTS};
use crate::values::{
    Address, CHANNEL_OR_CATEGORY, EMOJI, EmojiReference, Image, ImageAttribute, Kind, Kinds, Overwrites, ROLE,
    Reference, Snowflake,
};
use crate::wire::{self, Integer, UnknownValues, Unreadable, nullable, number};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{EmojiLink, Limited, Link, List, Pick, Text, Truth};
use crate::yaml::{KnownAddresses, Yaml, emoji, link};

choices! {
    /// Which channels count towards the seven that onboarding must show.
    pub enum OnboardingMode {
        /// Only the default channels.
        Default "default" = 0,
        /// The default channels and those of options.
        Advanced "advanced" = 1,
    }
}

choices! {
    /// The form of a question.
    pub enum PromptKind {
        /// Buttons.
        MultipleChoice "multiple_choice" = 0,
        /// A dropdown list.
        Dropdown "dropdown" = 1,
    }
}

/// An option of a question. Its title identifies it within the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnboardingOption {
    /// The title.
    pub title: String,
    /// The description; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The emoji before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<EmojiReference>,
    /// Roles that it assigns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Reference>,
    /// Channels that it shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Reference>,
}

/// A question to new members. Its title identifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnboardingPrompt {
    /// The question.
    pub title: String,
    /// The form of the question.
    pub kind: PromptKind,
    /// Whether at most one option can be selected.
    #[serde(default)]
    pub single_select: bool,
    /// Whether an option is required.
    #[serde(default)]
    pub required: bool,
    /// Whether the question is part of the onboarding; otherwise it is only in "Channels & Roles".
    #[serde(default)]
    pub in_onboarding: bool,
    /// The options.
    pub options: Vec<OnboardingOption>,
}

attributes! {
    /// The onboarding of new members.
    pub struct Onboarding {
        /// Whether it is enabled.
        enabled: bool,
        /// Which channels count towards those that it must show.
        mode: OnboardingMode,
        /// Channels that every new member has.
        default_channels: Vec<Reference>,
        /// The questions.
        prompts: Vec<OnboardingPrompt>,
    }
}

document! {
    /// The onboarding of new members of a community server.
    pub(crate) struct OnboardingEntry {
        /// Whether it is enabled.
        enabled: Truth,
        /// Which channels count towards those that it must show.
        mode: Pick<OnboardingMode>,
        /// Channels that every new member has.
        default_channels: List<Link>,
        /// The questions.
        prompts: List<PromptEntry>,
        /// Attributes that are not managed, also where `defaults` or a theme contain them.
        unmanaged: List<Text<1, 50>>,
    }
}

document! {
    /// A question to new members.
    pub(crate) struct PromptEntry {
        /// The question.
        title: Limited<1, 100>,
        /// The form of the question; `multiple_choice` when absent.
        kind: Pick<PromptKind>,
        /// Whether at most one option can be selected.
        single_select: Truth,
        /// Whether an option is required.
        required: Truth,
        /// Whether the question is part of the onboarding; otherwise it is only in "Channels & Roles".
        in_onboarding: Truth,
        /// The options.
        options: List<OptionEntry>,
    }
}

document! {
    /// An option, which assigns roles or shows channels.
    pub(crate) struct OptionEntry {
        /// The title.
        title: Limited<1, 50>,
        /// The description.
        description: Limited<0, 100>,
        /// The emoji before it.
        emoji: EmojiLink,
        /// Roles that it assigns.
        roles: List<Link>,
        /// Channels that it shows.
        channels: List<Link>,
    }
}

resource_entry!(OnboardingEntry);

impl Section for OnboardingEntry {
    fn build(section: &At<Self>, names: &KnownAddresses, draft: &mut Draft, reader: &mut Reader<'_>) {
        let onboarding = onboarding(&section.value, names, reader);
        draft.put(Address::ONBOARDING, Attributes::Onboarding(onboarding), section.at);
    }
}

fn onboarding(entry: &OnboardingEntry, names: &KnownAddresses, reader: &mut Reader<'_>) -> Onboarding {
    let prompts = entry.prompts.as_ref().map(|list| {
        reader.with_subject(&Address::ONBOARDING, &attribute("prompts"), |reader| {
            prompts(&list.value, names, reader)
        })
    });
    Onboarding {
        enabled: entry.enabled.as_ref().map(|enabled| enabled.value.0),
        mode: entry.mode.as_ref().map(|mode| mode.value.0),
        default_channels: entry.default_channels.as_ref().map(|list| {
            reader.with_subject(&Address::ONBOARDING, &attribute("default_channels"), |reader| {
                names.links(&list.value.0, CHANNEL_OR_CATEGORY, reader)
            })
        }),
        prompts,
    }
}

fn prompts(list: &List<PromptEntry>, names: &KnownAddresses, reader: &mut Reader<'_>) -> Vec<OnboardingPrompt> {
    if let Some(over) = list.0.get(ONBOARDING_PROMPTS) {
        reader.break_rule(
            over.at,
            format!("more than {ONBOARDING_PROMPTS} questions; onboarding has no more"),
        );
    }
    let mut read: Vec<OnboardingPrompt> = Vec::new();
    for own in &list.0 {
        let Some(prompt) = prompt(own, names, reader) else {
            continue;
        };
        if read.iter().any(|before| before.title == prompt.title) {
            reader.break_rule(own.at, format!("the question `{}` occurs twice", prompt.title));
        }
        read.push(prompt);
    }
    read
}

fn prompt(entry: &At<PromptEntry>, names: &KnownAddresses, reader: &mut Reader<'_>) -> Option<OnboardingPrompt> {
    let own = &entry.value;
    let Some(title) = &own.title else {
        reader.refuse(entry.at, "the question's `title` is missing");
        return None;
    };
    let written = own.options.as_ref().map_or(0, |options| options.value.0.len());
    if !ONBOARDING_OPTIONS.contains(&written) {
        reader.break_rule(
            entry.at,
            format!(
                "a question has 1 to {} answers; this one has {written}",
                ONBOARDING_OPTIONS.end()
            ),
        );
    }
    let mut options: Vec<OnboardingOption> = Vec::new();
    for option in own.options.iter().flat_map(|options| &options.value.0) {
        let one = &option.value;
        let Some(title) = &one.title else {
            reader.refuse(option.at, "the answer's `title` is missing");
            continue;
        };
        if options.iter().any(|before| before.title == title.value.0) {
            reader.break_rule(title.at, format!("the answer `{}` occurs twice", title.value.0));
        }
        if one.roles.is_none() && one.channels.is_none() {
            reader.break_rule(
                option.at,
                "an answer gives `roles` or shows `channels`; this one does neither",
            );
        }
        let mut links = |list: Option<&At<List<_>>>, kinds| {
            list.map(|list| names.links(&list.value.0, kinds, reader))
                .unwrap_or_default()
        };
        let (roles, channels) = (
            links(one.roles.as_ref(), &[Kind::Role][..]),
            links(one.channels.as_ref(), CHANNEL_OR_CATEGORY),
        );
        options.push(OnboardingOption {
            title: title.value.0.clone(),
            description: one
                .description
                .as_ref()
                .map(|description| description.value.0.clone())
                .unwrap_or_default(),
            emoji: one.emoji.as_ref().and_then(|emoji| names.emoji(emoji, reader)),
            roles,
            channels,
        });
    }
    let yes = |truth: Option<&At<Truth>>| truth.is_some_and(|truth| truth.value.0);
    Some(OnboardingPrompt {
        title: title.value.0.clone(),
        kind: own
            .kind
            .as_ref()
            .map_or(PromptKind::MultipleChoice, |kind| kind.value.0),
        single_select: yes(own.single_select.as_ref()),
        required: yes(own.required.as_ref()),
        in_onboarding: yes(own.in_onboarding.as_ref()),
        options,
    })
}

impl Definition for Onboarding {
    const IMAGE: Option<ImageAttribute> = None;
    const LIST: Option<ListRequest> = Some(ListRequest {
        path: "onboarding",
        what: "onboarding",
        permission: "MANAGE_GUILD",
        is_nullable: false,
        read,
    });
    const SHORT_REFERENCES: &'static [(&'static str, &'static str)] = &[("default_channels", "channel.")];
    const CONTAINER: Option<&'static str> = None;

    fn of(attributes: &Attributes) -> Option<&Self> {
        match attributes {
            Attributes::Onboarding(own) => Some(own),
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
            mode: Some(OnboardingMode::Default),
            default_channels: Some(Vec::new()),
            prompts: Some(Vec::new()),
        }
    }

    fn references(&self) -> Vec<&Reference> {
        let mut found: Vec<&Reference> = self.default_channels.iter().flatten().collect();
        for option in self.prompts.iter().flatten().flat_map(|prompt| &prompt.options) {
            found.extend(option.roles.iter().chain(&option.channels));
            found.extend(option.emoji.as_ref().and_then(EmojiReference::custom));
        }
        found
    }

    fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        let channels = self.default_channels.iter_mut().flatten();
        channels.for_each(|channel| change(CHANNEL_OR_CATEGORY, channel));
        let prompts = self.prompts.iter_mut().flatten();
        for option in prompts.flat_map(|prompt| &mut prompt.options) {
            option.roles.iter_mut().for_each(|role| change(ROLE, role));
            let channels = option.channels.iter_mut();
            channels.for_each(|channel| change(CHANNEL_OR_CATEGORY, channel));
            if let Some(emoji) = option.emoji.as_mut().and_then(EmojiReference::custom_mut) {
                change(EMOJI, emoji);
            }
        }
    }

    fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        if let Some(channels) = &mut self.default_channels {
            channels.retain(|channel| !is_gone(channel));
        }
        for prompt in self.prompts.iter_mut().flatten() {
            for option in &mut prompt.options {
                option.roles.retain(|role| !is_gone(role));
                option.channels.retain(|channel| !is_gone(channel));
                option.emoji.take_if(|emoji| emoji.custom().is_some_and(is_gone));
            }
            // Discord requires a role or a channel for each option.
            prompt
                .options
                .retain(|option| !option.roles.is_empty() || !option.channels.is_empty());
        }
        if let Some(prompts) = &mut self.prompts {
            prompts.retain(|prompt| !prompt.options.is_empty());
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
        Requirement::on_server(&[Permission::ManageGuild, Permission::ManageRoles])
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
            "prompts" => {
                let prompts = self.prompts.iter().flatten().map(written_prompt);
                Some(vec![(field.to_owned(), Yaml::List(prompts.collect()))])
            }
            _ => None,
        }
    }

    fn read_answer(answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        let found = read(answer, server, &mut ReadNotes::default())?;
        Ok(found.into_iter().next().map(|found| found.attributes))
    }
}

fn written_prompt(prompt: &OnboardingPrompt) -> Yaml {
    let truths = [
        ("single_select", prompt.single_select),
        ("required", prompt.required),
        ("in_onboarding", prompt.in_onboarding),
    ];
    let mut fields = vec![
        ("title".to_owned(), Yaml::text(&prompt.title)),
        ("kind".to_owned(), Yaml::text(prompt.kind.name())),
    ];
    let truths = truths.into_iter().filter(|(_, truth)| *truth);
    fields.extend(truths.map(|(word, _)| (word.to_owned(), Yaml::Plain("true".to_owned()))));
    fields.push((
        "options".to_owned(),
        Yaml::List(prompt.options.iter().map(written_option).collect()),
    ));
    Yaml::Map(fields)
}

fn written_option(option: &OnboardingOption) -> Yaml {
    let mut fields = vec![("title".to_owned(), Yaml::text(&option.title))];
    if !option.description.is_empty() {
        fields.push(("description".to_owned(), Yaml::text(&option.description)));
    }
    fields.extend(emoji(option.emoji.as_ref()));
    let links = |links: &[Reference], prefix| Yaml::List(links.iter().map(|one| link(one, prefix)).collect());
    // One of them is required, even if the referenced resource was deleted.
    if !option.roles.is_empty() || option.channels.is_empty() {
        fields.push(("roles".to_owned(), links(&option.roles, "role.")));
    }
    if !option.channels.is_empty() {
        fields.push(("channels".to_owned(), links(&option.channels, "channel.")));
    }
    Yaml::Map(fields)
}

/// The onboarding as Discord sends it.
#[derive(Debug, Deserialize)]
struct OnboardingObject {
    enabled: bool,
    mode: Integer,
    default_channel_ids: Vec<Snowflake>,
    prompts: Vec<PromptObject>,
}

#[derive(Debug, Deserialize)]
struct PromptObject {
    title: String,
    #[serde(rename = "type")]
    kind: Integer,
    single_select: bool,
    required: bool,
    in_onboarding: bool,
    options: Vec<OptionObject>,
}

#[derive(Debug, Deserialize)]
struct OptionObject {
    title: String,
    /// May be `null` by the reference, not by the OpenAPI document.
    #[serde(deserialize_with = "nullable")]
    description: Option<String>,
    /// Required by the OpenAPI document; optional in the reference for an option without an emoji.
    emoji: Option<OptionEmojiObject>,
    role_ids: Vec<Snowflake>,
    channel_ids: Vec<Snowflake>,
}

#[derive(Debug, Deserialize)]
struct OptionEmojiObject {
    #[serde(deserialize_with = "nullable")]
    id: Option<Snowflake>,
    #[serde(deserialize_with = "nullable")]
    name: Option<String>,
}

fn read(value: &Value, server: ReadContext<'_>, notes: &mut ReadNotes) -> Result<Vec<LiveResource>, Unreadable> {
    let sent: OnboardingObject = wire::read("GET /guilds/{id}/onboarding", value)?;
    let mut unknown = UnknownValues::of(Kind::Onboarding, server.guild, "", &mut notes.unknown);
    let kinds: Vec<String> = sent.prompts.iter().map(|prompt| prompt.kind.to_string()).collect();
    let prompts: Option<Vec<OnboardingPrompt>> = sent.prompts.into_iter().map(live_prompt).collect();
    let attributes = Onboarding {
        enabled: Some(sent.enabled),
        mode: unknown.check(
            "mode",
            number(sent.mode, OnboardingMode::from_discord_number),
            sent.mode,
        ),
        default_channels: Some(sent.default_channel_ids.into_iter().map(Reference::Id).collect()),
        prompts: unknown.check("prompts", prompts, kinds.join(", ")),
    };
    let attributes = Attributes::Onboarding(attributes);
    Ok(vec![LiveResource::new(server.guild, attributes)])
}

fn live_prompt(prompt: PromptObject) -> Option<OnboardingPrompt> {
    Some(OnboardingPrompt {
        title: prompt.title,
        kind: number(prompt.kind, PromptKind::from_discord_number)?,
        single_select: prompt.single_select,
        required: prompt.required,
        in_onboarding: prompt.in_onboarding,
        options: prompt.options.into_iter().map(live_option).collect::<Option<_>>()?,
    })
}

fn live_option(answer: OptionObject) -> Option<OnboardingOption> {
    let emoji = match &answer.emoji {
        Some(emoji) => wire::used_emoji(emoji.id, emoji.name.as_deref())?,
        None => None,
    };
    Some(OnboardingOption {
        title: answer.title,
        description: answer.description.unwrap_or_default(),
        emoji,
        roles: answer.role_ids.into_iter().map(Reference::Id).collect(),
        channels: answer.channel_ids.into_iter().map(Reference::Id).collect(),
    })
}
