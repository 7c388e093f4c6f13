//! Welcome screen and onboarding. <https://discord.com/developers/docs/resources/guild#welcome-screen-object>

use serde::Serialize;

use super::Id;

/// A channel that the welcome screen points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WelcomeChannel {
    /// Which.
    pub channel_id: Id,
    /// What it is for.
    pub description: String,
    /// The server's own emoji.
    pub emoji_id: Option<Id>,
    /// A Unicode emoji.
    pub emoji_name: Option<String>,
}

/// The welcome screen. Whether it is shown is the feature `WELCOME_SCREEN_ENABLED` of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WelcomeScreen {
    /// What the server is.
    pub description: Option<String>,
    /// Up to five.
    pub welcome_channels: Vec<WelcomeChannel>,
}

/// An emoji of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerEmoji {
    /// The server's own.
    pub id: Option<Id>,
    /// Unicode.
    pub name: Option<String>,
    /// Moves.
    pub animated: bool,
}

/// An answer to a question of onboarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnboardingOption {
    /// Snowflake of the answer.
    pub id: Id,
    /// What is read.
    pub title: String,
    /// What it means.
    pub description: String,
    /// Shown before it.
    pub emoji: AnswerEmoji,
    /// Roles that it gives.
    pub role_ids: Vec<Id>,
    /// Channels that it shows.
    pub channel_ids: Vec<Id>,
}

/// A question to new members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnboardingPrompt {
    /// Snowflake of the question.
    pub id: Id,
    /// 0 buttons, 1 a list.
    #[serde(rename = "type")]
    pub kind: u8,
    /// What is asked.
    pub title: String,
    /// One answer at most.
    pub single_select: bool,
    /// An answer is needed.
    pub required: bool,
    /// Asked when joining.
    pub in_onboarding: bool,
    /// Answers.
    pub options: Vec<OnboardingOption>,
}

/// Onboarding. REST adds the server's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Onboarding {
    /// Questions.
    pub prompts: Vec<OnboardingPrompt>,
    /// Channels that everybody sees.
    pub default_channel_ids: Vec<Id>,
    /// Whether it takes place.
    pub enabled: bool,
    /// 0 default channels alone count, 1 those of answers too.
    pub mode: u8,
}
