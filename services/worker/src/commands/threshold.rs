//! `/threshold`: the holding that entry requires, the waitlist zone, and the member's distance to entry.

use arrakis_db::{DbError, TenantTx, TokenProfileId};
use arrakis_domain::{Balance, EntryThreshold, Zones};

use super::{Command, CommandContext, Definition};
use crate::community::user_id;
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::render::threshold::{self, ThresholdView};

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threshold;

impl Command for Threshold {
    fn definition(&self) -> Definition {
        Definition::new(
            "threshold",
            "What entry takes now, who waits for it, and how far you are",
        )
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let community = context.community()?;
        let token = &community.record.token_profile;
        let mut tx = context.tx().await?;
        let (entry, waiting) = entry_and_waitlist(&mut tx, token, Zones::STANDARD).await?;
        let member = tx
            .profiles()
            .standing(token, user_id(context.invocation.author.id)?)
            .await?;
        let view = ThresholdView {
            entry,
            waiting: waiting.first().copied().zip(waiting.last().copied()),
            waiting_wallets: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
            standing: member
                .filter(|member| member.wallet.is_some())
                .map(|member| member.standing),
        };
        let embed = threshold::embed(&context.render_context()?, &view);
        Ok(Reply::Message(message(embed, Vec::new())))
    }
}

/// The entry threshold, and the holdings in the waitlist zone, largest first.
async fn entry_and_waitlist(
    tx: &mut TenantTx,
    token: &TokenProfileId,
    zones: Zones,
) -> Result<(EntryThreshold, Vec<Balance>), DbError> {
    let entry = tx.eligibility().entry_threshold(token, zones).await?;
    let mut holders = tx.eligibility().holders(token, zones.entry, zones.waitlist).await?;
    holders.retain(|holder| holder.rank > zones.entry);
    Ok((entry, holders.into_iter().map(|holder| holder.held).collect()))
}
