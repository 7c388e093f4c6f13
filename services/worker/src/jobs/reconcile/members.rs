//! Members: joins and leaves whose events were missed, and roles that differ from the evaluation.

use std::collections::BTreeSet;

use arrakis_db::{Actor, NewAuditEntry, UserId};
use arrakis_domain::RoleBindings;
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::guild::Member;
use twilight_model::id::Id;
use twilight_model::id::marker::UserMarker;

use super::super::{JobRun, enqueue, tier_sync};
use super::{Mode, bindings};
use crate::community::user_id;
use crate::failure::Failure;
use crate::interaction::invocation::display_name;
use crate::reconcile_report::ReconcileReport;
use crate::roles::{evaluate_member, role_difference};

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

/// Compares the members that Discord lists with the stored profiles, and each member's roles with those of the evaluation.
///
/// Joins and leaves whose events were missed are stored in every mode. In [`Mode::Repair`], tier syncs are enqueued for the members whose
/// roles differ; roles themselves are never changed here. The counts, and the roles that the bot cannot assign, are added to `report`.
///
/// # Errors
/// If Discord or Postgres is unavailable.
pub(super) async fn check(run: &JobRun<'_>, mode: Mode, report: &mut ReconcileReport) -> Result<(), Failure> {
    // Before Discord's lists: a role that is created and bound meanwhile is missing there and would count as deleted.
    let bindings = bindings::stored(run).await?;
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let roles = calls.roles(run.community.guild()).await?;
    let listed_at = run.services.now() - CLOCK_ERROR;
    let members = calls.members(run.community.guild(), None).await?;
    run.progress(0, Some(members.len())).await?;
    let bindings = bindings::check(run, bindings, &roles, &members, report).await?;
    let members: Vec<Member> = members.into_iter().filter(|member| !member.user.bot).collect();
    report.members = members.len();
    report.left = store_missed_leaves(run, &members, listed_at).await?;
    let (joined, differing) = compare(run, &members, &bindings).await?;
    (report.joined, report.differing) = (joined, differing.len());
    if mode == Mode::Repair {
        enqueue_tier_syncs(run, members.len(), &differing).await?;
    }
    run.progress(members.len(), Some(members.len())).await
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
pub(in crate::jobs) fn name(member: &Member) -> String {
    member.nick.clone().unwrap_or_else(|| display_name(&member.user))
}

/// When the member joined, by Discord's clock.
pub(in crate::jobs) fn joined_at(member: &Member) -> Option<OffsetDateTime> {
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
