//! The job `reconcile`: compares Discord's members and roles with Postgres. It stores joins and leaves whose events were missed,
//! enqueues tier syncs for members whose roles differ, and records roles that do not exist or that the bot cannot assign.
//!
//! Running it twice, or two at once, is safe: it stores what the missed events would have stored, and the ids of the tier syncs are
//! made of its own id, so that a second run enqueues none. A broken role does not affect the others.

use std::collections::BTreeSet;

use arrakis_contracts::JobKind;
use arrakis_db::{Actor, NewAuditEntry, UserId};
use arrakis_domain::RoleBindings;
use async_trait::async_trait;
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::guild::{Member, Permissions, Role};
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};

use super::{JobHandler, JobRequest, JobRun, enqueue, tier_sync};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::display_name;
use crate::roles::{self, BrokenRole, evaluate_member, role_difference};

/// Hours between two scheduled reconciles of a community.
const SLOT_HOURS: u8 = 6;
/// Members between two updates of the progress.
const PROGRESS_INTERVAL: usize = 50;
/// Members in one page of Discord's list.
const DISCORD_PAGE: usize = 1_000;
/// With more differing members than this, the tier sync is of the whole community, so that its payload stays small.
const MAX_LISTED: usize = 1_000;
/// From this number of missing members on, the list is not accepted if they are more than half of the community.
const MIN_IMPLAUSIBLE: usize = 20;
/// Error bound of Discord's clock. A member who joined while the list was read must not be marked as left; a leave within this time
/// before it is stored by the next reconcile.
const CLOCK_ERROR: time::Duration = time::Duration::seconds(2);
/// Profiles in one page that is read from Postgres.
const DATABASE_PAGE: u32 = 500;

/// The handler of `reconcile`.
#[derive(Debug)]
pub struct Reconcile;

/// Id of the scheduled reconcile of the present time slot: `reconcile:2026-11-21T06`.
pub fn scheduled_id(now: OffsetDateTime) -> String {
    let hour = now.hour() - now.hour() % SLOT_HOURS;
    format!("reconcile:{}T{hour:02}", now.date())
}

/// Id of a reconcile after a possible session gap, which this event shows. A redelivered event has the same id.
pub fn gap_id(event: &str) -> String {
    format!("reconcile:gap:{event}")
}

/// A reconcile with this id, to enqueue.
pub fn request(id: &str) -> JobRequest {
    JobRequest {
        id: id.to_owned(),
        kind: JobKind::Reconcile,
        payload: json!({}),
    }
}

#[async_trait]
impl JobHandler for Reconcile {
    fn kind(&self) -> JobKind {
        JobKind::Reconcile
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let calls = run.services.discord.bulk(Some(run.community.guild()));
        let roles = calls.roles(run.community.guild()).await?;
        let listed_at = run.services.now() - CLOCK_ERROR;
        let members = calls.members(run.community.guild(), None).await?;
        run.progress(0, Some(members.len())).await?;
        let bindings = check_roles(run, &roles, &members).await?;
        let members: Vec<Member> = members.into_iter().filter(|member| !member.user.bot).collect();
        let left = store_missed_leaves(run, &members, listed_at).await?;
        let (joined, differing) = compare(run, &members, &bindings).await?;
        enqueue_tier_syncs(run, members.len(), &differing).await?;
        if left + joined + differing.len() > 0 {
            tracing::info!(left, joined, differing = differing.len(), "reconcile found differences");
        }
        run.progress(members.len(), Some(members.len())).await
    }
}

/// Records bound roles that do not exist or that the bot cannot assign; returns the bindings to existing roles.
async fn check_roles(run: &JobRun<'_>, roles: &[Role], members: &[Member]) -> Result<RoleBindings, Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let mut bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    // The bot's user id equals the application id, except for applications older than 2016.
    let bot = run.services.discord.application().get();
    let bot = members.iter().find(|member| member.user.id.get() == bot);
    let mut broken = Vec::new();
    for (key, role) in &bindings {
        let (reason, deleted) = match roles.iter().find(|candidate| candidate.id.get() == role.0) {
            None => ("the role was deleted in the server".to_owned(), true),
            Some(role) => match bot.and_then(|bot| obstacle(role, bot, roles, run.community.guild().cast())) {
                Some(reason) => (reason, false),
                None => continue,
            },
        };
        broken.push(BrokenRole {
            key: key.clone(),
            role: Some(*role),
            reason,
            deleted,
        });
    }
    roles::record_broken(run.services, run.community, &broken).await?;
    for deleted in broken.iter().filter(|role| role.deleted) {
        bindings.remove(&deleted.key);
    }
    Ok(bindings)
}

/// Why the bot cannot assign a role; `None` if it can. `everyone` is the id of @everyone, which equals the server's id.
fn obstacle(role: &Role, bot: &Member, roles: &[Role], everyone: Id<RoleMarker>) -> Option<String> {
    let has = |role: &&Role| role.id == everyone || bot.roles.contains(&role.id);
    let permissions = roles
        .iter()
        .filter(has)
        .fold(Permissions::empty(), |all, role| all | role.permissions);
    if role.managed {
        return Some("it is managed by an integration and cannot be assigned".to_owned());
    }
    if !permissions.intersects(Permissions::MANAGE_ROLES | Permissions::ADMINISTRATOR) {
        return Some("the bot lacks the permission Manage Roles".to_owned());
    }
    // `Role` is ordered by position: the higher role is the greater.
    let highest = roles.iter().filter(has).max();
    if highest.is_some_and(|highest| highest > role) {
        return None;
    }
    Some(format!(
        "it is above the bot's highest role; move the bot's role above \"{}\"",
        role.name
    ))
}

/// Marks profiles as left that are not in the list; returns their number. `listed_at` is the time of the list: a member who joined
/// later is not in it.
async fn store_missed_leaves(
    run: &JobRun<'_>,
    members: &[Member],
    listed_at: OffsetDateTime,
) -> Result<usize, Failure> {
    let listed: BTreeSet<u64> = members.iter().map(|member| member.user.id.get()).collect();
    let stored = stored_members(run).await?;
    let missing: Vec<UserId> = stored
        .iter()
        .filter(|user| !listed.contains(&user.get()))
        .copied()
        .collect();
    if missing.len() >= MIN_IMPLAUSIBLE && missing.len() * 2 > stored.len() {
        // The list is incomplete: half a community does not leave between two reconciles.
        tracing::error!(
            missing = missing.len(),
            stored = stored.len(),
            "the list of members from Discord is implausibly short; no member is marked as left"
        );
        return audit(run, "reconcile.list_not_believed", missing.len())
            .await
            .map(|()| 0);
    }
    for chunk in missing.chunks(PROGRESS_INTERVAL) {
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        for user in chunk {
            // The same as for a leave event, in any order with one and any number of times.
            if tx.profiles().leave(*user, listed_at).await? {
                tx.audit(&NewAuditEntry {
                    actor: Actor::System("reconcile".to_owned()),
                    action: "member.left",
                    subject: &user.to_string(),
                    reason: Some("not in the list of members; the event was missed"),
                    detail: json!({}),
                })
                .await?;
            }
        }
        tx.commit().await?;
        for user in chunk {
            run.services.uncache_profile(run.community.id(), *user).await;
        }
    }
    Ok(missing.len())
}

async fn audit(run: &JobRun<'_>, action: &'static str, count: usize) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    // A repeated run of the job records it once.
    if tx.claim(&format!("{}#{action}", run.id)).await? {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("reconcile".to_owned()),
            action,
            subject: run.id,
            reason: None,
            detail: json!({"missing_members": count}),
        })
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The members who are in the server according to Postgres.
async fn stored_members(run: &JobRun<'_>) -> Result<Vec<UserId>, Failure> {
    let token = &run.community.record.token_profile;
    let mut all: Vec<UserId> = Vec::new();
    loop {
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        let page = tx
            .profiles()
            .standings(token, all.last().copied(), DATABASE_PAGE)
            .await?;
        tx.commit().await?;
        let last = page.len() < DATABASE_PAGE as usize;
        all.extend(page.into_iter().map(|member| member.user));
        if last {
            return Ok(all);
        }
    }
}

/// Stores members without a profile; returns their number and the members whose roles differ.
async fn compare(
    run: &JobRun<'_>,
    members: &[Member],
    bindings: &RoleBindings,
) -> Result<(usize, Vec<Id<UserMarker>>), Failure> {
    let mut joined = 0;
    let mut differing = Vec::new();
    for (index, chunk) in members.chunks(PROGRESS_INTERVAL).enumerate() {
        run.progress(index * PROGRESS_INTERVAL, Some(members.len())).await?;
        let now = run.services.now();
        let mut tx = run.services.database.tenant(run.community.id()).await?;
        for member in chunk {
            let user = user_id(member.user.id)?;
            let profile = tx.profiles().by_user(user).await?;
            if profile.is_none_or(|profile| profile.left_at.is_some()) {
                tx.profiles()
                    .join(user, &name(member), joined_at(member).unwrap_or(now))
                    .await?;
                joined += 1;
            }
            let Some(evaluation) = evaluate_member(&mut tx, run.community, user, now).await? else {
                continue;
            };
            if !role_difference(run.community, &evaluation, &member.roles, bindings).is_empty() {
                differing.push(member.user.id);
            }
        }
        tx.commit().await?;
    }
    Ok((joined, differing))
}

/// The name that the server shows.
pub(super) fn name(member: &Member) -> String {
    member.nick.clone().unwrap_or_else(|| display_name(&member.user))
}

/// When the member joined, by Discord's clock.
pub(super) fn joined_at(member: &Member) -> Option<OffsetDateTime> {
    let micros = i128::from(member.joined_at?.as_micros());
    OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).ok()
}

async fn enqueue_tier_syncs(
    run: &JobRun<'_>,
    member_count: usize,
    differing: &[Id<UserMarker>],
) -> Result<(), Failure> {
    if run.community.is_frozen() {
        return Ok(());
    }
    let community = run.community.id();
    // A sync of one member reads that member, a sync of several reads the pages of all members. The way with fewer calls is taken.
    if differing.len() > member_count.div_ceil(DISCORD_PAGE) {
        let id = format!("tier-sync:{}", run.id);
        let request = if differing.len() > MAX_LISTED {
            tier_sync::for_community(id)
        } else {
            tier_sync::for_members(id, differing)
        };
        return enqueue(run.services, community, &request).await.map(drop);
    }
    for user in differing {
        let request = tier_sync::for_member(format!("tier-sync:{}:{user}", run.id), *user);
        enqueue(run.services, community, &request).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn scheduled_id_contains_the_slot_of_six_hours() {
        assert_eq!(scheduled_id(datetime!(2026-11-21 05:59 UTC)), "reconcile:2026-11-21T00");
        assert_eq!(scheduled_id(datetime!(2026-11-21 06:00 UTC)), "reconcile:2026-11-21T06");
        assert_eq!(scheduled_id(datetime!(2026-11-21 23:10 UTC)), "reconcile:2026-11-21T18");
        assert_eq!(gap_id("7f3a"), "reconcile:gap:7f3a");
    }
}
