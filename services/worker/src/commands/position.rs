//! `/position`: the member's rank, holding and tier, and the distance to the next ones.

use arrakis_domain::{Balance, Rank, Zones};

use super::suspension::refuse_suspended;
use super::{Command, CommandContext, Definition};
use crate::community::user_id;
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::position::{self, Neighbour, PositionView};

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position;

impl Command for Position {
    fn definition(&self) -> Definition {
        Definition::new(
            "position",
            "Where you stand: rank, holding, tier, and how far it is up and down",
        )
        .always_open()
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let community = context.community()?;
        let token = &community.record.token_profile;
        let user = user_id(context.invocation.author.id)?;
        refuse_suspended(context, user).await?;
        let ranking = context
            .tx()
            .await?
            .profiles()
            .ranking_position(token, user, Zones::STANDARD)
            .await?;
        let rank = ranking.standing.rank.map(Rank::get);
        let view = PositionView {
            wallet: ranking.wallet,
            standing: ranking.standing,
            above: neighbour(rank.and_then(|rank| rank.checked_sub(1)), ranking.above),
            below: neighbour(rank.and_then(|rank| rank.checked_add(1)), ranking.below),
            entry: ranking.entry,
        };
        let embed = position::embed(&context.render_context()?, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}

fn neighbour(rank: Option<u32>, held: Option<Balance>) -> Option<Neighbour> {
    let rank = rank.and_then(Rank::new)?;
    held.map(|held| Neighbour { rank, held })
}
