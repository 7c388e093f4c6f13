//! Checks of backups and snapshots. Nothing is written.

use arrakis_iac::grammar::counted;
use arrakis_vault::{BackupRecord, RecordKind, VaultError};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::arguments::backup::Verify;
use crate::backups::Backups;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Severity;

pub(super) async fn run(context: &Context, arguments: &Verify) -> Result<ExitStatus> {
    let backups = Backups::open(context, &arguments.server).await?;
    match arguments.id {
        Some(id) => one(context, &backups, RecordKind::Backup, id).await,
        None => all(context, &backups).await,
    }
}

/// Checks one backup or snapshot.
pub(in crate::commands) async fn one(
    context: &Context,
    backups: &Backups,
    kind: RecordKind,
    id: Uuid,
) -> Result<ExitStatus> {
    let record = backups.find(kind, id).await?;
    let checked = backups.vault.verify(&record).await;
    report(context, &record, checked.as_ref().copied());
    match checked {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error) if error.is_damage() => {
            report_damage(context, &error);
            Ok(ExitStatus::Error)
        }
        Err(error) => Err(error.into()),
    }
}

async fn all(context: &Context, backups: &Backups) -> Result<ExitStatus> {
    let mut progress = |record: &BackupRecord, checked: Result<(), &VaultError>| report(context, record, checked);
    let now = OffsetDateTime::now_utc();
    let checked = backups.vault.verify_all(backups.server(), now, &mut progress).await?;
    for error in &checked.damaged {
        report_damage(context, error);
    }
    let (whole, damaged) = (checked.whole, checked.damaged.len());
    let (unsigned, deployments) = (checked.unsigned, checked.unsigned_deployments);
    context.printer.message(&json!({
        "type": "verify_summary", "whole": whole, "damaged": damaged, "unsigned": unsigned, "unsigned_deployments": deployments,
    }));
    if unsigned + deployments > 0 {
        context.printer.note(&format!(
            "Without a signature: {} and {}. An earlier gaib stored them, or the signature was removed.",
            counted(unsigned, "backup"),
            counted(deployments, "deployment")
        ));
    }
    context.printer.text(&format!(
        "Whole: {whole} (backups and snapshots). Damaged: {damaged}.\n"
    ));
    match damaged {
        0 => Ok(ExitStatus::Success),
        _ => Err(Failure::new(format!("{} damaged (above)", counted(damaged, "object"))).help(
            "create a new backup (`gaib server backup create`), and delete the damaged one; the objects themselves were not changed",
        )),
    }
}

fn report(context: &Context, record: &BackupRecord, checked: Result<(), &VaultError>) {
    let (kind, id) = (record.kind, record.id);
    let (verdict, error) = match checked {
        Ok(()) => ("whole", None),
        Err(error) => ("damaged", Some(error.to_string())),
    };
    let is_signed = record.is_signed();
    context.printer.message(&json!({
        "type": "verified", "kind": kind.as_str(), "id": id, "verdict": verdict, "signed": is_signed, "error": error,
    }));
    let unsigned = if is_signed { "" } else { ", without a signature" };
    context.printer.text(&format!("{kind} {id}: {verdict}{unsigned}\n"));
}

/// Reports a damaged object.
fn report_damage(context: &Context, error: &VaultError) {
    let failure = Failure::of_vault(error);
    context
        .printer
        .diagnostic(Severity::Error, failure.summary(), failure.what_to_do());
}
