//! `/position`: where the asking member stands, and how far it is up and down.

use arrakis_db::{DbError, Holder, TenantTx, TokenProfileId};
use arrakis_domain::{Rank, Standing, Zones};
use async_trait::async_trait;

use super::backdrop::Backdrop;
use super::{Answer, Call, Command, Definition, Reply, message};
use crate::community::user_id;
use crate::render::position::{self, Neighbour};

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position;

#[async_trait]
impl Command for Position {
    fn definition(&self) -> Definition {
        Definition::new(
            "position",
            "Where you stand: rank, holding, tier, and how far it is up and down",
        )
    }

    async fn run(&self, call: &Call<'_>) -> Answer {
        let community = call.community()?;
        let token = &community.record.token_profile;
        let mut tx = call.tx().await?;
        let backdrop = Backdrop::read(call.services, &mut tx, community).await?;
        let member = tx
            .profiles()
            .standing(token, user_id(call.invocation.author.id)?)
            .await?;
        let wallet = member.as_ref().and_then(|member| member.wallet);
        let standing = member.map(|member| member.standing).unwrap_or_default();
        let (above, below) = neighbours(&mut tx, token, standing).await?;
        let entry = tx.eligibility().entry_threshold(token, Zones::STANDARD).await?;
        let shown = position::Position {
            wallet,
            standing,
            above,
            below,
            entry,
        };
        let embed = position::embed(&backdrop.scene(community)?, &shown);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}

/// The wallets one rank better and one worse, where there are.
async fn neighbours(
    tx: &mut TenantTx,
    token: &TokenProfileId,
    standing: Standing,
) -> Result<(Option<Neighbour>, Option<Neighbour>), DbError> {
    let Some(rank) = standing.rank else {
        return Ok((None, None));
    };
    let first = Rank::new(rank.get() - 1).unwrap_or(rank);
    let last = Rank::new(rank.get().saturating_add(1)).unwrap_or(rank);
    let holders = tx.eligibility().holders(token, first, last).await?;
    let find = |wanted: fn(&Rank, &Rank) -> bool| {
        let holder = holders.iter().find(|holder| wanted(&holder.rank, &rank));
        holder.map(|Holder { rank, held, .. }| Neighbour {
            rank: *rank,
            held: *held,
        })
    };
    Ok((find(|other, mine| other < mine), find(|other, mine| other > mine)))
}
