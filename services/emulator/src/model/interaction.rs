//! An interaction and what became of it. <https://discord.com/developers/docs/interactions/receiving-and-responding>

use serde::Serialize;
use serde_json::Value;

use super::{Id, InteractionState, Timestamp};

/// What the member did; the number is Discord's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InteractionKind {
    /// Ran a command.
    Command = 2,
    /// Pressed a button or chose from a select.
    Component = 3,
    /// Typed into an option with autocomplete.
    Autocomplete = 4,
    /// Submitted a modal.
    Modal = 5,
}

impl Serialize for InteractionKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// The record of an interaction. Created by `State::create_interaction`; the routes of `rest` fill in what the bot did.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// Snowflake of the interaction.
    pub id: Id,
    /// Addressee.
    pub application_id: Id,
    /// What the member did.
    pub kind: InteractionKind,
    /// Whoever has it may answer, for 15 minutes.
    pub token: String,
    /// Server, if any.
    pub guild_id: Option<Id>,
    /// Where it happened.
    pub channel_id: Id,
    /// Who did it.
    pub user_id: Id,
    /// `data` of the dispatch.
    pub data: Value,
    /// Name of the command, of the one that led here for components and modals.
    pub command: Option<String>,
    /// Message whose component was pressed (also for a modal that a component opened).
    pub message_id: Option<Id>,
    /// Emulator's clock at dispatch; both time limits count from here.
    pub created_at: Timestamp,
    /// How far the bot got.
    pub state: InteractionState,
    /// When the first response was accepted.
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
    /// Choices that autocomplete got.
    pub choices: Option<Value>,
}

impl Interaction {
    /// Milliseconds until the first response must be there.
    pub const ACKNOWLEDGE_WITHIN_MS: u64 = 3_000;
    /// Milliseconds that the token lives.
    pub const TOKEN_LIFE_MS: u64 = 15 * 60 * 1_000;

    /// Whether the three seconds passed without a response.
    #[must_use]
    pub const fn is_late(&self, now_ms: u64) -> bool {
        self.acknowledged_at.is_none() && now_ms >= self.created_at.0 + Self::ACKNOWLEDGE_WITHIN_MS
    }

    /// Whether the token is dead.
    #[must_use]
    pub const fn is_dead(&self, now_ms: u64) -> bool {
        now_ms >= self.created_at.0 + Self::TOKEN_LIFE_MS
    }

    /// The state as of now: a pending one that is late has expired.
    #[must_use]
    pub const fn state_at(&self, now_ms: u64) -> InteractionState {
        if matches!(self.state, InteractionState::Pending) && self.is_late(now_ms) {
            InteractionState::Expired
        } else {
            self.state
        }
    }
}
