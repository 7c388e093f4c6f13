//! `/register-waitlist`: a member whose wallet is in the waitlist zone joins the waitlist, and leaves it again.
//!
//! The change, its audit entry, the tier sync that follows and the claim commit together. A second run of one interaction finds the claim,
//! changes nothing, and shows where the member is. An earlier press that is delivered again does not undo a later one.
//!
//! A member who is promoted leaves the waitlist by the next evaluation (`roles/evaluate.rs`).

use arrakis_db::{Actor, NewAuditEntry, RankingPosition, UserId};
use arrakis_domain::{Zone, Zones};
use serde_json::json;
use time::OffsetDateTime;

use super::suspension::refuse_suspended;
use super::{Command, CommandContext, Definition, outdated_component};
use crate::community::{Community, user_id};
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::tier_sync;
use crate::render::profile;
use crate::render::register_waitlist::{self, JOIN, LEAVE, NAME, WaitlistView};

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct RegisterWaitlist;

/// The member as it is stored.
struct Member {
    ranking: RankingPosition,
    waitlisted_at: Option<OffsetDateTime>,
}

impl Command for RegisterWaitlist {
    fn definition(&self) -> Definition {
        Definition::new(
            NAME,
            "Join the waitlist with a wallet at rank 70 to 100, or leave it again",
        )
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        join(context).await
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [JOIN] => join(context).await,
            [LEAVE] => leave(context).await,
            _ => Err(outdated_component().into()),
        }
    }
}

/// Puts the member on the waitlist. One who is on it is shown since when.
pub(super) async fn join(context: &CommandContext<'_>) -> CommandResult {
    refuse_frozen(context.community()?)?;
    let user = user_id(context.invocation.author.id)?;
    let member = read(context, user).await?;
    let Some(since) = member.waitlisted_at else {
        check_zone(context, &member.ranking)?;
        let now = context.services.now();
        if !change(context, user, Some(now)).await? {
            // An earlier run of this interaction put the member on the list, and a later press removed them.
            return left(context);
        }
        return on_list(context, &member.ranking, now);
    };
    on_list(context, &member.ranking, since)
}

/// Removes the member from the waitlist.
async fn leave(context: &CommandContext<'_>) -> CommandResult {
    refuse_frozen(context.community()?)?;
    let user = user_id(context.invocation.author.id)?;
    let member = read(context, user).await?;
    if let Some(since) = member.waitlisted_at
        && !change(context, user, None).await?
    {
        // An earlier run of this press removed the member, and a later one put them on the list again.
        return on_list(context, &member.ranking, since);
    }
    left(context)
}

/// Refuses a change in a community whose roles do not change.
pub(super) fn refuse_frozen(community: &Community) -> Result<(), Refusal> {
    if community.is_frozen() {
        return Err(Refusal::new(
            "This community is frozen: no role changes for now.",
            "Try again when its admins have ended the freeze.",
        ));
    }
    Ok(())
}

/// Reads the member, or refuses one who is not here or is suspended.
async fn read(context: &CommandContext<'_>, user: UserId) -> Result<Member, CommandError> {
    let token = &context.community()?.record.token_profile;
    refuse_suspended(context, user).await?;
    let mut tx = context.tx().await?;
    let profile = tx.profiles().by_user(user).await?;
    let Some(profile) = profile.filter(|profile| profile.left_at.is_none()) else {
        let (what, next) = profile::unknown_member(&context.invocation.author.name, true);
        return Err(Refusal::new(what, next).into());
    };
    let ranking = tx.profiles().ranking_position(token, user, Zones::STANDARD).await?;
    Ok(Member {
        ranking,
        waitlisted_at: profile.waitlisted_at,
    })
}

/// Refuses a wallet that is not in the waitlist zone.
fn check_zone(context: &CommandContext<'_>, ranking: &RankingPosition) -> Result<(), CommandError> {
    if ranking.wallet.is_some() && Zones::STANDARD.zone_of(ranking.standing.rank) == Zone::Waitlist {
        return Ok(());
    }
    let is_linked = ranking.wallet.is_some();
    let (what, next) = register_waitlist::not_in_zone(&context.render_context()?, is_linked, ranking.standing);
    Err(Refusal::new(what, next).into())
}

/// Stores the time of joining, or removes it with `None`, once for each interaction; false if an earlier run has done it.
async fn change(context: &CommandContext<'_>, user: UserId, at: Option<OffsetDateTime>) -> Result<bool, CommandError> {
    let community = context.community()?;
    let member = context.invocation.author.id;
    let job = tier_sync::for_member(format!("tier-sync:waitlist:{}", context.invocation.id), member);
    {
        let mut tx = context.tx().await?;
        if !tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
            return Ok(false);
        }
        tx.profiles().set_waitlisted(user, at).await?;
        let entry = NewAuditEntry {
            actor: Actor::Member(user),
            action: if at.is_some() {
                "waitlist.join"
            } else {
                "waitlist.leave"
            },
            subject: &user.to_string(),
            reason: None,
            detail: json!({}),
        };
        tx.audit(&entry).await?;
        tx.jobs().enqueue(&job.row(context.services.now())).await?;
    }
    context.commit_and_publish(&job).await?;
    context.services.uncache_profile(community.id(), user).await;
    Ok(true)
}

fn on_list(context: &CommandContext<'_>, ranking: &RankingPosition, since: OffsetDateTime) -> CommandResult {
    let view = WaitlistView {
        since,
        standing: ranking.standing,
        entry: ranking.entry,
    };
    let (embed, buttons) = register_waitlist::on_list(&context.render_context()?, &view);
    Ok(Reply::Message(message(embed, buttons)))
}

fn left(context: &CommandContext<'_>) -> CommandResult {
    let (embed, buttons) = register_waitlist::left(&context.render_context()?);
    Ok(Reply::Message(message(embed, buttons)))
}
