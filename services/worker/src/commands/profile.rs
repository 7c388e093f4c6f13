//! `/profile`: the profile of the member or of another member.

use arrakis_db::EvaluationInput;
use arrakis_db::registry::{Account, IdentityRecord};
use twilight_util::builder::command::UserBuilder;

use super::subject::Subject;
use super::{Command, CommandContext, Definition, Feature};
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::profile::{self, ProfileView};
use crate::render::suspended::Suspended;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile;

impl Command for Profile {
    fn definition(&self) -> Definition {
        Definition::new(
            "profile",
            "Your card, or another member's: tier, badges, time here, wallet status",
        )
        .option(UserBuilder::new("member", "Whose card; yours when left out"))
        .features(&[Feature {
            key: "profile-of-others",
            option: "member",
            label: "`/profile` of another member",
        }])
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let subject = Subject::of(context)?;
        let community = context.community()?;
        let token = &community.record.token_profile;
        let now = context.services.now();
        let mut tx = context.tx().await?;
        let early = community.theme.early_member_limit();
        let evaluation_input = tx.profiles().evaluation_input(token, subject.user, now, early).await?;
        let record = context.services.profile(&mut tx, community.id(), subject.user).await?;
        let record = record.filter(|record| record.left_at.is_none());
        // The registry states when a wallet was verified; another member's profile does not show it.
        let identity = if subject.own {
            tx.registry().by_account(Account::Discord(subject.user)).await?
        } else {
            None
        };
        let (Some(record), Some(input)) = (record, evaluation_input) else {
            return Err(subject.unknown().into());
        };
        let EvaluationInput {
            member,
            facts,
            suspended,
            ..
        } = input;
        let render = context.render_context()?;
        let evaluation = community.theme.evaluate(render.ladder, member.standing, &facts);
        let mut roles: Vec<_> = community.theme.desired_roles(&evaluation, &facts).into_iter().collect();
        if suspended {
            roles.clear();
        }
        let of_identity = identity
            .as_ref()
            .and_then(|record| Suspended::of(&record.identity, now));
        let view = ProfileView {
            name: &record.display_name,
            own: subject.own,
            wallet: record.wallet,
            verified_at: identity
                .as_ref()
                .and_then(IdentityRecord::primary)
                .filter(|primary| Some(primary.address) == record.wallet)
                .map(|primary| primary.verified_at),
            evaluation: &evaluation,
            roles: &roles,
            // Another member's identity is not read: the end of the suspension is not shown.
            suspended: of_identity.or_else(|| suspended.then_some(Suspended { until: None })),
            joined_at: record.joined_at,
            tenure_days: facts.tenure_days,
            // The stored time belongs to the stored tier, which may differ from the present one.
            tier_since: record.tier_since.filter(|_| record.tier == evaluation.tier),
        };
        let embed = profile::embed(&render, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}
