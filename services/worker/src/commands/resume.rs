//! `/resume`: continues the wizard of `/onboard`, after a restart, in another channel, or as another admin by the session's id. For a
//! session that was deployed it shows the deploy, also when Redis has lost the session.

use twilight_model::guild::Permissions;
use twilight_util::builder::command::StringBuilder;
use uuid::Uuid;

use super::onboard::{self, show_step};
use super::{Command, CommandContext, CommandScope, Definition};
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandResult;

/// Length of a session's id.
const ID_LENGTH: u16 = 36;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resume;

impl Command for Resume {
    fn definition(&self) -> Definition {
        let session = StringBuilder::new("session", "The id below the setup; your own setup when left out")
            .min_length(ID_LENGTH)
            .max_length(ID_LENGTH);
        Definition::new("resume", "Continue setting this server up")
            .option(session)
            .permissions(Permissions::MANAGE_GUILD)
            .scope(CommandScope::Anywhere)
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let typed = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.string("session"),
            _ => None,
        };
        let Some(typed) = typed else {
            let session = onboard::own_session(context).await?;
            let session = session.ok_or_else(|| {
                Refusal::new(
                    "You have no setup in progress here.",
                    "Run `/onboard` to begin; give the id of a setup to continue another admin's.",
                )
            })?;
            return show_step(context, &session).await;
        };
        let id: Uuid = typed.trim().parse().map_err(|_| {
            Refusal::new(
                "That is no id of a setup.",
                "It is shown below each step, and has 36 characters.",
            )
        })?;
        if let Some(shown) = onboard::deployed(context, id).await? {
            return Ok(shown);
        }
        match onboard::find(context, id).await? {
            Some(session) => show_step(context, &session).await,
            None => Err(onboard::ended().into()),
        }
    }
}
