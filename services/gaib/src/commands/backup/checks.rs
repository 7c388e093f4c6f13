//! Checks of backups and snapshots. Nothing is written, but a record that cannot be read and whose id is given.

use arrakis_iac::grammar::counted;
use arrakis_vault::{BackupRecord, RecordKind, VaultError};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::arguments::backup::Verify;
use crate::backups::{Backups, help_for_record};
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
        Err(error) if error.is_unusable() => {
            report_unusable(context, &error);
            Ok(ExitStatus::Error)
        }
        Err(error) => Err(error.into()),
    }
}

async fn all(context: &Context, backups: &Backups) -> Result<ExitStatus> {
    let mut progress = |record: &BackupRecord, checked: Result<(), &VaultError>| report(context, record, checked);
    let now = OffsetDateTime::now_utc();
    let checked = backups.vault.verify_all(backups.server(), now, &mut progress).await?;
    for error in checked.damaged.iter().chain(&checked.not_trusted) {
        report_unusable(context, error);
    }
    for record in &checked.records {
        let summary = format!("the record {} is damaged: {}", record.object, record.reason);
        let help = help_for_record(record);
        context.printer.diagnostic(Severity::Error, &summary, Some(&help));
    }
    let damaged = checked.damaged.len() + checked.records.len();
    let (whole, not_trusted) = (checked.whole, checked.not_trusted.len());
    context.printer.message(&json!({
        "type": "verify_summary", "whole": whole, "damaged": damaged, "not_trusted": not_trusted,
    }));
    context.printer.text(&format!(
        "Whole: {whole} (backups and snapshots). Damaged: {damaged}. Not trusted: {not_trusted}.\n"
    ));
    outcome(damaged, not_trusted)
}

/// The result of the verification of all. What is not trusted may be whole, so it is not to be deleted.
fn outcome(damaged: usize, not_trusted: usize) -> Result<ExitStatus> {
    let of_damage = "create a new backup (`gaib server backup create`), and delete the damaged one; the objects themselves were not changed";
    let of_trust = "what is not trusted may be whole: keep it, and set BACKUP_TRUSTED_KEYS";
    let (summary, help) = match (damaged, not_trusted) {
        (0, 0) => return Ok(ExitStatus::Success),
        (0, count) => (
            format!("{} not trusted (above)", counted(count, "snapshot")),
            of_trust.to_owned(),
        ),
        (count, 0) => (
            format!("{} damaged (above)", counted(count, "object")),
            of_damage.to_owned(),
        ),
        (damaged, count) => (
            format!(
                "{} damaged and {} not trusted (above)",
                counted(damaged, "object"),
                counted(count, "snapshot")
            ),
            format!("{of_damage}; {of_trust}"),
        ),
    };
    Err(Failure::new(summary).help(help))
}

fn report(context: &Context, record: &BackupRecord, checked: Result<(), &VaultError>) {
    let (kind, id) = (record.kind, record.id);
    let (verdict, error) = match checked {
        Ok(()) => ("whole", None),
        Err(error) => {
            let verdict = match error {
                VaultError::NotTrusted { .. } => "not_trusted",
                _ => "damaged",
            };
            (verdict, Some(error.to_string()))
        }
    };
    context
        .printer
        .message(&json!({"type": "verified", "kind": kind.as_str(), "id": id, "verdict": verdict, "error": error}));
    context
        .printer
        .text(&format!("{kind} {id}: {}\n", verdict.replace('_', " ")));
}

/// Reports an object that cannot be restored as it is.
fn report_unusable(context: &Context, error: &VaultError) {
    let failure = Failure::of_vault(error);
    context
        .printer
        .diagnostic(Severity::Error, failure.summary(), failure.what_to_do());
}
