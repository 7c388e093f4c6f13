//! The button that puts a member in the waitlist zone on the waitlist.
//!
//! A second run keeps the time of the first one and enqueues no second job.

use arrakis_domain::{Zone, Zones};

use super::super::suspension::refuse_suspended;
use super::CommandContext;
use crate::community::user_id;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandResult, Reply, message};
use crate::jobs::{self, tier_sync};
use crate::render::verify::waitlisted;

/// Puts the member who pressed the button on the waitlist and enqueues their tier sync. Refused outside of the waitlist zone.
pub(super) async fn join(context: &CommandContext<'_>) -> CommandResult {
    let services = context.services;
    let community = context.community()?;
    let member = context.invocation.author.id;
    let user = user_id(member)?;
    refuse_suspended(context, user).await?;
    {
        let mut tx = context.tx().await?;
        let token = &community.record.token_profile;
        let ranking = tx.profiles().ranking_position(token, user, Zones::STANDARD).await?;
        if Zones::STANDARD.zone_of(ranking.standing.rank) != Zone::Waitlist {
            return Err(Refusal::new(
                "Your wallet is not in the ranks of the waitlist.",
                "`/position` shows your rank, `/threshold` what entry takes now.",
            )
            .into());
        }
        tx.profiles().set_waitlisted(user, Some(services.now())).await?;
    }
    // The job must find the change committed.
    let request = tier_sync::for_member(format!("tier-sync:waitlist:{}", context.invocation.id), member);
    context
        .without_tx(Box::pin(jobs::enqueue(services, community.id(), &request)))
        .await??;
    services.uncache_profile(community.id(), user).await;
    let embed = waitlisted(&context.render_context()?);
    Ok(Reply::Message(message(embed, Vec::new())))
}
