//! The job `tier-sync`: assigns the roles of their tiers to one member, to several, or to all members of a community.
//!
//! Running it twice, or two at once, is safe: evaluations store the same tier, members with the right roles are skipped, and assigning
//! a role twice changes nothing. An attempt that was cancelled is repeated from the beginning: it reads Discord's list again (one call
//! for a thousand members) and changes only the remaining differences. A long sync runs in parts, each of which enqueues the next
//! with the last member that it has done.
//!
//! A sync of several members first compares all of them, which takes seconds for ten thousand, and then changes the roles of those that
//! differ, one a second, which is what Discord allows in a server. The progress counts the role changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use arrakis_contracts::JobKind;
use arrakis_contracts::job::{tier_sync_of_community, tier_sync_of_member};
use arrakis_domain::{RoleBindings, RoleDifference, RoleId, RoleKey, RoleProtection};
use serde::Deserialize;
use serde_json::{Value, json};
use twilight_model::guild::Member;
use twilight_model::id::Id;
use twilight_model::id::marker::{RoleMarker, UserMarker};

use super::{JobHandler, JobRequest, JobRun, PART, enqueue};
use crate::community::{Community, user_id};
use crate::failure::Failure;
use crate::roles::{self, BrokenRole, MemberEvaluation, evaluate_member, role_difference};

/// Members whose roles are changed between two updates of the progress. Each takes a second or more.
const PROGRESS_INTERVAL: usize = 5;
/// Members that are compared in one transaction.
const COMPARED_AT_ONCE: usize = 50;
/// Transactions of a comparison between two updates of the progress.
const COMPARED_INTERVAL: usize = 20;
/// Most members that the payload of the next part lists. With more, that part compares all members again.
const MAX_LISTED: usize = 1_000;
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
    /// Removes all tier roles of a protected member, whatever the rules assign. A member whom rules apply to again gets what they assign.
    #[serde(default)]
    remove_tier_roles: bool,
    /// Roles that were bound before, by the keys of that time, which members lose.
    #[serde(default)]
    retired: BTreeMap<RoleKey, Id<RoleMarker>>,
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

/// The removal of all tier roles of one member in one job, to enqueue. The member must be protected: the next sync would assign the
/// roles of the rules again.
pub fn removal_of_tier_roles(id: String, user: Id<UserMarker>) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::TierSync,
        payload: json!({"user": user, "remove_tier_roles": true}),
    }
}

/// A tier sync of all members after roles of the theme were bound to other roles of the server, or another theme took the place of the one
/// before, to enqueue. Members lose the roles `retired`, which are not bound any more.
pub fn after_role_change(id: String, retired: &RoleBindings) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::TierSync,
        payload: tier_sync_of_community(retired.iter().map(|(key, role)| (key, role.0))),
    }
}

/// The payload of a tier sync with further roles that members lose.
pub(crate) fn with_retired(mut payload: Value, retired: &RoleBindings) -> Value {
    for (key, role) in retired {
        // As text, as Discord writes ids.
        payload["retired"][key.as_str()] = json!(role.to_string());
    }
    payload
}

impl JobHandler for TierSync {
    fn kind(&self) -> JobKind {
        JobKind::TierSync
    }

    /// Retired roles, and the tier roles of a protected member, are removed by their job alone. A reconcile makes the other changes that were
    /// missed.
    fn waits_while_frozen(&self, payload: &Value) -> bool {
        Payload::deserialize(payload).is_ok_and(|payload| payload.remove_tier_roles || !payload.retired.is_empty())
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let payload = Payload::deserialize(run.payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of a tier sync: {error}")))?;
        if run.community.is_frozen() {
            tracing::info!("the community is frozen; no roles are changed");
            return Ok(());
        }
        match payload.user {
            Some(user) => sync_one(run, &payload, user).await,
            None => sync_listed(run, &payload).await,
        }
    }
}

async fn sync_one(run: &JobRun<'_>, payload: &Payload, user: Id<UserMarker>) -> Result<(), Failure> {
    let calls = run.services.discord.sync(run.community.guild());
    let Some(member) = calls.member(run.community.guild(), user).await? else {
        return Ok(());
    };
    let broken = sync(run, payload, user, &member.roles).await?;
    roles::record_broken(run.services, run.community, &broken).await
}

/// Syncs the members of the payload, or all members, until the part is over.
async fn sync_listed(run: &JobRun<'_>, payload: &Payload) -> Result<(), Failure> {
    let calls = run.services.discord.bulk(Some(run.community.guild()));
    let mut members = calls.members(run.community.guild(), payload.after).await?;
    let selected = payload.users.as_ref();
    members.retain(|member| !member.user.bot && selected.is_none_or(|users| users.contains(&member.user.id)));
    let differing = compare(run, payload, &members).await?;
    let total: usize = differing.iter().map(|differing| differing.changes).sum();
    // Counted from here, since reading and comparing the list may take longer than a part: each part syncs at least one member.
    let started = Instant::now();
    let mut broken: Vec<BrokenRole> = Vec::new();
    let mut made = 0;
    for (index, Differing { member, changes }) in differing.iter().enumerate() {
        if index % PROGRESS_INTERVAL == 0 {
            run.progress(made, Some(total)).await?;
        }
        // Evaluated again: since the comparison, minutes may have passed.
        for role in sync(run, payload, member.user.id, &member.roles).await? {
            // Once for each role, not for each member.
            if !broken.contains(&role) {
                broken.push(role);
            }
        }
        made += changes;
        let (_, rest) = differing.split_at(index + 1);
        if started.elapsed() > PART && !rest.is_empty() {
            run.progress(made, Some(total)).await?;
            roles::record_broken(run.services, run.community, &broken).await?;
            return enqueue_next_part(run, payload, member.user.id, rest).await;
        }
    }
    run.progress(made, Some(total)).await?;
    roles::record_broken(run.services, run.community, &broken).await
}

/// A member to sync.
struct Differing<'a> {
    member: &'a Member,
    /// Roles to assign and remove; 0 for a member who only lacks a role that is not bound.
    changes: usize,
}

/// Evaluates the members and returns those whose roles differ, and for each role that is not bound one member who lacks it. The
/// transactions are short, and none is open while Discord is called.
async fn compare<'a>(
    run: &JobRun<'_>,
    payload: &Payload,
    members: &'a [Member],
) -> Result<Vec<Differing<'a>>, Failure> {
    let (services, community) = (run.services, run.community);
    let started = Instant::now();
    let mut differing = Vec::new();
    let mut unbound: BTreeSet<RoleKey> = BTreeSet::new();
    for (index, chunk) in members.chunks(COMPARED_AT_ONCE).enumerate() {
        if index % COMPARED_INTERVAL == 0 {
            // The number of changes is not known yet.
            run.progress(0, None).await?;
        }
        let mut changed = Vec::new();
        let mut tx = services.database.tenant(community.id()).await?;
        let bindings = tx.communities().role_bindings().await?;
        for member in chunk {
            let profile = user_id(member.user.id)?;
            let evaluation = evaluate_member(&mut tx, community, profile, services.now()).await?;
            if evaluation.as_ref().is_some_and(|evaluation| evaluation.profile_changed) {
                changed.push(profile);
            }
            let difference = payload.difference(community, evaluation.as_ref(), &member.roles, &bindings);
            let known = unbound.len();
            unbound.extend(difference.unbound.iter().cloned());
            if !difference.is_empty() || unbound.len() > known {
                let changes = difference.add.len() + difference.remove.len();
                differing.push(Differing { member, changes });
            }
        }
        tx.commit().await?;
        for profile in changed {
            services.uncache_profile(community.id(), profile).await;
        }
    }
    tracing::info!(
        members = members.len(),
        differing = differing.len(),
        duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "compared the members' roles"
    );
    Ok(differing)
}

async fn enqueue_next_part(
    run: &JobRun<'_>,
    payload: &Payload,
    after: Id<UserMarker>,
    rest: &[Differing<'_>],
) -> Result<(), Failure> {
    let next = payload.part + 1;
    if next > MAX_PARTS {
        return Err(Failure::permanent(format!("not complete after {MAX_PARTS} parts")));
    }
    let base = run.id.split('+').next().unwrap_or(run.id);
    let mut next_payload = json!({"part": next, "after": after});
    // Members who have the right roles need no second comparison.
    if payload.users.is_some() || rest.len() <= MAX_LISTED {
        next_payload["users"] = rest.iter().map(|differing| json!(differing.member.user.id)).collect();
    }
    if !payload.retired.is_empty() {
        next_payload["retired"] = json!(payload.retired);
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
async fn sync(
    run: &JobRun<'_>,
    payload: &Payload,
    user: Id<UserMarker>,
    actual: &[Id<RoleMarker>],
) -> Result<Vec<BrokenRole>, Failure> {
    let (services, community) = (run.services, run.community);
    let profile = user_id(user)?;
    let mut tx = services.database.tenant(community.id()).await?;
    let evaluation = evaluate_member(&mut tx, community, profile, services.now()).await?;
    let bindings = tx.communities().role_bindings().await?;
    tx.commit().await?;
    if evaluation.as_ref().is_some_and(|evaluation| evaluation.profile_changed) {
        services.uncache_profile(community.id(), profile).await;
    }
    let difference = payload.difference(community, evaluation.as_ref(), actual, &bindings);
    let calls = services.discord.sync(community.guild());
    roles::change(services, &calls, community, user, &difference, "tier sync").await
}

impl Payload {
    /// The role changes of a member with the roles `actual`; `evaluation` is `None` for a member without a profile.
    fn difference(
        &self,
        community: &Community,
        evaluation: Option<&MemberEvaluation>,
        actual: &[Id<RoleMarker>],
        bindings: &RoleBindings,
    ) -> RoleDifference {
        let held: BTreeSet<RoleId> = actual.iter().map(|id| RoleId(id.get())).collect();
        let is_protected = evaluation.is_none_or(|evaluation| evaluation.protection == RoleProtection::Protected);
        if self.remove_tier_roles && is_protected {
            return community.theme.tier_role_removal(&held, bindings);
        }
        let mut difference = evaluation
            .map(|evaluation| role_difference(community, evaluation, actual, bindings))
            .unwrap_or_default();
        if evaluation.is_none_or(|evaluation| evaluation.protection == RoleProtection::None) {
            let retired = self.retired.iter().map(|(key, id)| (RoleId(id.get()), key.clone()));
            // A role that is bound again has a rule of the present theme.
            let lost = retired.filter(|(id, _)| held.contains(id) && bindings.values().all(|bound| bound != id));
            difference.remove.extend(lost);
        }
        difference
    }
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

    #[test]
    fn payload_after_a_change_of_roles_has_those_that_members_lose() {
        let retired: RoleBindings = [(RoleKey::new("naib").unwrap(), RoleId(7))].into();
        let request = after_role_change("id".to_owned(), &retired);
        assert_eq!(request.payload, json!({"retired": {"naib": "7"}}));
        let replaced = RoleBindings::from([(RoleKey::new("veteran").unwrap(), RoleId(9))]);
        let payload = with_retired(request.payload, &replaced);
        assert_eq!(with_retired(json!({}), &replaced), json!({"retired": {"veteran": "9"}}));
        let payload = Payload::deserialize(payload).unwrap();
        assert_eq!(
            payload.retired.into_values().collect::<Vec<_>>(),
            [Id::new(7), Id::new(9)]
        );
        assert_eq!(payload.user, None);
    }

    #[test]
    fn payload_after_a_restore_is_that_of_all_members() {
        let payload = Payload::deserialize(tier_sync_of_community::<&str>([])).unwrap();
        assert!(payload.user.is_none() && payload.users.is_none() && payload.retired.is_empty());
    }

    #[test]
    fn payload_of_a_removal_is_read() {
        let payload = Payload::deserialize(removal_of_tier_roles("id".to_owned(), Id::new(7)).payload).unwrap();
        assert!(payload.remove_tier_roles);
        assert_eq!(payload.user, Some(Id::new(7)));
    }
}
