//! `gaib server theme rollback`: takes a server back to an earlier deployment, by the restore of its snapshot.

use arrakis_iac::grammar::counted;
use arrakis_vault::{Deployment, RecordKind, RollbackTo, ThemeRegistry};
use serde_json::json;
use uuid::Uuid;

use crate::arguments::theme::Rollback;
use crate::backups::{Backups, refuse_unsigned};
use crate::commands::snapshot::{self, Journal, RestoreJob};
use crate::context::Context;
use crate::error::{Failure, Result};

pub(super) async fn run(context: &Context, arguments: &Rollback) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let registry = backups.vault.theme_registry(backups.server()).await?;
    let interrupted = Journal::read(&backups.workspace)?;
    let recorded = interrupted.as_ref().and_then(|journal| recorded(journal, &registry));
    if let Some(rollback) = recorded {
        // It was interrupted after its record: only the journal is left.
        remove(interrupted)?;
        if arguments.to.is_none_or(|id| rollback.restored == Some(id)) {
            report_complete(context, rollback);
            return Ok(());
        }
        return roll_back(context, backups, arguments, &registry, None).await;
    }
    roll_back(context, backups, arguments, &registry, interrupted.as_ref()).await
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
    registry: &ThemeRegistry,
    interrupted: Option<&Journal>,
) -> Result<()> {
    let to = match arguments.to {
        Some(id) => RollbackTo::Id(id),
        None => RollbackTo::Steps(usize::from(arguments.steps.unwrap_or(1))),
    };
    let limit = backups.vault.theme_history(backups.server()).await?;
    let (target, snapshot) = registry.target(to, limit).map_err(Failure::new)?;
    require_snapshot(&backups, target, snapshot).await?;
    let origin = registry.origin(target);
    for deployment in [target, origin] {
        require_signature(&backups, deployment, arguments).await?;
    }
    let continued = interrupted.and_then(Journal::rollback);
    let continued = continued.filter(|rollback| rollback.target == target.id);
    let steps = registry
        .deployments
        .iter()
        .rev()
        .position(|other| other.id == target.id);
    context.printer.note(&format!(
        "Rollback to the deployment {} of {} {}, {} before the last one.",
        target.id,
        target.theme.name,
        target.theme.version,
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
async fn require_signature(backups: &Backups, deployment: &Deployment, arguments: &Rollback) -> Result<()> {
    backups.vault.verify_deployment(backups.server(), deployment).await?;
    let permits = arguments.allow_unsigned || arguments.confirmed.dry_run;
    match deployment.signature.is_some() || permits {
        true => Ok(()),
        false => Err(refuse_unsigned(&format!("the deployment {}", deployment.id))),
    }
}

/// Refuses a target whose snapshot expired or was deleted.
async fn require_snapshot(backups: &Backups, target: &Deployment, snapshot: Uuid) -> Result<()> {
    let found = backups.find(RecordKind::Snapshot, snapshot).await;
    found.map(drop).map_err(|failure| {
        Failure::new(format!(
            "the deployment {} cannot be restored: {}",
            target.id,
            failure.summary()
        ))
        .help(
            "`gaib server theme history` lists the deployments with their snapshots, and `gaib server snapshot list` the snapshots that \
             are kept",
        )
    })
}
