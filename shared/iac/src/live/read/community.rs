//! Welcome screen and onboarding.

use serde_json::Value;

use super::unknown::{UnknownValue, Unknowns, number};
use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{
    Attributes, Kind, Onboarding, OnboardingMode, OnboardingOption, OnboardingPrompt, PromptKind, Reference, Snowflake,
    WelcomeChannel, WelcomeScreen,
};

/// A server that never had a screen (`null`) has an empty one that is off.
pub(super) fn welcome_screen(
    value: &Value,
    guild: Snowflake,
    enabled: bool,
    unknown: &mut Vec<UnknownValue>,
) -> Result<LiveResource, Unreadable> {
    let screen: Option<wire::WelcomeScreen> = wire::read("GET /guilds/{id}/welcome-screen", value)?;
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
    let channels = Unknowns::of(Kind::WelcomeScreen, guild, "", unknown).check("channels", channels, names);
    let attributes = WelcomeScreen {
        enabled: Some(enabled),
        description: Some(description),
        channels,
    };
    Ok(plain(guild, Attributes::WelcomeScreen(attributes)))
}

pub(super) fn onboarding(
    value: &Value,
    guild: Snowflake,
    unknown: &mut Vec<UnknownValue>,
) -> Result<LiveResource, Unreadable> {
    let wire: wire::Onboarding = wire::read("GET /guilds/{id}/onboarding", value)?;
    let mut unknown = Unknowns::of(Kind::Onboarding, guild, "", unknown);
    let kinds: Vec<String> = wire.prompts.iter().map(|prompt| prompt.kind.to_string()).collect();
    let prompts: Option<Vec<OnboardingPrompt>> = wire.prompts.into_iter().map(prompt).collect();
    let attributes = Onboarding {
        enabled: Some(wire.enabled),
        mode: unknown.check("mode", number(wire.mode, OnboardingMode::from_wire), wire.mode),
        default_channels: Some(wire.default_channel_ids.into_iter().map(Reference::Id).collect()),
        prompts: unknown.check("prompts", prompts, kinds.join(", ")),
    };
    Ok(plain(guild, Attributes::Onboarding(attributes)))
}

fn prompt(prompt: wire::Prompt) -> Option<OnboardingPrompt> {
    Some(OnboardingPrompt {
        title: prompt.title,
        kind: number(prompt.kind, PromptKind::from_wire)?,
        single_select: prompt.single_select,
        required: prompt.required,
        in_onboarding: prompt.in_onboarding,
        options: prompt.options.into_iter().map(option).collect::<Option<_>>()?,
    })
}

fn option(answer: wire::Answer) -> Option<OnboardingOption> {
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
