//! `gaib server theme rollback`: takes a server back to an earlier deployment, by the restore of its snapshot.

use arrakis_iac::grammar::counted;
use arrakis_vault::{Deployment, RecordKind, RollbackTo, ThemeRegistry};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::arguments::id::IdArgument;
use crate::arguments::theme::Rollback;
use crate::backups::{Backups, refuse_unsigned, time_text, warn_unsigned};
use crate::commands::deployment::described;
use crate::commands::snapshot::{self, Journal, RestoreJob};
use crate::context::Context;
use crate::error::{Failure, Result};

pub(super) async fn run(context: &Context, arguments: &Rollback) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let registry = backups.vault.theme_registry(backups.server()).await?;
    let to = arguments
        .to
        .as_ref()
        .map(|to| deployment_id(to, &registry))
        .transpose()?;
    let interrupted = Journal::read(&backups.workspace)?;
    let recorded = interrupted.as_ref().and_then(|journal| recorded(journal, &registry));
    if let Some(rollback) = recorded {
        // It was interrupted after its record: only the journal is left.
        remove(interrupted)?;
        if to.is_none_or(|id| rollback.restored == Some(id)) {
            report_complete(context, rollback);
            return Ok(());
        }
        return roll_back(context, backups, arguments, to, &registry, None).await;
    }
    roll_back(context, backups, arguments, to, &registry, interrupted.as_ref()).await
}

/// The id of the deployment that `--to` names. `latest` is the last one.
fn deployment_id(to: &IdArgument, registry: &ThemeRegistry) -> Result<Uuid> {
    if let Some(id) = to.whole() {
        return Ok(id);
    }
    let newest_first = registry.deployments.iter().rev();
    let found = to.only("deployment", newest_first, |deployment| {
        (deployment.id.to_string(), time_text(deployment.time))
    })?;
    let found = found.ok_or_else(|| to.not_found("deployment", "gaib server theme history"))?;
    Ok(found.id)
}

/// The interrupted rollback in the registry; `None` where it is not recorded yet.
fn recorded<'a>(journal: &Journal, registry: &'a ThemeRegistry) -> Option<&'a Deployment> {
    let id = journal.rollback()?.deployment;
    registry.deployments.iter().find(|deployment| deployment.id == id)
}

fn remove(journal: Option<Journal>) -> Result<()> {
    journal.map_or(Ok(()), Journal::remove)
}

fn report_complete(context: &Context, rollback: &Deployment) {
    context.printer.message(&json!({
        "type": "restore_complete", "snapshot": rollback.snapshot, "changed": false, "deployment": rollback.id,
    }));
    context.printer.text(&format!(
        "The interrupted rollback to {} {} is complete and recorded as {}; nothing was changed.\n",
        rollback.theme.name, rollback.theme.version, rollback.id
    ));
}

async fn roll_back(
    context: &Context,
    backups: Backups,
    arguments: &Rollback,
    to: Option<Uuid>,
    registry: &ThemeRegistry,
    interrupted: Option<&Journal>,
) -> Result<()> {
    let to = match to {
        Some(id) => RollbackTo::Id(id),
        None => RollbackTo::Steps(usize::from(arguments.steps.unwrap_or(1))),
    };
    let limit = backups.vault.theme_history(backups.server()).await?;
    let found = match registry.target(to, limit) {
        Ok((target, snapshot)) => match backups.find(RecordKind::Snapshot, snapshot).await {
            Ok(_) => Ok((target, snapshot)),
            // It expired or was deleted.
            Err(failure) => Err(format!(
                "the deployment {} cannot be restored: {}",
                target.id,
                failure.summary()
            )),
        },
        Err(error) => Err(error.to_string()),
    };
    let (target, snapshot) = match found {
        Ok(found) => found,
        Err(reason) => return Err(Failure::new(reason).help(ways_back(&backups, registry, to, limit).await)),
    };
    let origin = registry.origin(target);
    require_signature(context, &backups, target, arguments).await?;
    if origin.id != target.id {
        require_signature(context, &backups, origin, arguments).await?;
    }
    let continued = interrupted.and_then(Journal::rollback);
    let continued = continued.filter(|rollback| rollback.target == target.id);
    let steps = registry
        .deployments
        .iter()
        .rev()
        .position(|other| other.id == target.id);
    context.printer.note(&format!(
        "Rollback to the deployment {} {}, {} before the last one.",
        target.id,
        described(target),
        counted(steps.unwrap_or_default(), "deployment")
    ));
    let job = RestoreJob {
        backups,
        snapshot,
        rollback: Some(snapshot::Rollback {
            id: continued.map_or_else(Uuid::new_v4, |rollback| rollback.deployment),
            target: target.clone(),
            origin: origin.clone(),
            message: arguments.message.clone(),
        }),
        confirmed: arguments.confirmed.clone(),
        with_members: !arguments.no_members,
    };
    Box::pin(job.run(context)).await
}

/// Refuses a deployment whose signature does not show that it is as it was recorded.
async fn require_signature(
    context: &Context,
    backups: &Backups,
    deployment: &Deployment,
    arguments: &Rollback,
) -> Result<()> {
    backups.vault.verify_deployment(backups.server(), deployment).await?;
    if deployment.signature.is_some() || arguments.allow_unsigned {
        return Ok(());
    }
    let what = format!("the deployment {}", deployment.id);
    if !arguments.confirmed.dry_run {
        return Err(refuse_unsigned(&what));
    }
    warn_unsigned(context.printer, &what);
    Ok(())
}

/// How to go back where the target of a rollback cannot be restored: the snapshot from before the deployments that it would undo, and the
/// newest deployment that can be restored.
async fn ways_back(backups: &Backups, registry: &ThemeRegistry, to: RollbackTo, limit: usize) -> String {
    let mut ways = Vec::new();
    let undone = registry.first_undone(to, limit);
    if let Some((undone, before)) = undone.and_then(|undone| Some((undone, undone.snapshot_before?)))
        && is_kept(backups, before).await
    {
        ways.push(format!(
            "`gaib server snapshot restore {before} --apply` restores the server from before the deployment {}",
            described(undone)
        ));
    }
    for deployment in registry.restorable(limit) {
        let Some(snapshot) = deployment.snapshot else { continue };
        if is_kept(backups, snapshot).await {
            ways.push(format!(
                "`gaib server theme rollback --to {}` restores the newest earlier deployment with a snapshot, {}",
                deployment.id,
                described(deployment)
            ));
            break;
        }
    }
    if ways.is_empty() {
        ways.push(
            "`gaib server theme history` lists the deployments, and `gaib server snapshot list` the snapshots; from now on, `gaib server apply \
             --snapshot` stores them"
                .to_owned(),
        );
    }
    ways.join("; ")
}

/// Whether a snapshot is still listed.
async fn is_kept(backups: &Backups, snapshot: Uuid) -> bool {
    let (server, now) = (backups.server(), OffsetDateTime::now_utc());
    let found = backups.vault.find(RecordKind::Snapshot, snapshot, server, now);
    found.await.is_ok()
}
