//! `/help`: the commands that the member can use, from their definitions. It reads no database, so it also replies while Postgres is
//! unavailable.

use async_trait::async_trait;
use twilight_model::guild::Permissions;

use super::{Command, CommandContext, CommandScope, Definition, ResponseMode};
use crate::interaction::reply::{CommandResult, Reply, ephemeral, message};
use crate::render::help::{Entry, embed};

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
        let has = context.invocation.author.permissions;
        let may = |needed: Option<Permissions>| {
            needed.is_none_or(|needed| has.contains(needed) || has.contains(Permissions::ADMINISTRATOR))
        };
        let entries: Vec<_> = context
            .commands
            .definitions()
            .map(|definition| Entry {
                name: definition.name,
                description: definition.description,
                usable: may(definition.permissions)
                    && (definition.scope == CommandScope::Anywhere || context.community.is_some()),
            })
            .collect();
        let theme = context.community.map(|community| &*community.theme);
        Ok(Reply::Message(ephemeral(message(embed(theme, &entries), Vec::new()))))
    }
}
