//! `/help`: what can be done here, made of the commands' own definitions. It reads no database, and so answers at once and
//! when nothing else does.

use async_trait::async_trait;
use twilight_model::guild::Permissions;

use super::{Answer, Answers, Call, Command, Definition, Reply, Scope, message, private};
use crate::render::help::{Entry, embed};

/// The command.
pub(super) struct Help;

#[async_trait]
impl Command for Help {
    fn definition(&self) -> Definition {
        Definition::new("help", "What I can do here")
            .works(Scope::Anywhere)
            .answered(Answers::Immediate)
    }

    async fn run(&self, call: &Call<'_>) -> Answer {
        let has = call.invocation.author.permissions;
        let may = |needed: Option<Permissions>| {
            needed.is_none_or(|needed| has.contains(needed) || has.contains(Permissions::ADMINISTRATOR))
        };
        let entries: Vec<_> = call
            .services
            .commands
            .definitions()
            .map(|definition| Entry {
                name: definition.name,
                description: definition.description,
                usable: may(definition.permissions)
                    && (definition.scope == Scope::Anywhere || call.community.is_some()),
            })
            .collect();
        let theme = call.community.map(|community| &*community.theme);
        Ok(Reply::Message(private(message(embed(theme, &entries), Vec::new()))))
    }
}
