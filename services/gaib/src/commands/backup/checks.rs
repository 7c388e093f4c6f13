//! Checks of backups, snapshots and, of all, exports. Nothing is written, except that a damaged record is made again where its id is given.

use arrakis_iac::grammar::counted;
use arrakis_vault::{BackupRecord, RecordKind, VaultError, VerifyReport};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::arguments::backup::Verify;
use crate::arguments::id::IdArgument;
use crate::backups::{Backups, help_for_record, verdict};
use crate::commands::export::{self, ExportCounts};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Severity;

pub(super) async fn run(context: &Context, arguments: &Verify) -> Result<ExitStatus> {
    let backups = Backups::open(context, &arguments.server).await?;
    match &arguments.id {
        Some(id) => one(context, &backups, RecordKind::Backup, id).await,
        None => all(context, &backups).await,
    }
}

/// Checks one backup or snapshot.
pub(in crate::commands) async fn one(
    context: &Context,
    backups: &Backups,
    kind: RecordKind,
    id: &IdArgument,
) -> Result<ExitStatus> {
    let id = backups.id_of(kind, id).await?;
    let record = backups.find(kind, id).await?;
    let checked = backups.vault.verify(&record).await;
    match checked {
        // The store fails: there is no verdict.
        Err(error) if !error.is_unusable() => Err(error.into()),
        checked => {
            report(context, &record, checked.as_ref().copied());
            if checked.is_ok() && backups.vault.is_plain(&record).await? {
                warn_of_plain(context, &format!("the {kind} {id} is"));
            }
            Ok(match checked {
                Ok(()) => ExitStatus::Success,
                Err(_) => ExitStatus::Error,
            })
        }
    }
}

async fn all(context: &Context, backups: &Backups) -> Result<ExitStatus> {
    let mut progress = |record: &BackupRecord, checked: Result<(), &VaultError>| report(context, record, checked);
    let now = OffsetDateTime::now_utc();
    let checked = backups.vault.verify_all(backups.server(), now, &mut progress).await?;
    for record in &checked.records {
        let summary = format!("the record {} is damaged: {}", record.object, record.reason);
        let help = help_for_record(record);
        context.printer.diagnostic(Severity::Error, &summary, Some(&help));
    }
    for error in &checked.deployments_not_trusted {
        report_failure(context, &Failure::of_vault(error));
    }
    if let Some(error) = &checked.registry {
        report_failure(context, &Failure::of_vault(error));
    }
    let exports = Box::pin(export::verify_all(context, backups)).await?;
    let counts = Counts::of(&checked, exports);
    context.printer.message(&counts.message());
    if counts.unsigned + counts.unsigned_deployments > 0 {
        context.printer.note(&format!(
            "Without a signature: {} and {}. An earlier gaib stored them, or the signature was removed.",
            counted(counts.unsigned, "backup"),
            counted(counts.unsigned_deployments, "deployment")
        ));
    }
    if checked.plain > 0 {
        warn_of_plain(context, &format!("backups and snapshots: {} are", checked.plain));
    }
    context.printer.text(&counts.text());
    counts.outcome()
}

/// The numbers of a verification of all.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    whole: usize,
    /// Backups and snapshots.
    damaged: usize,
    records: usize,
    /// Backups, snapshots and deployments.
    not_trusted: usize,
    /// Backups and snapshots among those that are whole.
    plain: usize,
    /// Backups and snapshots.
    encrypted: usize,
    /// Backups and snapshots.
    unreadable: usize,
    /// Backups among those that are whole.
    unsigned: usize,
    unsigned_deployments: usize,
    /// The verdict.
    registry: &'static str,
    exports: ExportCounts,
}

impl Counts {
    fn of(report: &VerifyReport, exports: ExportCounts) -> Self {
        Self {
            whole: report.whole,
            damaged: report.unusable.damaged.len(),
            records: report.records.len(),
            not_trusted: report.unusable.not_trusted.len() + report.deployments_not_trusted.len(),
            plain: report.plain,
            encrypted: report.unusable.encrypted.len(),
            unreadable: report.unusable.unreadable.len(),
            unsigned: report.unsigned,
            unsigned_deployments: report.unsigned_deployments,
            registry: verdict(report.registry.as_ref()),
            exports,
        }
    }

    fn message(self) -> Value {
        json!({
            "type": "verify_summary", "whole": self.whole, "damaged": self.damaged, "damaged_records": self.records,
            "plain": self.plain, "not_trusted": self.not_trusted, "encrypted_for_another_identity": self.encrypted, "unreadable": self.unreadable,
            "unsigned": self.unsigned, "unsigned_deployments": self.unsigned_deployments,
            "registry": self.registry, "exports": self.exports.message(),
        })
    }

    fn text(self) -> String {
        let records = match self.records {
            0 => String::new(),
            count => format!(" Damaged records: {count}."),
        };
        let others = not_read_text(self.encrypted, self.unreadable);
        format!(
            "{}Whole: {} (backups and snapshots). Damaged: {}. Not trusted: {}.{others}{records} Theme registry: {}.\n",
            self.exports.text(),
            self.whole,
            self.damaged,
            self.not_trusted,
            self.registry.replace('_', " ")
        )
    }

    /// Fails unless all is whole. What is not trusted may be whole, so it is not to be deleted.
    fn outcome(self) -> Result<ExitStatus> {
        let parts = [
            (
                self.damaged > 0,
                format!("backups and snapshots: {} damaged", self.damaged),
                "`gaib server backup create` and `gaib server snapshot create` store new ones; the commands above delete those that are \
                 damaged",
            ),
            (
                self.records > 0,
                format!("{} damaged", counted(self.records, "record")),
                "the commands above make damaged records again",
            ),
            (
                self.not_trusted > 0,
                format!("backups, snapshots and deployments: {} not trusted", self.not_trusted),
                "what is not trusted may be whole: keep it, and set BACKUP_TRUSTED_KEYS",
            ),
            (
                self.encrypted > 0,
                format!(
                    "backups and snapshots: {} encrypted for another identity",
                    self.encrypted
                ),
                OF_ANOTHER_IDENTITY,
            ),
            (
                self.unreadable > 0,
                format!("backups and snapshots: {} unreadable", self.unreadable),
                UNREADABLE,
            ),
            (
                !matches!(self.registry, "whole" | "damaged"),
                format!("the theme registry {}", self.registry.replace('_', " ")),
                "the theme registry may be whole: its message above states what reads it",
            ),
            (
                self.registry == "damaged",
                "the theme registry damaged".to_owned(),
                "`gaib server theme registry --rebuild` makes the theme registry again",
            ),
        ];
        let found = parts.into_iter().filter(|(is_found, ..)| *is_found);
        let found = found.map(|(_, summary, help)| (summary, help));
        let (summaries, helps): (Vec<String>, Vec<&str>) = found.chain(self.exports.problems()).unzip();
        if summaries.is_empty() {
            return Ok(ExitStatus::Success);
        }
        Err(Failure::new(format!("{} (above)", summaries.join(", "))).help(helps.join("; ")))
    }
}

/// Names what is stored in plain text where everything else is encrypted.
fn warn_of_plain(context: &Context, what: &str) {
    let summary = format!("{what} stored without encryption, in a store with encryption");
    let help = "it was stored before the encryption, or without BACKUP_AGE_IDENTITY: store another one, and delete it, if it is not to be \
                read by others";
    context.printer.diagnostic(Severity::Warning, &summary, Some(help));
}

/// What to do about objects that are encrypted for another identity.
pub(in crate::commands) const OF_ANOTHER_IDENTITY: &str =
    "what is encrypted for another identity may be whole: keep it, and set BACKUP_AGE_IDENTITY";
/// What to do about files that this user may not read.
pub(in crate::commands) const UNREADABLE: &str =
    "what this user may not read may be whole: correct the permissions of the files";

/// The numbers of objects that were not read; empty where there are none.
pub(in crate::commands) fn not_read_text(encrypted: usize, unreadable: usize) -> String {
    let part = |count: usize, name: &str| match count {
        0 => String::new(),
        count => format!(" {name}: {count}."),
    };
    format!(
        "{}{}",
        part(encrypted, "Encrypted for another identity"),
        part(unreadable, "Unreadable")
    )
}

/// Reports a verdict, with what to do where it is not `whole`.
fn report(context: &Context, record: &BackupRecord, checked: Result<(), &VaultError>) {
    let (kind, id) = (record.kind, record.id);
    let verdict = verdict(checked.err());
    let (error, is_signed) = (checked.err(), record.is_signed());
    context.printer.message(&json!({
        "type": "verified", "kind": kind.as_str(), "id": id, "verdict": verdict, "signed": is_signed,
        "error": error.map(VaultError::to_string),
    }));
    let unsigned = if is_signed { "" } else { ", without a signature" };
    context
        .printer
        .text(&format!("{kind} {id}: {}{unsigned}\n", verdict.replace('_', " ")));
    if let Some(error) = error {
        report_failure(context, &Failure::of_record(error, kind, id));
    }
}

fn report_failure(context: &Context, failure: &Failure) {
    let (summary, help) = (failure.summary(), failure.what_to_do());
    context.printer.diagnostic(Severity::Error, summary, help);
}
