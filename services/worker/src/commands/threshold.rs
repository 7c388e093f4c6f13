//! `/threshold`: what entry takes now, the zone in which one waits, and how far the asking member is.

use arrakis_db::{DbError, TenantTx, TokenProfileId};
use arrakis_domain::{Balance, Rank, Zones};
use async_trait::async_trait;

use super::backdrop::Backdrop;
use super::{Answer, Call, Command, Definition, Reply, message};
use crate::community::user_id;
use crate::render::threshold;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold;

#[async_trait]
impl Command for Threshold {
    fn definition(&self) -> Definition {
        Definition::new(
            "threshold",
            "What entry takes now, who waits for it, and how far you are",
        )
    }

    async fn run(&self, call: &Call<'_>) -> Answer {
        let community = call.community()?;
        let token = &community.record.token_profile;
        let mut tx = call.tx().await?;
        let backdrop = Backdrop::read(call.services, &mut tx, community).await?;
        let entry = tx.eligibility().entry_threshold(token, Zones::STANDARD).await?;
        let waiting = waiting(&mut tx, token, Zones::STANDARD).await?;
        let member = tx
            .profiles()
            .standing(token, user_id(call.invocation.author.id)?)
            .await?;
        let shown = threshold::Threshold {
            entry,
            waiting: waiting.first().copied().zip(waiting.last().copied()),
            waiting_wallets: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
            mine: member
                .filter(|member| member.wallet.is_some())
                .map(|member| member.standing),
        };
        let embed = threshold::embed(&backdrop.scene(community)?, &shown);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}

/// What the wallets in the waitlist zone hold, the best first.
async fn waiting(tx: &mut TenantTx, token: &TokenProfileId, zones: Zones) -> Result<Vec<Balance>, DbError> {
    let Some(first) = zones.entry.get().checked_add(1).and_then(Rank::new) else {
        return Ok(Vec::new());
    };
    let holders = tx.eligibility().holders(token, first, zones.waitlist).await?;
    Ok(holders.into_iter().map(|holder| holder.held).collect())
}
