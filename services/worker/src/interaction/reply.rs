//! The result of a command: a reply, a refusal or a failure.

use twilight_model::channel::message::{Component, Embed, MessageFlags};
use twilight_model::http::interaction::InteractionResponseData;

use super::refusal::Refusal;
use crate::failure::Failure;

/// The reply of a command.
#[derive(Debug)]
pub enum Reply {
    /// A message: the immediate response, or an edit of the original response or of the message with the component.
    Message(InteractionResponseData),
    /// A new message that only the member sees, whatever the first response was; the message with the component is not changed.
    Private(InteractionResponseData),
    /// A modal, for [`crate::commands::ResponseMode::Modal`].
    Modal(InteractionResponseData),
}

/// Why a command has no reply.
#[derive(Debug)]
pub enum CommandError {
    /// The command is refused; the member is shown the reason and what to do.
    Refused(Refusal),
    /// The command failed.
    Failed(Failure),
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<Failure>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The result of a command.
pub type CommandResult = Result<Reply, CommandError>;

/// A message of one embed with rows of components.
pub(crate) fn message(embed: Embed, components: Vec<Component>) -> InteractionResponseData {
    InteractionResponseData {
        embeds: Some(vec![embed]),
        components: Some(components),
        ..InteractionResponseData::default()
    }
}

/// Marks a message as ephemeral.
pub(crate) fn ephemeral(mut message: InteractionResponseData) -> InteractionResponseData {
    message.flags = Some(message.flags.unwrap_or(MessageFlags::empty()) | MessageFlags::EPHEMERAL);
    message
}
