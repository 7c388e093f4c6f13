//! `/help`: the commands that the member can use, from their definitions. It replies also while Postgres is unavailable.

use async_trait::async_trait;
use twilight_model::guild::Permissions;

use super::{Command, CommandContext, CommandScope, Definition, ResponseMode};
use crate::interaction::reply::{CommandResult, Reply, ephemeral, message};
use crate::render::help::{HelpEntry, embed};

/// The command.
pub(super) struct Help;

#[async_trait]
impl Command for Help {
    fn definition(&self) -> Definition {
        Definition::new("help", "What I can do here")
            .scope(CommandScope::Anywhere)
            .response(ResponseMode::Immediate)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let permissions = context.invocation.author.permissions;
        let is_permitted = |needed: Option<Permissions>| {
            needed.is_none_or(|needed| permissions.contains(needed) || permissions.contains(Permissions::ADMINISTRATOR))
        };
        let entries: Vec<_> = context
            .commands
            .definitions()
            .map(|definition| HelpEntry {
                name: definition.name,
                description: definition.description,
                usable: is_permitted(definition.permissions)
                    && (definition.scope == CommandScope::Anywhere || context.community.is_some()),
            })
            .collect();
        let theme = context.community.map(|community| &*community.theme);
        Ok(Reply::Message(ephemeral(message(embed(theme, &entries), Vec::new()))))
    }
}
