//! A short private word to a member: what is wrong and what to do.

use twilight_model::channel::message::{Embed, MessageFlags};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::embed::EmbedBuilder;

/// Amber: something to mend, nothing broken.
const COLOR: u32 = 0x00E6_9F00;

/// Why a command did not do what the member wanted, in words for the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, one sentence.
    pub what: String,
    /// What to do about it, one sentence.
    pub next: String,
}

impl Refusal {
    /// Both sentences.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: next.into(),
        }
    }

    /// As a message that only the member sees, wherever it can be private.
    pub fn message(&self) -> InteractionResponseData {
        InteractionResponseData {
            embeds: Some(vec![self.embed()]),
            components: Some(Vec::new()),
            flags: Some(MessageFlags::EPHEMERAL),
            ..InteractionResponseData::default()
        }
    }

    fn embed(&self) -> Embed {
        let text = format!("{}\n{}", self.what, self.next);
        EmbedBuilder::new().color(COLOR).description(text).build()
    }
}
