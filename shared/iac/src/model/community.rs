//! What greets new members of a community server: welcome screen and onboarding.

use serde::{Deserialize, Serialize};

use super::{EmojiReference, Reference};

/// A channel that the welcome screen points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WelcomeChannel {
    /// Which.
    pub channel: Reference,
    /// What it is for, 1 to 50 characters.
    pub description: String,
    /// Shown before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<EmojiReference>,
}

attributes! {
    /// The welcome screen.
    pub struct WelcomeScreen {
        /// Whether it is shown.
        enabled: bool,
        /// What the server is, at most 140 characters; empty for none.
        description: String,
        /// Up to five channels.
        channels: Vec<WelcomeChannel>,
    }
}

choices! {
    /// What counts towards the seven channels that onboarding must show.
    pub enum OnboardingMode {
        /// The default channels alone.
        Default "default" = 0,
        /// Those that answers lead to as well.
        Advanced "advanced" = 1,
    }
}

choices! {
    /// How a question is asked.
    pub enum PromptKind {
        /// As buttons.
        MultipleChoice "multiple_choice" = 0,
        /// As a list to choose from.
        Dropdown "dropdown" = 1,
    }
}

/// An answer to a question. Answers are told apart by title within their question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnboardingOption {
    /// What is read.
    pub title: String,
    /// What it means; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Shown before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<EmojiReference>,
    /// Roles that it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Reference>,
    /// Channels that it shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Reference>,
}

/// A question to new members. Questions are told apart by title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnboardingPrompt {
    /// What is asked.
    pub title: String,
    /// How.
    pub kind: PromptKind,
    /// One answer at most.
    #[serde(default)]
    pub single_select: bool,
    /// An answer is needed.
    #[serde(default)]
    pub required: bool,
    /// Asked when joining; else only under "channels and roles".
    #[serde(default)]
    pub in_onboarding: bool,
    /// Answers.
    pub options: Vec<OnboardingOption>,
}

attributes! {
    /// The onboarding of new members.
    pub struct Onboarding {
        /// Whether it takes place.
        enabled: bool,
        /// What counts towards the channels it must show.
        mode: OnboardingMode,
        /// Channels that everybody sees.
        default_channels: Vec<Reference>,
        /// Questions.
        prompts: Vec<OnboardingPrompt>,
    }
}
