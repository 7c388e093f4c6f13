//! The reply to a member whose command is not run: what is wrong and what to do.

use twilight_model::channel::message::{Embed, MessageFlags};
use twilight_model::http::interaction::InteractionResponseData;
use twilight_util::builder::embed::EmbedBuilder;

/// Amber.
const COLOR: u32 = 0x00E6_9F00;

/// A reply that states why a command was not run. Only the member sees it, where Discord allows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, as one sentence.
    pub what: String,
    /// What the member can do, as one sentence.
    pub next: String,
}

/// Longest sentence, in characters.
const MAX_SENTENCE: usize = 1_000;

fn truncated(mut sentence: String) -> String {
    if let Some((end, _)) = sentence.char_indices().nth(MAX_SENTENCE) {
        sentence.truncate(end);
        sentence.push('…');
    }
    sentence
}

impl Refusal {
    /// A refusal of two sentences, each cut to 1,000 characters: they may quote the member's input, and Discord refuses an embed of
    /// more than 4,096 characters.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            what: truncated(what.into()),
            next: truncated(next.into()),
        }
    }

    /// The refusal as an ephemeral message.
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
