//! Commands as trait objects.

use futures_util::future::BoxFuture;
use twilight_model::application::command::CommandOptionChoice;

use super::{Command, CommandContext, Definition};
use crate::failure::Failure;
use crate::interaction::reply::CommandResult;

/// A [`Command`] as a trait object, with its futures on the heap. Every command implements it.
///
/// [`Command`] itself is implemented with `async fn` and without the attribute of the crate `async_trait`: the bounds that the attribute
/// adds to each method made the compiler prove for each method anew that all clients of a worker are `Sync`
/// (docs/decisions/0079-handlers-without-async-trait.md).
pub trait DynCommand: Send + Sync {
    /// As [`Command::definition`].
    fn definition(&self) -> Definition;

    /// As [`Command::run`].
    fn run<'a>(&'a self, context: &'a CommandContext<'_>) -> BoxFuture<'a, CommandResult>;

    /// As [`Command::component`].
    fn component<'a>(&'a self, context: &'a CommandContext<'_>, arguments: &'a [&str]) -> BoxFuture<'a, CommandResult>;

    /// As [`Command::modal_submit`].
    fn modal_submit<'a>(
        &'a self,
        context: &'a CommandContext<'_>,
        arguments: &'a [&str],
    ) -> BoxFuture<'a, CommandResult>;

    /// As [`Command::autocomplete`].
    fn autocomplete<'a>(
        &'a self,
        context: &'a CommandContext<'_>,
        option: &'a str,
        typed: &'a str,
    ) -> BoxFuture<'a, Result<Vec<CommandOptionChoice>, Failure>>;
}

impl<C: Command> DynCommand for C {
    fn definition(&self) -> Definition {
        Command::definition(self)
    }

    fn run<'a>(&'a self, context: &'a CommandContext<'_>) -> BoxFuture<'a, CommandResult> {
        Box::pin(Command::run(self, context))
    }

    fn component<'a>(&'a self, context: &'a CommandContext<'_>, arguments: &'a [&str]) -> BoxFuture<'a, CommandResult> {
        Box::pin(Command::component(self, context, arguments))
    }

    fn modal_submit<'a>(
        &'a self,
        context: &'a CommandContext<'_>,
        arguments: &'a [&str],
    ) -> BoxFuture<'a, CommandResult> {
        Box::pin(Command::modal_submit(self, context, arguments))
    }

    fn autocomplete<'a>(
        &'a self,
        context: &'a CommandContext<'_>,
        option: &'a str,
        typed: &'a str,
    ) -> BoxFuture<'a, Result<Vec<CommandOptionChoice>, Failure>> {
        Box::pin(Command::autocomplete(self, context, option, typed))
    }
}
