//! Structure: whether roles, categories and channels are as the manifest has them. Differences are repaired by a job `synthesis`.

use std::sync::Arc;

use arrakis_contracts::proxy::Urgency;
use arrakis_iac::plan::{Action, Change};
use arrakis_iac_apply::NoProgress;

use super::super::{JobRun, enqueue, synthesis as job};
use super::{Mode, drift};
use crate::failure::Failure;
use crate::reconcile_report::{ReconcileReport, StructureReport};
use crate::synthesis::{self, Manifest, PlannedServer, Purpose, plan_server};

/// Compares the server with the manifest in force.
pub(super) async fn check(run: &JobRun<'_>, mode: Mode, report: &mut ReconcileReport) -> Result<(), Failure> {
    let (services, community) = (run.services, run.community);
    let mut tx = services.database.tenant(community.id()).await?;
    let manifest = tx.manifests().latest().await?;
    let state = tx.server_state().get().await?;
    tx.commit().await?;
    let Some(manifest) = manifest else {
        report.structure = StructureReport::NotManaged;
        report.drift = drift::of_settings(run).await?;
        return Ok(());
    };
    let manifest = Manifest::read(&manifest.manifest)?;
    let theme = services.themes.theme(&manifest.theme).map_err(Failure::permanent)?;
    let guild = community.guild();
    let client = synthesis::connect(
        services,
        guild,
        Some(community.id()),
        Urgency::Bulk,
        Arc::new(NoProgress),
    )?;
    let lineage = community.id().to_string();
    let planned = plan_server(&client, guild.get(), &manifest, theme, state.as_ref(), &lineage).await?;
    for finding in planned.left_out.findings.iter().chain(planned.blocking()) {
        let names: Vec<String> = finding.addresses.iter().map(ToString::to_string).collect();
        let name = if names.is_empty() {
            finding.rule.clone()
        } else {
            names.join(", ")
        };
        report.add_broken(name, &format!("{}; {}", finding.what, finding.what_to_do));
    }
    report.structure = compared(&planned);
    report.drift = drift::of_server(run, &planned, state.as_ref()).await?;
    if let StructureReport::Differs { job, .. } = &mut report.structure
        && mode == Mode::Repair
        && !community.is_frozen()
        && planned.check().is_ok()
    {
        let request = job::request(format!("synthesis:{}", run.id), Purpose::Repair);
        enqueue(services, community.id(), &request).await?;
        *job = Some(request.id);
    }
    Ok(())
}

fn compared(planned: &PlannedServer) -> StructureReport {
    if planned.is_empty() {
        return StructureReport::Equal;
    }
    StructureReport::Differs {
        changes: ReconcileReport::named(changes(planned)),
        job: None,
    }
}

/// What a server lacks, one line for each change; empty when nothing is to be sent.
pub(super) fn changes(planned: &PlannedServer) -> Vec<String> {
    if planned.is_empty() {
        return Vec::new();
    }
    let changes = planned.plan.changes.iter().map(described);
    let reorders = planned.plan.reorders.iter();
    changes
        .chain(reorders.map(|reorder| format!("reorder {}", reorder.of)))
        .collect()
}

/// One line about a change, with the name that Discord shows.
fn described(change: &Change) -> String {
    let verb = match change.action {
        Action::Create => "create",
        Action::Update => "change",
        Action::Replace => "replace",
        Action::Delete => "delete",
        Action::Adopt => "adopt",
        Action::Forget => "forget",
    };
    let kind = change.address.kind().noun();
    let name = change.name.clone().unwrap_or_else(|| change.address.to_string());
    match change.fields.as_slice() {
        [] => format!("{verb} {kind} {name}"),
        fields => format!("{verb} {kind} {name} ({})", fields.join(", ")),
    }
}
