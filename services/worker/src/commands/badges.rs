//! `/badges`: the badges of the member or of another member as a drawn image.

use std::sync::Arc;

use arrakis_db::EvaluationInput;
use arrakis_domain::{Evaluation, MemberFacts};
use twilight_model::http::attachment::Attachment;
use twilight_util::builder::command::UserBuilder;

use super::subject::Subject;
use super::{Command, CommandContext, Definition};
use crate::badge_cards::{BadgeCards, CardRequest};
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::render::badges::{self, BadgesView, FILE_NAME};

/// The command, with the badges of themes that it has drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Badges {
    cards: BadgeCards,
}

/// The member as the card shows it.
struct Member {
    name: String,
    evaluation: Evaluation,
    facts: MemberFacts,
}

impl Command for Badges {
    fn definition(&self) -> Definition {
        Definition::new("badges", "Your badges as a picture, or another member's")
            .option(UserBuilder::new("member", "Whose badges; yours when left out"))
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let subject = Subject::of(context)?;
        let member = read_member(context, &subject).await?;
        let community = context.community()?;
        let request = CardRequest {
            theme: Arc::clone(&community.theme),
            name: member.name.clone(),
            tier: member.evaluation.tier.clone(),
            rank: member.evaluation.standing.rank,
            tenure_days: member.facts.tenure_days,
            badges: member.evaluation.badges.clone(),
            community: community.record.name.clone(),
        };
        // No connection is held while the card is drawn.
        let image = context.without_tx(self.cards.draw(request)).await??;
        let view = BadgesView {
            name: &member.name,
            own: subject.own,
            evaluation: &member.evaluation,
            facts: &member.facts,
        };
        let render = context.render_context()?;
        let mut attachment = Attachment::from_bytes(FILE_NAME.to_owned(), image, 0);
        attachment.description(badges::text_alternative(&render, &view));
        let mut reply = message(badges::embed(&render, &view), Vec::new());
        reply.attachments = Some(vec![attachment]);
        Ok(Reply::Message(reply))
    }
}

/// Reads and evaluates a member who is in the server.
async fn read_member(context: &CommandContext<'_>, subject: &Subject) -> Result<Member, CommandError> {
    let community = context.community()?;
    let token = &community.record.token_profile;
    let (now, early) = (context.services.now(), community.theme.early_member_limit());
    let mut tx = context.tx().await?;
    let input = tx.profiles().evaluation_input(token, subject.user, now, early).await?;
    let Some(EvaluationInput { member, facts, .. }) = input.filter(|input| input.member.left_at.is_none()) else {
        return Err(subject.unknown().into());
    };
    let evaluation = community.theme.evaluate(community.ladder()?, member.standing, &facts);
    Ok(Member {
        name: member.display_name,
        evaluation,
        facts,
    })
}
