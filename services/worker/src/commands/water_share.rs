//! `/water-share`: a holder of the shareable badge passes it on to one member: choose, confirm, done.
//!
//! No process keeps a state: the custom id of each component has what its press needs. The share, its audit entry, the
//! tier sync that follows and the claim commit together. A second run of one press finds the claim, changes nothing and sends the same
//! reply.

use arrakis_db::{Actor, NewAuditEntry, Profile, ShareOutcome, TenantTx, UserId};
use arrakis_domain::Badge;
use serde_json::json;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;
use twilight_util::builder::command::UserBuilder;

use super::{Command, CommandContext, Definition, component_user, outdated_component};
use crate::community::user_id;
use crate::interaction::invocation::InvocationData;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::{JobRequest, tier_sync};
use crate::render::water_share::{self, CHOOSE, GIVE, KEEP, NAME, NotShared, shared_badge};

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaterShare;

impl Command for WaterShare {
    fn definition(&self) -> Definition {
        Definition::new(
            NAME,
            "Share the badge that is passed on with one member; you can do it once",
        )
        .option(UserBuilder::new(
            "member",
            "Who receives it; chosen from a menu when left out",
        ))
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let selected = match &context.invocation.data {
            InvocationData::Command { options, .. } => options.user("member"),
            _ => None,
        };
        match selected {
            Some((receiver, _)) => confirm(context, user_id(receiver)?).await,
            None => choose(context).await,
        }
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match (arguments, &context.invocation.data) {
            ([CHOOSE], InvocationData::Component { values, .. }) => {
                let receiver = values.first().ok_or_else(outdated_component)?;
                confirm(context, component_user(receiver)?.1).await
            }
            ([GIVE, receiver], _) => give(context, component_user(receiver)?).await,
            ([KEEP], _) => {
                let embed = water_share::kept(&context.render_context()?, badge(context)?);
                Ok(Reply::Message(message(embed, Vec::new())))
            }
            _ => Err(outdated_component().into()),
        }
    }
}

/// Shows the menu of members.
async fn choose(context: &CommandContext<'_>) -> CommandResult {
    let badge = badge(context)?;
    let giver = user_id(context.invocation.author.id)?;
    check_giver(&mut *context.tx().await?, badge, giver).await?;
    let (embed, menu) = water_share::choose(&context.render_context()?, badge);
    Ok(Reply::Message(message(embed, menu)))
}

/// The question whether to share with this member.
async fn confirm(context: &CommandContext<'_>, receiver: UserId) -> CommandResult {
    let badge = badge(context)?;
    let giver = user_id(context.invocation.author.id)?;
    let profile = {
        let mut tx = context.tx().await?;
        check_giver(&mut tx, badge, giver).await?;
        let profile = check_receiver(&mut tx, badge, giver, receiver).await?;
        let held = tx.badges().of(receiver).await?;
        if held.iter().any(|held| held.badge == badge.id) {
            return Err(refusal(NotShared::HeldAlready(&profile.display_name), badge));
        }
        profile
    };
    let render = context.render_context()?;
    let (embed, buttons) = water_share::confirm(&render, badge, &profile.display_name, receiver.get());
    Ok(Reply::Message(message(embed, buttons)))
}

/// Shares with this member, once for each press.
async fn give(context: &CommandContext<'_>, (receiver, user): (Id<UserMarker>, UserId)) -> CommandResult {
    let badge = badge(context)?;
    let giver = user_id(context.invocation.author.id)?;
    let job = tier_sync::for_member(format!("tier-sync:badge:{}", context.invocation.id), receiver);
    let name = share(context, badge, (giver, user), &job).await?;
    context.commit_and_publish(&job).await?;
    let embed = water_share::shared(&context.render_context()?, badge, &name);
    Ok(Reply::Message(message(embed, Vec::new())))
}

async fn share(
    context: &CommandContext<'_>,
    badge: &Badge,
    (giver, receiver): (UserId, UserId),
    job: &JobRequest,
) -> Result<String, CommandError> {
    let mut tx = context.tx().await?;
    let profile = check_receiver(&mut tx, badge, giver, receiver).await?;
    if !tx.claim(&format!("{NAME}:{}", context.invocation.id)).await? {
        return Ok(profile.display_name);
    }
    let now = context.services.now();
    match tx.badges().share(giver, receiver, &badge.id, now).await? {
        ShareOutcome::Shared => {}
        ShareOutcome::NotHeld => return Err(refusal(NotShared::NotHeld, badge)),
        ShareOutcome::HeldAlready => return Err(refusal(NotShared::HeldAlready(&profile.display_name), badge)),
        ShareOutcome::SharedBefore(other) => {
            let name = name_of(&mut tx, other).await?;
            return Err(refusal(NotShared::SharedBefore(&name), badge));
        }
    }
    let entry = NewAuditEntry {
        actor: Actor::Member(giver),
        action: "badge.share",
        subject: &receiver.to_string(),
        reason: None,
        detail: json!({"badge": badge.id.as_str()}),
    };
    tx.audit(&entry).await?;
    tx.jobs().enqueue(&job.row(now)).await?;
    Ok(profile.display_name)
}

/// The badge that members of the community share, by its theme.
pub(super) fn badge<'a>(context: &'a CommandContext<'_>) -> Result<&'a Badge, CommandError> {
    let found = shared_badge(&context.community()?.theme);
    found.ok_or_else(|| {
        let (what, next) = NotShared::NoSuchBadge.sentences(None);
        Refusal::new(what, next).into()
    })
}

/// Refuses a giver who does not hold the badge, or has shared it.
async fn check_giver(tx: &mut TenantTx, badge: &Badge, giver: UserId) -> Result<(), CommandError> {
    let held = tx.badges().of(giver).await?;
    if held.iter().all(|held| held.badge != badge.id) {
        return Err(refusal(NotShared::NotHeld, badge));
    }
    let Some(other) = tx.badges().shared_with(giver, &badge.id).await? else {
        return Ok(());
    };
    let name = name_of(tx, other).await?;
    Err(refusal(NotShared::SharedBefore(&name), badge))
}

/// Refuses a receiver who is not in the server, or is the giver.
async fn check_receiver(
    tx: &mut TenantTx,
    badge: &Badge,
    giver: UserId,
    receiver: UserId,
) -> Result<Profile, CommandError> {
    if giver == receiver {
        return Err(refusal(NotShared::Oneself, badge));
    }
    let profile = tx.profiles().by_user(receiver).await?;
    let profile = profile.filter(|profile| profile.left_at.is_none());
    profile.ok_or_else(|| refusal(NotShared::Unknown, badge))
}

async fn name_of(tx: &mut TenantTx, user: UserId) -> Result<String, CommandError> {
    let profile = tx.profiles().by_user(user).await?;
    Ok(profile.map_or_else(|| user.to_string(), |profile| profile.display_name))
}

fn refusal(why: NotShared<'_>, badge: &Badge) -> CommandError {
    let (what, next) = why.sentences(Some(badge));
    Refusal::new(what, next).into()
}
