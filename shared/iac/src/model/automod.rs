//! Rules of auto moderation: <https://discord.com/developers/docs/resources/auto-moderation>.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Reference;

choices! {
    /// Lists of words that Discord keeps.
    pub enum AutomodPreset {
        /// Swearing and cursing.
        Profanity "profanity" = 1,
        /// Sexually explicit words.
        SexualContent "sexual_content" = 2,
        /// Slurs and hate speech.
        Slurs "slurs" = 3,
    }
}

/// What sets a rule off. The kind of trigger cannot be changed: another one is a replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AutomodTrigger {
    /// Words in a message.
    Keyword {
        /// Words, `*` at an end for any continuation.
        #[serde(default)]
        keywords: Vec<String>,
        /// Regular expressions of Rust's flavour.
        #[serde(default)]
        patterns: Vec<String>,
        /// What is let through.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// What Discord takes for spam.
    Spam,
    /// Words of Discord's lists.
    Preset {
        /// Which lists.
        presets: BTreeSet<AutomodPreset>,
        /// What is let through.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// Many mentions in a message.
    MentionSpam {
        /// Most mentions that a message may have.
        limit: u32,
        /// Whether Discord looks out for raids of mentions.
        #[serde(default)]
        raid_protection: bool,
    },
    /// Words in a member's profile.
    MemberProfile {
        /// Words, `*` at an end for any continuation.
        #[serde(default)]
        keywords: Vec<String>,
        /// Regular expressions of Rust's flavour.
        #[serde(default)]
        patterns: Vec<String>,
        /// What is let through.
        #[serde(default)]
        allow: Vec<String>,
    },
}

impl AutomodTrigger {
    /// Discord's number of the kind of trigger.
    #[must_use]
    pub const fn wire(&self) -> u64 {
        match self {
            Self::Keyword { .. } => 1,
            Self::Spam => 3,
            Self::Preset { .. } => 4,
            Self::MentionSpam { .. } => 5,
            Self::MemberProfile { .. } => 6,
        }
    }

    /// Discord's number of the event it watches: 1 a message, 2 a member who joins or changes.
    #[must_use]
    pub const fn event_wire(&self) -> u64 {
        if matches!(self, Self::MemberProfile { .. }) {
            2
        } else {
            1
        }
    }
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AutomodAction {
    /// Keeps the message back.
    BlockMessage {
        /// What its author is told; empty for Discord's own words.
        #[serde(default)]
        message: String,
    },
    /// Tells moderators.
    Alert {
        /// Where.
        channel: Reference,
    },
    /// Keeps the author from writing for a while.
    Timeout {
        /// How long, up to four weeks.
        seconds: u32,
    },
    /// Keeps a member with such a profile from doing anything.
    BlockMember,
}

impl AutomodAction {
    /// Discord's number.
    #[must_use]
    pub const fn wire(&self) -> u64 {
        match self {
            Self::BlockMessage { .. } => 1,
            Self::Alert { .. } => 2,
            Self::Timeout { .. } => 3,
            Self::BlockMember => 4,
        }
    }
}

attributes! {
    /// A rule of auto moderation.
    pub struct AutomodRule {
        /// What moderators read.
        name: String,
        /// Whether it works.
        enabled: bool,
        /// What sets it off.
        trigger: AutomodTrigger,
        /// What it does.
        actions: Vec<AutomodAction>,
        /// Whom it does not bind.
        exempt_roles: Vec<Reference>,
        /// Where it does not look.
        exempt_channels: Vec<Reference>,
    }
}
