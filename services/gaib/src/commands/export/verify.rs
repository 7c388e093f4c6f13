//! `gaib server export verify`: checks of the copies with the backups. Nothing is written.

use std::collections::BTreeSet;

use arrakis_iac::config::{self, VariableInputs};
use arrakis_themes::Registry;
use arrakis_vault::{Export, ExportsReport, ObjectKey, VaultError};
use serde_json::{Value, json};

use super::stored::{export_id, find};
use crate::arguments::export::Verify;
use crate::backups::{Backups, verdict};
use crate::commands::backup::{OF_ANOTHER_IDENTITY, UNREADABLE, not_read_text};
use crate::configuration;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::printer::Severity;

/// Folder of the images, as the configurations name it.
const IMAGES: &str = "images/";

pub(super) async fn run(context: &Context, arguments: &Verify) -> Result<ExitStatus> {
    let backups = Backups::open(context, &arguments.server).await?;
    let Some(id) = &arguments.id else {
        let counts = all(context, &backups).await?;
        let mut message = counts.message();
        message["type"] = "verify_summary".into();
        message["kind"] = "export".into();
        context.printer.message(&message);
        context.printer.text(&counts.text());
        return counts.outcome();
    };
    let key = find(context, &backups, id).await?;
    let parser = ExportParser::new(context)?;
    let references = |yaml: &[u8]| parser.image_names(yaml);
    let checked = backups.vault.verify_export(backups.server(), &key, &references).await;
    match checked {
        // The store fails: there is no verdict.
        Err(error) if !error.is_unusable() => Err(error.into()),
        checked => {
            report(context, &backups, &key, checked.as_ref());
            Ok(match checked {
                Ok(_) => ExitStatus::Success,
                Err(_) => ExitStatus::Error,
            })
        }
    }
}

/// Checks all copies of the server, and reports each.
pub(in crate::commands) async fn all(context: &Context, backups: &Backups) -> Result<ExportCounts> {
    let parser = ExportParser::new(context)?;
    let references = |yaml: &[u8]| parser.image_names(yaml);
    let mut progress = |key: &ObjectKey, checked: Result<&Export, &VaultError>| report(context, backups, key, checked);
    let server = backups.server();
    let checked = backups.vault.verify_exports(server, &references, &mut progress).await?;
    Ok(ExportCounts::of(&checked))
}

/// Finds the images that a configuration of the store names.
pub(super) struct ExportParser {
    themes: Registry,
}

impl ExportParser {
    pub(super) fn new(context: &Context) -> Result<Self> {
        Ok(Self {
            themes: configuration::themes(context)?,
        })
    }

    /// The names of the image files, without their folder.
    pub(super) fn image_names(&self, yaml: &[u8]) -> Result<BTreeSet<String>, String> {
        let loaded = config::load("the export", yaml, &self.themes, &VariableInputs::default());
        let loaded = loaded.map_err(|problems| problems.0.first().map(ToString::to_string).unwrap_or_default())?;
        let resources = loaded.configuration.resources.values();
        let images = resources.filter_map(|resource| resource.attributes.image());
        images
            .map(|image| match image.path.strip_prefix(IMAGES) {
                Some(name) => Ok(name.to_owned()),
                None => Err(format!("it names an image that is not in {IMAGES}: {}", image.path)),
            })
            .collect()
    }
}

/// The numbers of a verification of all exports.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands) struct ExportCounts {
    whole: usize,
    /// Also the second name of the newest one.
    damaged: usize,
    not_trusted: usize,
    encrypted: usize,
    unreadable: usize,
    /// Among those that are whole.
    unsigned: usize,
}

impl ExportCounts {
    fn of(report: &ExportsReport) -> Self {
        Self {
            whole: report.whole,
            damaged: report.unusable.damaged.len(),
            not_trusted: report.unusable.not_trusted.len(),
            encrypted: report.unusable.encrypted.len(),
            unreadable: report.unusable.unreadable.len(),
            unsigned: report.unsigned,
        }
    }

    pub(in crate::commands) fn message(self) -> Value {
        json!({
            "whole": self.whole, "damaged": self.damaged, "not_trusted": self.not_trusted,
            "encrypted_for_another_identity": self.encrypted, "unreadable": self.unreadable, "unsigned": self.unsigned,
        })
    }

    /// A line; empty where there are no exports.
    pub(in crate::commands) fn text(self) -> String {
        if self.whole + self.damaged + self.not_trusted + self.encrypted + self.unreadable == 0 {
            return String::new();
        }
        let unsigned = match self.unsigned {
            0 => String::new(),
            count => format!(" Without a signature: {count}."),
        };
        format!(
            "Whole: {} (exports). Damaged: {}. Not trusted: {}.{}{unsigned}\n",
            self.whole,
            self.damaged,
            self.not_trusted,
            not_read_text(self.encrypted, self.unreadable)
        )
    }

    /// What is not whole, each with what to do.
    pub(in crate::commands) fn problems(self) -> Vec<(String, &'static str)> {
        let parts = [
            (
                self.damaged,
                format!("exports: {} damaged", self.damaged),
                "`gaib server export --backup` stores a new one, with its images; `gaib server export delete ID` deletes a damaged one",
            ),
            (
                self.not_trusted,
                format!("exports: {} not trusted", self.not_trusted),
                "an export that is not trusted may be whole: keep it, and set BACKUP_TRUSTED_KEYS",
            ),
            (
                self.encrypted,
                format!("exports: {} encrypted for another identity", self.encrypted),
                OF_ANOTHER_IDENTITY,
            ),
            (
                self.unreadable,
                format!("exports: {} unreadable", self.unreadable),
                UNREADABLE,
            ),
        ];
        let found = parts.into_iter().filter(|(count, ..)| *count > 0);
        found.map(|(_, summary, help)| (summary, help)).collect()
    }

    fn outcome(self) -> Result<ExitStatus> {
        let (summaries, helps): (Vec<String>, Vec<&str>) = self.problems().into_iter().unzip();
        match summaries.is_empty() {
            true => Ok(ExitStatus::Success),
            false => Err(Failure::new(format!("{} (above)", summaries.join(", "))).help(helps.join("; "))),
        }
    }
}

/// Reports a verdict, with what to do where it is not `whole`.
fn report(context: &Context, backups: &Backups, key: &ObjectKey, checked: Result<&Export, &VaultError>) {
    let verdict = verdict(checked.err());
    let id = export_id(backups.server(), key);
    let is_signed = checked.ok().map(Export::is_signed);
    let file = backups.vault.store().describe(key.as_str());
    context.printer.message(&json!({
        "type": "verified", "kind": "export", "id": id, "file": file, "verdict": verdict, "signed": is_signed,
        "error": checked.err().map(VaultError::to_string),
    }));
    let unsigned = match is_signed {
        Some(false) => ", without a signature",
        _ => "",
    };
    let name = id.unwrap_or_else(|| "config.latest.yaml".to_owned());
    context
        .printer
        .text(&format!("export {name}: {}{unsigned}\n", verdict.replace('_', " ")));
    if let Some(error) = checked.err() {
        let failure = failure(error, backups, key);
        let (summary, help) = (failure.summary(), failure.what_to_do());
        context.printer.diagnostic(Severity::Error, summary, help);
    }
}

/// The error of reading an export, with the commands that help where it is damaged.
pub(super) fn failure(error: &VaultError, backups: &Backups, key: &ObjectKey) -> Failure {
    let failure = Failure::of_vault(error);
    if !error.is_damage() {
        return failure;
    }
    failure.help(match export_id(backups.server(), key) {
        Some(id) => format!(
            "use another one (`gaib server export --list` lists them), and delete this one: `gaib server export delete {id}`"
        ),
        None => "`gaib server export --backup` writes the newest export again".to_owned(),
    })
}
