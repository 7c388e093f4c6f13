//! `/profile`: the profile of the member or of another member.

use arrakis_db::{EvaluationInput, UserId};
use async_trait::async_trait;
use twilight_util::builder::command::UserBuilder;

use super::{Command, CommandContext, Definition};
use crate::community::user_id;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::profile::{self, ProfileView};

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile;

/// The member whose profile is shown.
struct Subject {
    user: UserId,
    name: String,
    own: bool,
}

#[async_trait]
impl Command for Profile {
    fn definition(&self) -> Definition {
        Definition::new(
            "profile",
            "Your card, or another member's: tier, badges, time here, wallet status",
        )
        .option(UserBuilder::new("member", "Whose card; yours when left out"))
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let subject = subject(context)?;
        let community = context.community()?;
        let token = &community.record.token_profile;
        let now = context.services.now();
        let mut tx = context.tx().await?;
        let early = community.theme.early_member_limit();
        let evaluation_input = tx.profiles().evaluation_input(token, subject.user, now, early).await?;
        let record = context.services.profile(&mut tx, community.id(), subject.user).await?;
        let record = record.filter(|record| record.left_at.is_none());
        let (Some(record), Some(input)) = (record, evaluation_input) else {
            return Err(unknown_member(&subject).into());
        };
        let EvaluationInput {
            member,
            facts,
            suspended,
        } = input;
        let render = context.render_context()?;
        let evaluation = community.theme.evaluate(render.ladder, member.standing, &facts);
        let mut roles: Vec<_> = community.theme.desired_roles(&evaluation, &facts).into_iter().collect();
        if suspended {
            roles.clear();
        }
        let view = ProfileView {
            name: &record.display_name,
            own: subject.own,
            wallet: record.wallet,
            evaluation: &evaluation,
            roles: &roles,
            joined_at: record.joined_at,
            tenure_days: facts.tenure_days,
            // The stored time belongs to the stored tier, which may differ from the present one.
            tier_since: record.tier_since.filter(|_| record.tier == evaluation.tier),
        };
        let embed = profile::embed(&render, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}

fn subject(context: &CommandContext<'_>) -> Result<Subject, CommandError> {
    let author = &context.invocation.author;
    let selected = match &context.invocation.data {
        InvocationData::Command { options, .. } => options.user("member"),
        _ => None,
    };
    let (id, name) = selected.map_or((author.id, Some(author.name.as_str())), |(id, name)| (id, name));
    Ok(Subject {
        user: user_id(id)?,
        name: name.unwrap_or("That user").to_owned(),
        own: id == author.id,
    })
}

fn unknown_member(subject: &Subject) -> Refusal {
    let (what, next) = profile::unknown_member(&subject.name, subject.own);
    Refusal::new(what, next)
}
