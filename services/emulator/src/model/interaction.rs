//! An interaction and the bot's responses. <https://discord.com/developers/docs/interactions/receiving-and-responding>

use serde::Serialize;
use serde_json::Value;

use super::{Id, InteractionState, Timestamp};

/// Type of an interaction; the number is Discord's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InteractionKind {
    /// A command.
    Command = 2,
    /// A button or a select menu.
    Component = 3,
    /// Autocomplete of an option.
    Autocomplete = 4,
    /// Submission of a modal.
    Modal = 5,
}

impl Serialize for InteractionKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// The record of an interaction. `State::create_interaction` creates it; the routes of `rest` record the bot's responses.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// Snowflake of the interaction.
    pub id: Id,
    /// Application that receives it.
    pub application_id: Id,
    /// Type.
    pub kind: InteractionKind,
    /// Token for responses, valid for 15 minutes.
    pub token: String,
    /// Server; `None` in direct messages.
    pub guild_id: Option<Id>,
    /// Channel.
    pub channel_id: Id,
    /// Member.
    pub user_id: Id,
    /// `data` of the dispatch.
    pub data: Value,
    /// Name of the command; for components and modals the command that led to them.
    pub command: Option<String>,
    /// Message whose component was pressed (also for a modal that a component opened).
    pub message_id: Option<Id>,
    /// Emulator's clock at dispatch; both time limits count from here.
    pub created_at: Timestamp,
    /// Progress of the response.
    pub state: InteractionState,
    /// Time of the first response.
    pub acknowledged_at: Option<Timestamp>,
    /// Callback type of the first response.
    pub callback_type: Option<u8>,
    /// Bodies of the accepted callbacks, in order.
    pub responses: Vec<Value>,
    /// Whether the answer is ephemeral; fixed at the defer.
    pub ephemeral: bool,
    /// The original response, once it exists (also while it is still loading).
    pub original: Option<Id>,
    /// Follow-up messages, in order.
    pub followups: Vec<Id>,
    /// Modal that the bot opened.
    pub modal: Option<Value>,
    /// Choices in the response to autocomplete.
    pub choices: Option<Value>,
}

impl Interaction {
    /// Time limit of the first response in milliseconds.
    pub const ACKNOWLEDGE_WITHIN_MS: u64 = 3_000;
    /// Lifetime of the token in milliseconds.
    pub const TOKEN_LIFE_MS: u64 = 15 * 60 * 1_000;

    /// Whether the three seconds passed without a response.
    #[must_use]
    pub const fn is_late(&self, now_ms: u64) -> bool {
        self.acknowledged_at.is_none() && now_ms >= self.created_at.0 + Self::ACKNOWLEDGE_WITHIN_MS
    }

    /// Whether the token has expired.
    #[must_use]
    pub const fn is_token_expired(&self, now_ms: u64) -> bool {
        now_ms >= self.created_at.0 + Self::TOKEN_LIFE_MS
    }

    /// The state at this time: a late interaction without a response has expired.
    #[must_use]
    pub const fn state_at(&self, now_ms: u64) -> InteractionState {
        if matches!(self.state, InteractionState::Pending) && self.is_late(now_ms) {
            InteractionState::Expired
        } else {
            self.state
        }
    }
}
