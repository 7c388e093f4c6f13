//! Welcome screen and onboarding. <https://discord.com/developers/docs/resources/guild#welcome-screen-object>

use serde::Serialize;

use super::Id;

/// A channel of the welcome screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WelcomeChannel {
    /// Channel.
    pub channel_id: Id,
    /// Description.
    pub description: String,
    /// Custom emoji of the server.
    pub emoji_id: Option<Id>,
    /// Unicode emoji.
    pub emoji_name: Option<String>,
}

/// The welcome screen. Whether it is shown is the feature `WELCOME_SCREEN_ENABLED` of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WelcomeScreen {
    /// Description of the server.
    pub description: Option<String>,
    /// Up to five channels.
    pub welcome_channels: Vec<WelcomeChannel>,
}

/// Emoji of an onboarding option.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerEmoji {
    /// Custom emoji of the server.
    pub id: Option<Id>,
    /// Unicode emoji.
    pub name: Option<String>,
    /// Whether it is animated.
    pub animated: bool,
}

/// An option of an onboarding prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnboardingOption {
    /// Snowflake of the option.
    pub id: Id,
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Emoji before the title.
    pub emoji: AnswerEmoji,
    /// Roles that it assigns.
    pub role_ids: Vec<Id>,
    /// Channels that it opts into.
    pub channel_ids: Vec<Id>,
}

/// An onboarding prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnboardingPrompt {
    /// Snowflake of the prompt.
    pub id: Id,
    /// 0 multiple choice, 1 dropdown.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Title.
    pub title: String,
    /// Whether only one option can be selected.
    pub single_select: bool,
    /// Whether an option must be selected.
    pub required: bool,
    /// Whether it is shown during onboarding.
    pub in_onboarding: bool,
    /// Options.
    pub options: Vec<OnboardingOption>,
}

/// Onboarding. REST adds the server's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Onboarding {
    /// Prompts.
    pub prompts: Vec<OnboardingPrompt>,
    /// Channels into which all members are opted.
    pub default_channel_ids: Vec<Id>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// 0 only default channels count towards the requirements, 1 channels of options count too.
    pub mode: u8,
}
