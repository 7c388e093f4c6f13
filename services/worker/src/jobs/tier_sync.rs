//! The job `tier-sync`: assigns the roles of their tiers to one member, to several, or to all members of a community.
//!
//! Running it twice, or two at once, is safe: evaluations store the same tier, members with the right roles are skipped, and assigning
//! a role twice changes nothing. An attempt that was cancelled is repeated from the beginning: it reads Discord's list again (one call
//! for a thousand members) and changes only the remaining differences. A long sync runs in parts, each of which enqueues the next
//! with the last member that it has done.

use std::collections::BTreeSet;
use std::time::Instant;

use arrakis_contracts::JobKind;
use arrakis_contracts::job::tier_sync_of_member;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use twilight_model::guild::Member;
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};

use super::{JobHandler, JobRequest, JobRun, PART, enqueue};
use crate::community::user_id;
use crate::failure::Failure;
use crate::roles::{self, BrokenRole, evaluate_member, role_difference};

/// Members between two updates of the progress.
const PROGRESS_INTERVAL: usize = 20;
/// Most parts of a sync. One that needs more has an error that another part does not repair.
const MAX_PARTS: u32 = 1_000;

/// The handler of `tier-sync`.
#[derive(Debug)]
pub struct TierSync;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    /// The one member to sync.
    user: Option<Id<UserMarker>>,
    /// The members to sync. Without `user` and `users` all members are synced.
    users: Option<BTreeSet<Id<UserMarker>>>,
    /// Number of this part of a long sync, counted from 0.
    #[serde(default)]
    part: u32,
    /// The last member of the part before. Discord lists members in the order of their ids.
    after: Option<Id<UserMarker>>,
}

/// A tier sync of one member, to enqueue.
pub fn for_member(id: String, user: Id<UserMarker>) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::TierSync,
        payload: tier_sync_of_member(user.get()),
    }
}

/// A tier sync of these members, to enqueue. It reads the list of all members, one call for a thousand; a job for each member would
/// need a call for each. It also takes one slot of the prefetch: Discord limits a server's role changes to one a second, so that jobs
/// for each member of a few servers would take all slots.
pub fn for_members(id: String, users: &[Id<UserMarker>]) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::TierSync,
        payload: json!({"users": users}),
    }
}

/// A tier sync of all members of a community, to enqueue.
pub fn for_community(id: String) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::TierSync,
        payload: json!({}),
    }
}

#[async_trait]
impl JobHandler for TierSync {
    fn kind(&self) -> JobKind {
        JobKind::TierSync
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let payload = Payload::deserialize(run.payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of a tier sync: {error}")))?;
        if run.community.is_frozen() {
            tracing::info!("the community is frozen; no roles are changed");
            return Ok(());
        }
        match payload.user {
            Some(user) => sync_one(run, user).await,
            None => sync_listed(run, &payload).await,
        }
    }
}

async fn sync_one(run: &JobRun<'_>, user: Id<UserMarker>) -> Result<(), Failure> {
    let calls = run.services.discord.sync(run.community.guild());
    let Some(member) = calls.member(run.community.guild(), user).await? else {
        return Ok(());
    };
    let broken = sync(run, user, &member.roles).await?;
    roles::record_broken(run.services, run.community, &broken).await
}

/// Syncs the members of the payload, or all members, until the part is over.
async fn sync_listed(run: &JobRun<'_>, payload: &Payload) -> Result<(), Failure> {
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let mut members = calls.members(run.community.guild(), payload.after).await?;
    let selected = payload.users.as_ref();
    members.retain(|member| !member.user.bot && selected.is_none_or(|users| users.contains(&member.user.id)));
    // Counted from here, since reading the list may take longer than a part: each part syncs at least one member.
    let started = Instant::now();
    let mut broken: Vec<BrokenRole> = Vec::new();
    for (done, member) in members.iter().enumerate() {
        if done % PROGRESS_INTERVAL == 0 {
            run.progress(done, Some(members.len())).await?;
        }
        for role in sync(run, member.user.id, &member.roles).await? {
            // Once for each role, not for each member.
            if !broken.contains(&role) {
                broken.push(role);
            }
        }
        let (_, rest) = members.split_at(done + 1);
        if started.elapsed() > PART && !rest.is_empty() {
            roles::record_broken(run.services, run.community, &broken).await?;
            return enqueue_next_part(run, payload, member.user.id, rest).await;
        }
    }
    run.progress(members.len(), Some(members.len())).await?;
    roles::record_broken(run.services, run.community, &broken).await
}

async fn enqueue_next_part(
    run: &JobRun<'_>,
    payload: &Payload,
    after: Id<UserMarker>,
    rest: &[Member],
) -> Result<(), Failure> {
    let next = payload.part + 1;
    if next > MAX_PARTS {
        return Err(Failure::permanent(format!("not complete after {MAX_PARTS} parts")));
    }
    let base = run.id.split('+').next().unwrap_or(run.id);
    let mut next_payload = json!({"part": next, "after": after});
    if payload.users.is_some() {
        next_payload["users"] = rest.iter().map(|member| json!(member.user.id)).collect();
    }
    let request = JobRequest {
        id: format!("{base}+{next}"),
        kind: JobKind::TierSync,
        payload: next_payload,
    };
    enqueue(run.services, run.community.id(), &request).await?;
    tracing::info!(next = request.id, "enqueued the next part of the tier sync");
    Ok(())
}

/// Evaluates a member and changes the roles that differ; returns those that could not be changed.
async fn sync(run: &JobRun<'_>, user: Id<UserMarker>, actual: &[Id<RoleMarker>]) -> Result<Vec<BrokenRole>, Failure> {
    let (services, community) = (run.services, run.community);
    let profile = user_id(user)?;
    let mut tx = services.database.tenant(community.id()).await?;
    let evaluation = evaluate_member(&mut tx, community, profile, services.now()).await?;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    let Some(evaluation) = evaluation else {
        return Ok(Vec::new());
    };
    if evaluation.tier_changed {
        services.uncache_profile(community.id(), profile).await;
    }
    let difference = role_difference(community, &evaluation, actual, &bindings);
    let calls = services.discord.sync(community.guild());
    roles::change(services, &calls, community, user, &difference, "tier sync").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_of_one_member_is_read() {
        let user = Id::new(1_234_567_890_123_456_789);
        let payload = Payload::deserialize(for_member("id".to_owned(), user).payload).unwrap();
        assert_eq!(payload.user, Some(user));
    }
}
