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

/// Most characters of a sentence.
const LONGEST: usize = 1_000;

fn clipped(mut sentence: String) -> String {
    if let Some((end, _)) = sentence.char_indices().nth(LONGEST) {
        sentence.truncate(end);
        sentence.push('…');
    }
    sentence
}

impl Refusal {
    /// Both sentences; of a very long one, the beginning. What a member wrote may stand in them, and Discord refuses an embed
    /// with more than 4,096 characters.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: clipped(what.into()),
            next: clipped(next.into()),
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
