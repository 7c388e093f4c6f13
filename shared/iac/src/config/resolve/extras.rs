//! Emoji, stickers, webhooks, scheduled events, welcome screen and onboarding.

use super::names::entries;
use super::{Draft, Names, present};
use crate::config::document::{EventEntry, OnboardingEntry, PromptEntry, ServerFile, WelcomeEntry};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{List, Text};
use crate::yaml::tree::Mark;
use crate::model::limits::{
    MOST_EVENTS, ONBOARDING_OPTIONS, ONBOARDING_PROMPTS, STICKER_DESCRIPTION, WELCOME_CHANNELS,
};
use crate::model::{
    Address, Attributes, Clearable, Emoji, Event, EventPlace, Image, Kind, Onboarding, OnboardingOption,
    OnboardingPrompt, Part, PromptKind, Sticker, Timestamp, Webhook, WelcomeChannel, WelcomeScreen,
};

pub(super) fn build(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    emoji(document, names, draft, reader);
    stickers(document, names, draft, reader);
    webhooks(document, names, draft, reader);
    if let Some(entry) = &document.welcome_screen {
        let screen = welcome_screen(&entry.value, names, reader);
        draft.put(Address::WELCOME_SCREEN, Attributes::WelcomeScreen(screen), entry.at);
    }
    if let Some(entry) = &document.onboarding {
        let onboarding = onboarding(&entry.value, names, reader);
        draft.put(Address::ONBOARDING, Attributes::Onboarding(onboarding), entry.at);
    }
    let events = entries(document.events.as_ref());
    for (index, (name, entry)) in events.iter().enumerate() {
        if let Some(address) = present(Kind::Event, name, names) {
            if index >= MOST_EVENTS {
                let reason = format!("more than {MOST_EVENTS} scheduled events; a server has no more");
                reader.break_rule_of(name.at, &address, &[Part::Creation], reason);
            }
            let event = event(&address, name, entry, names, reader);
            draft.put(address, Attributes::Event(event), name.at);
        }
    }
}

/// Pictures are read by whoever carries the plan out; here it is a path.
fn image(path: Option<&At<Text<1, 1024>>>) -> Option<Image> {
    path.map(|path| Image {
        path: path.value.0.clone(),
        sha256: None,
    })
}

fn emoji(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    for (name, entry) in entries(document.emoji.as_ref()) {
        let Some(address) = present(Kind::Emoji, name, names) else {
            continue;
        };
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
                format!("`{shown}` is no name of an emoji: 2 to 32 letters, digits and `_`"),
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

fn stickers(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    for (name, entry) in entries(document.stickers.as_ref()) {
        let Some(address) = present(Kind::Sticker, name, names) else {
            continue;
        };
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
                &[Part::Creation],
                "the emoji that the sticker goes with is missing; write its name under `tags`",
            );
        }
        draft.put(address, Attributes::Sticker(sticker), name.at);
    }
}

fn webhooks(document: &ServerFile, names: &Names, draft: &mut Draft, reader: &mut Reader<'_>) {
    for (name, entry) in entries(document.webhooks.as_ref()) {
        let Some(address) = present(Kind::Webhook, name, names) else {
            continue;
        };
        let own = &entry.value;
        let (shown, at) = match &own.name {
            Some(name) => (name.value.0.clone(), name.at),
            None => (name.value.clone(), name.at),
        };
        let lower = shown.to_lowercase();
        for word in ["clyde", "discord"].into_iter().filter(|word| lower.contains(word)) {
            let reason = format!("Discord lets no webhook be called `{word}`");
            reader.break_rule_of(at, &address, &attribute("name"), reason);
        }
        let channel = match &own.channel {
            Some(channel) => names.needed(channel, Kind::Channel, reader),
            None => {
                let reason = "the `channel` that the webhook writes to is missing";
                reader.break_rule_of(name.at, &address, &[Part::Creation], reason);
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

fn welcome_screen(entry: &WelcomeEntry, names: &Names, reader: &mut Reader<'_>) -> WelcomeScreen {
    let channels = entry.channels.as_ref().map(|channels| {
        if let Some(over) = channels.value.0.get(WELCOME_CHANNELS) {
            reader.break_rule_of(
                over.at,
                &Address::WELCOME_SCREEN,
                &attribute("channels"),
                format!("more than {WELCOME_CHANNELS} channels; the welcome screen has room for no more"),
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

fn onboarding(entry: &OnboardingEntry, names: &Names, reader: &mut Reader<'_>) -> Onboarding {
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

fn prompts(list: &List<PromptEntry>, names: &Names, reader: &mut Reader<'_>) -> Vec<OnboardingPrompt> {
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
            reader.break_rule(own.at, format!("the question `{}` is there twice", prompt.title));
        }
        read.push(prompt);
    }
    read
}

fn prompt(entry: &At<PromptEntry>, names: &Names, reader: &mut Reader<'_>) -> Option<OnboardingPrompt> {
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
            reader.break_rule(title.at, format!("the answer `{}` is there twice", title.value.0));
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
    let yes = |truth: Option<&At<crate::yaml::scalar::Truth>>| truth.is_some_and(|truth| truth.value.0);
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

fn event(
    address: &Address,
    name: &At<String>,
    entry: &At<EventEntry>,
    names: &Names,
    reader: &mut Reader<'_>,
) -> Event {
    let own = &entry.value;
    let mut time = |text: &str, at: Mark| {
        let time = text.parse::<Timestamp>();
        time.map_err(|error| reader.refuse(at, error.to_string())).ok()
    };
    let start = own.start.as_ref().and_then(|text| time(&text.value.0, text.at));
    let end = own.end.as_ref().and_then(|text| match &text.value.0 {
        Clearable::Cleared => Some(Clearable::Cleared),
        Clearable::Set(written) => time(&written.0, text.at).map(Clearable::Set),
    });
    let places = [own.stage.is_some(), own.voice.is_some(), own.location.is_some()];
    let places = places.into_iter().filter(|given| *given).count();
    if places > 1 {
        reader.refuse(
            name.at,
            "an event takes place on a `stage`, in a `voice` channel or at a `location`: one of them",
        );
    }
    let place = match (&own.stage, &own.voice, &own.location) {
        (Some(stage), _, _) => names.needed(stage, Kind::Channel, reader).map(EventPlace::Stage),
        (_, Some(voice), _) => names.needed(voice, Kind::Channel, reader).map(EventPlace::Voice),
        (_, _, Some(location)) => Some(EventPlace::External(location.value.0.clone())),
        _ => None,
    };
    check_event(address, name.at, own, (start, end), reader);
    Event {
        name: Some(
            own.name
                .as_ref()
                .map_or_else(|| name.value.clone(), |name| name.value.0.clone()),
        ),
        description: own.description.as_ref().map(|description| description.value.0.clone()),
        start,
        end,
        place,
        image: image(own.image.as_ref()),
    }
}

/// What Discord wants of an event.
fn check_event(
    address: &Address,
    at: Mark,
    own: &EventEntry,
    (start, end): (Option<Timestamp>, Option<Clearable<Timestamp>>),
    reader: &mut Reader<'_>,
) {
    let creation = [Part::Creation];
    if own.start.is_none() {
        let reason = "when the event begins is missing; write `start: 2026-12-24T18:00:00Z`";
        reader.break_rule_of(at, address, &creation, reason);
    }
    if own.stage.is_none() && own.voice.is_none() && own.location.is_none() {
        let reason = "an event takes place on a `stage`, in a `voice` channel or at a `location`: one of them";
        reader.break_rule_of(at, address, &creation, reason);
    }
    if let (Some(start), Some(Clearable::Set(end)), Some(written)) = (start, end, &own.end)
        && end <= start
    {
        let parts = ["start", "end"].map(|field| Part::Attribute(field.to_owned()));
        reader.break_rule_of(written.at, address, &parts, "the event ends before it begins");
    }
    if let Some(location) = &own.location
        && !matches!(end, Some(Clearable::Set(_)))
    {
        let parts = ["place", "end"].map(|field| Part::Attribute(field.to_owned()));
        reader.break_rule_of(location.at, address, &parts, "an event outside Discord needs an `end`");
    }
}

fn attribute(name: &str) -> [Part; 1] {
    [Part::Attribute(name.to_owned())]
}

const CHANNEL_OR_CATEGORY: &[Kind] = &[Kind::Channel, Kind::Category];
