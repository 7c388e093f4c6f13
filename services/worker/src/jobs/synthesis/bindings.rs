//! The bindings of roles behind an apply, with the jobs that follow from them.
//!
//! Safe to repeat: a second run finds the bindings, and the ids of the jobs follow from the job's own.

use arrakis_db::{Actor, JobRow, JobState, NewAuditEntry, TenantTx, VersionCause};
use arrakis_domain::{RoleBindings, RoleId, RoleKey};
use arrakis_iac::live::LiveServer;
use arrakis_iac::model::Snowflake;
use serde_json::json;

use super::super::{JobOwner, JobRequest, JobRun, publish, reconcile, tier_sync};
use super::{AppliedServer, Payload};
use crate::configuration;
use crate::failure::Failure;
use crate::synthesis::Purpose;

/// Stores the bindings, with an audit entry and a version of the configuration, and enqueues what follows: a tier sync if a binding changed
/// and none waits, and a reconcile after a deploy. Members lose the roles that were bound before and are bound no more. `live` is the server before the apply.
pub(super) async fn store(
    run: &JobRun<'_>,
    wanted: &RoleBindings,
    live: &LiveServer,
    payload: &Payload,
    applied: &AppliedServer,
) -> Result<(), Failure> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let bound = tx.communities().role_bindings().await?;
    let changed = changed(wanted, &bound);
    let mut replaced = replaced(&changed, &bound);
    replaced.retain(|_, role| Snowflake::new(role.0).is_some_and(|id| live.role(id).is_some()));
    // A role of the server stands for one role of the theme: the other's binding goes first.
    for (_, role) in &changed {
        tx.communities().unbind_role(*role).await?;
    }
    for (key, role) in &changed {
        tx.communities().bind_role(key, *role).await?;
    }
    let follows = follows(run, &mut tx, payload, !changed.is_empty(), &replaced).await?;
    for job in &follows {
        tx.jobs().enqueue(&job.row(run.services.now())).await?;
    }
    if (applied.steps > 0 || !changed.is_empty()) && tx.claim(&format!("{}#applied", run.id)).await? {
        tx.audit(&NewAuditEntry {
            actor: Actor::System("synthesis".to_owned()),
            action: "server.applied",
            subject: run.id,
            reason: Some(payload.purpose.name()),
            detail: json!({
                "steps": applied.steps,
                "bound_roles": changed.len(),
                "replaced_roles": replaced.keys().map(RoleKey::as_str).collect::<Vec<_>>(),
                "left_out": applied.left_out,
            }),
        })
        .await?;
    }
    let cause = VersionCause {
        cause: payload.purpose.name(),
        by: "synthesis",
        at: run.services.now(),
    };
    configuration::record(&mut tx, &run.services.themes, cause).await?;
    tx.commit().await?;
    for job in &follows {
        let owner = JobOwner::Community(run.community.id());
        publish(&run.services.publisher, owner, &job.id, job.kind).await;
    }
    Ok(())
}

/// The jobs that follow. The tier sync that waits for this one takes the replaced roles from members, if it has not begun.
async fn follows(
    run: &JobRun<'_>,
    tx: &mut TenantTx,
    payload: &Payload,
    is_changed: bool,
    replaced: &RoleBindings,
) -> Result<Vec<JobRequest>, Failure> {
    let mut follows = Vec::new();
    if payload.purpose == Purpose::Deploy {
        // The members of a new community have no profiles yet: its reconcile stores them, and enqueues tier syncs.
        follows.push(reconcile::request(&format!("reconcile:{}", run.id)));
    }
    let waiting = match &payload.tier_sync {
        Some(id) => tx.jobs().get(id).await?.filter(|job| job.state == JobState::Queued),
        None => None,
    };
    if replaced.is_empty() {
        let is_due = payload.purpose == Purpose::Repair && waiting.is_none() && is_changed;
        follows.extend(is_due.then(|| tier_sync::for_community(tier_sync_id(run))));
    } else if !take_over(tx, waiting, replaced).await? {
        follows.push(tier_sync::after_role_change(tier_sync_id(run), replaced));
    }
    Ok(follows)
}

fn tier_sync_id(run: &JobRun<'_>) -> String {
    format!("tier-sync:{}", run.id)
}

/// Adds the replaced roles to those that a waiting tier sync takes from members. False if none waits any more.
async fn take_over(tx: &mut TenantTx, waiting: Option<JobRow>, replaced: &RoleBindings) -> Result<bool, Failure> {
    match waiting {
        Some(job) => {
            let payload = tier_sync::with_retired(job.payload, replaced);
            Ok(tx.jobs().set_payload(&job.id, &payload).await?)
        }
        None => Ok(false),
    }
}

/// The wanted bindings that are not there.
fn changed(wanted: &RoleBindings, bound: &RoleBindings) -> Vec<(RoleKey, RoleId)> {
    wanted
        .iter()
        .filter(|(key, role)| bound.get(*key) != Some(*role))
        .map(|(key, role)| (key.clone(), *role))
        .collect()
}

/// The bound roles in whose place others are bound, unless another role of the theme is bound to them.
fn replaced(changed: &[(RoleKey, RoleId)], bound: &RoleBindings) -> RoleBindings {
    let mut after = bound.clone();
    after.retain(|_, role| changed.iter().all(|(_, new)| *new != *role));
    after.extend(changed.iter().cloned());
    let is_replaced = |key: &RoleKey, role: &RoleId| {
        changed.iter().any(|(changed, _)| changed == key) && after.values().all(|bound| bound != role)
    };
    let before = bound.iter().filter(|(key, role)| is_replaced(key, role));
    before.map(|(key, role)| (key.clone(), *role)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings<const N: usize>(all: [(&str, u64); N]) -> RoleBindings {
        all.into_iter()
            .map(|(key, id)| (RoleKey::new(key).unwrap(), RoleId(id)))
            .collect()
    }

    #[test]
    fn only_different_bindings_are_stored() {
        let wanted = bindings([("naib", 1), ("usul", 2)]);
        let bound = bindings([("naib", 1), ("usul", 3)]);
        assert_eq!(changed(&wanted, &bound), [(RoleKey::new("usul").unwrap(), RoleId(2))]);
    }

    #[test]
    fn role_that_is_bound_no_more_is_replaced() {
        let bound = bindings([("naib", 1), ("usul", 2), ("taqwa", 3)]);
        let replaced_by = |wanted: &RoleBindings| replaced(&changed(wanted, &bound), &bound);
        assert_eq!(replaced_by(&bindings([("usul", 9)])), bindings([("usul", 2)]));
        // Another role of the theme is bound to it from now on: its rules decide who has it.
        assert_eq!(
            replaced_by(&bindings([("naib", 2), ("usul", 9)])),
            bindings([("naib", 1)])
        );
        assert_eq!(replaced_by(&bindings([("naib", 2), ("usul", 1)])), bindings([]));
        // Taqwa's role stays in use.
        assert_eq!(replaced_by(&bindings([("naib", 3)])), bindings([("naib", 1)]));
        assert_eq!(replaced_by(&bindings([("hajra", 7)])), bindings([]));
    }
}
