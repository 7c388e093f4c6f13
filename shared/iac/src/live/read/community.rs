//! Welcome screen and onboarding.

use serde::Deserialize;
use serde_json::Value;

use super::{LiveResource, Unreadable, plain, wire};
use crate::model::{
    Attributes, Onboarding, OnboardingMode, OnboardingOption, OnboardingPrompt, PromptKind, Reference, Snowflake,
    WelcomeChannel, WelcomeScreen,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Screen {
    description: Option<String>,
    welcome_channels: Vec<ScreenChannel>,
}

#[derive(Deserialize)]
struct ScreenChannel {
    channel_id: Snowflake,
    #[serde(default)]
    description: String,
    #[serde(flatten)]
    emoji: wire::UsedEmojiFields,
}

/// A server that never had a screen (`null`) has an empty one that is off.
pub(super) fn welcome_screen(value: &Value, guild: Snowflake, enabled: bool) -> Result<LiveResource, Unreadable> {
    let screen: Option<Screen> = wire::read("the welcome screen", value)?;
    let screen = screen.unwrap_or_default();
    let channels = screen.welcome_channels.into_iter().map(|channel| WelcomeChannel {
        channel: Reference::Id(channel.channel_id),
        description: channel.description,
        emoji: channel.emoji.reference(),
    });
    let attributes = WelcomeScreen {
        enabled: Some(enabled),
        description: Some(screen.description.unwrap_or_default()),
        channels: Some(channels.collect()),
    };
    Ok(plain(guild, Attributes::WelcomeScreen(attributes)))
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    mode: u64,
    #[serde(default)]
    default_channel_ids: Vec<Snowflake>,
    #[serde(default)]
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    #[serde(default)]
    title: String,
    #[serde(default, rename = "type")]
    kind: u64,
    #[serde(default)]
    single_select: bool,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    in_onboarding: bool,
    #[serde(default)]
    options: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    title: String,
    description: Option<String>,
    emoji: Option<wire::UsedEmoji>,
    #[serde(default)]
    role_ids: Vec<Snowflake>,
    #[serde(default)]
    channel_ids: Vec<Snowflake>,
}

pub(super) fn onboarding(value: &Value, guild: Snowflake) -> Result<LiveResource, Unreadable> {
    let wire: Wire = wire::read("onboarding", value)?;
    let prompts: Option<Vec<OnboardingPrompt>> = wire.prompts.into_iter().map(prompt).collect();
    let attributes = Onboarding {
        enabled: Some(wire.enabled),
        mode: OnboardingMode::from_wire(wire.mode),
        default_channels: Some(wire.default_channel_ids.into_iter().map(Reference::Id).collect()),
        prompts,
    };
    Ok(plain(guild, Attributes::Onboarding(attributes)))
}

fn prompt(prompt: Prompt) -> Option<OnboardingPrompt> {
    Some(OnboardingPrompt {
        title: prompt.title,
        kind: PromptKind::from_wire(prompt.kind)?,
        single_select: prompt.single_select,
        required: prompt.required,
        in_onboarding: prompt.in_onboarding,
        options: prompt.options.into_iter().map(option).collect(),
    })
}

fn option(answer: Answer) -> OnboardingOption {
    OnboardingOption {
        title: answer.title,
        description: answer.description.unwrap_or_default(),
        emoji: answer.emoji.as_ref().and_then(wire::UsedEmoji::reference),
        roles: answer.role_ids.into_iter().map(Reference::Id).collect(),
        channels: answer.channel_ids.into_iter().map(Reference::Id).collect(),
    }
}
