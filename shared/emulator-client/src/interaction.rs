//! `/control/interactions`: what members do, and how the bot responded.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Id, Timestamp};

/// An interaction by a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InteractionRequest {
    /// `command`, `autocomplete`, `component` or `modal`.
    pub kind: String,
    /// Server by id or name; absent in direct messages.
    pub guild_id: Option<String>,
    /// Channel by id or name. Without a server: the user's direct message when absent.
    pub channel_id: Option<String>,
    /// Member by id or user name.
    pub user_id: String,
    /// Name of the command, subcommands after spaces: `verify start`.
    pub name: Option<String>,
    /// Id of the command, in place of the name.
    pub command_id: Option<Id>,
    /// Options as Discord nests them, or `{"name": value}`.
    pub options: Option<Value>,
    /// Name of the option that the member types into, for autocomplete.
    pub focused: Option<String>,
    /// Target of a user or message command.
    pub target_id: Option<Id>,
    /// Message whose component is used.
    pub message_id: Option<Id>,
    /// Custom id of the component or modal.
    pub custom_id: Option<String>,
    /// Selected values of a select menu.
    pub values: Option<Vec<String>>,
    /// Fields of a modal: `{"custom_id": "text"}`, or a list of `{"custom_id", "value" | "values"}`.
    pub fields: Option<Value>,
    /// Interaction that opened the modal; the newest with this custom id when absent.
    pub interaction_id: Option<Id>,
    /// Sends the interaction even where Discord's client would not.
    #[serde(default)]
    pub force: bool,
}

/// Response to a new interaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractionCreated {
    /// Snowflake of the interaction.
    pub id: Id,
    /// Token for responses.
    pub token: String,
}

/// The progress of the bot's response to an interaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InteractionState {
    /// Waits for the first response.
    Pending,
    /// Acknowledged; the message is still to come.
    Deferred,
    /// The bot has sent its full response: not only the acknowledgement.
    Answered,
    /// Three seconds passed without a response.
    Expired,
}

/// An interaction and the bot's responses to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InteractionRecord {
    /// Snowflake of the interaction.
    pub id: Id,
    /// Token for responses.
    pub token: String,
    /// Discord's number of the interaction type.
    pub kind: u8,
    /// Progress of the response.
    pub state: InteractionState,
    /// Server; absent in direct messages.
    pub guild_id: Option<Id>,
    /// Channel.
    pub channel_id: Id,
    /// Member.
    pub user_id: Id,
    /// Name of the command; for components and modals, the command from whose reply they come.
    pub command: Option<String>,
    /// `data` of the dispatch.
    pub data: Value,
    /// Time of the dispatch by the emulator's clock.
    pub created_at: Timestamp,
    /// Time of the first response.
    pub acknowledged_at: Option<Timestamp>,
    /// Milliseconds from dispatch to first response.
    pub acknowledged_after_ms: Option<u64>,
    /// Callback type of the first response.
    pub callback_type: Option<u8>,
    /// Whether the answer is ephemeral.
    pub ephemeral: bool,
    /// Bodies of the accepted callbacks, in order.
    pub responses: Vec<Value>,
    /// The original response as it is now.
    pub message: Option<Value>,
    /// Follow-up messages, in order.
    pub followups: Vec<Value>,
    /// Modal that the bot opened.
    pub modal: Option<Value>,
    /// Choices for autocomplete.
    pub choices: Option<Value>,
}

/// The application's interactions endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractionsEndpoint {
    /// Address to which interactions are delivered; `None`: they come by the gateway.
    pub url: Option<String>,
    /// Public key that the signatures of requests are checked with, hexadecimal.
    pub public_key: String,
}

/// A change of the application's interactions endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InteractionsEndpointChange {
    /// The new address, which is checked by PING; `None` removes the present one.
    pub url: Option<String>,
}
