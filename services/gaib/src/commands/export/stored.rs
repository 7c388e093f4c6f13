//! `gaib server export --backup` and `--list`: dated, signed copies with every attribute, in the store of backups.

use std::collections::BTreeMap;
use std::path::Path;

use arrakis_iac::grammar::counted;
use arrakis_iac::live::LiveServer;
use arrakis_iac::state::State;
use arrakis_vault::{ObjectKey, ServerId, VaultError, paths};
use serde_json::json;
use time::OffsetDateTime;

use super::verify::failure;
use crate::arguments::backup::OfServer;
use crate::arguments::id::IdArgument;
use crate::backups::{Backups, size_text, time_text};
use crate::commands::backup::problem_name;
use crate::context::Context;
use crate::error::{OrFail as _, Result};
use crate::images::ImageNames;
use crate::printer::Severity;
use crate::table::table;
use crate::workspace::Workspace;

/// Folder of the images, beside the configuration.
const IMAGES: &str = "images";
/// Largest number of copies that `--list` prints.
const LISTED: usize = 20;

/// Stores a copy of the live server, with its images.
pub(super) async fn store(context: &Context, workspace: &Workspace, live: &LiveServer, state: &State) -> Result<()> {
    let backups = Backups::of(context, workspace, live.guild_id).await?;
    let folder = tempfile::tempdir().or_fail("create a temporary folder")?;
    let file = folder.path().join("config.yaml");
    super::save(context, workspace, live, state, &file, ImageNames::ByContent).await?;
    // The images first: a stored configuration has all of its files.
    let images = read_images(&folder.path().join(IMAGES))?;
    backups.vault.write_export_images(backups.server(), images).await?;
    let yaml = std::fs::read(&file).or_fail(format_args!("read {}", file.display()))?;
    let (vault, now) = (&backups.vault, OffsetDateTime::now_utc());
    let key = vault.write_export(backups.server(), &yaml, now).await?;
    let object = vault.store().describe(key.as_str());
    context
        .printer
        .message(&json!({"type": "export_kept", "file": object.as_str()}));
    context.printer.note(&format!(
        "Saved a complete copy to {object}: every resource and attribute, with the images beside it. Keep this file to recover the \
         server."
    ));
    Ok(())
}

/// Lists the newest copies.
pub(super) async fn list(context: &Context, server: &OfServer) -> Result<()> {
    let backups = Backups::open(context, server).await?;
    let (printer, vault, server) = (context.printer, &backups.vault, backups.server());
    let exports = vault.exports(server).await?;
    let mut rows = Vec::new();
    let (mut unsigned, mut unusable) = (0, Vec::new());
    for export in exports.iter().take(LISTED) {
        let object = vault.store().describe(export.key.as_str());
        let created = paths::parse_export(server, &export.key).unwrap_or(export.modified);
        let inspected = vault.inspect_export(server, &export.key).await;
        let problem = match &inspected {
            Ok(_) => "-",
            Err(error) => problem_name(error),
        };
        let (id, is_signed) = (export_id(server, &export.key), inspected.as_ref().ok().copied());
        printer.message(&json!({
            "type": "export", "id": id, "file": object.as_str(), "created": time_text(created), "size": export.size,
            "signed": is_signed, "problem": inspected.as_ref().err().map(VaultError::to_string),
        }));
        unsigned += usize::from(is_signed == Some(false));
        unusable.extend(inspected.err().map(|error| failure(&error, &backups, &export.key)));
        rows.push([
            id.unwrap_or_default(),
            time_text(created),
            size_text(export.size),
            problem.to_owned(),
            object,
        ]);
    }
    match rows.is_empty() {
        true => printer.note(&format!(
            "Server {} has no exports in {}; `gaib server export --backup` stores one.",
            backups.guild,
            vault.store().describe(&paths::exports(server))
        )),
        false => printer.text(&table(["ID", "CREATED", "SIZE", "PROBLEM", "FILE"], &rows)),
    }
    if unsigned > 0 {
        printer.note(&format!(
            "{} without a signature: stored by an earlier gaib, or the signature was removed.",
            counted(unsigned, "export")
        ));
    }
    for failure in &unusable {
        printer.diagnostic(Severity::Warning, failure.summary(), failure.what_to_do());
    }
    printer.message(&json!({
        "type": "list_summary", "kind": "export", "listed": rows.len(), "damaged": unusable.len(),
        "more": exports.len() > rows.len(),
    }));
    if exports.len() > rows.len() {
        printer.note(&format!("There are {}; the newest are listed.", exports.len()));
    }
    Ok(())
}

/// The id of an export: the time in its name. `None` for the second name of the newest one.
pub(super) fn export_id(server: ServerId, key: &ObjectKey) -> Option<String> {
    paths::parse_export(server, key).map(paths::time_text)
}

/// The export that the command line names. `latest` is noted with its id.
pub(super) async fn find(context: &Context, backups: &Backups, argument: &IdArgument) -> Result<ObjectKey> {
    let server = backups.server();
    let exports = backups.vault.exports(server).await?;
    let keys = exports.into_iter().map(|export| export.key);
    let id = |key: &ObjectKey| export_id(server, key).unwrap_or_default();
    let found = argument.only("export", keys, |key| {
        (id(key), backups.vault.store().describe(key.as_str()))
    })?;
    let found = found.ok_or_else(|| argument.not_found("export", "gaib server export --list"))?;
    if *argument == IdArgument::Latest {
        context.printer.note(&format!(
            "The newest export of server {} is {}.",
            backups.guild,
            id(&found)
        ));
    }
    Ok(found)
}

/// The images of a folder, by their names.
fn read_images(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let reading = || format!("read {}", folder.display());
    let mut images = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(images);
    }
    for entry in std::fs::read_dir(folder).or_fail(reading())? {
        let entry = entry.or_fail(reading())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        images.insert(name, std::fs::read(entry.path()).or_fail(reading())?);
    }
    Ok(images)
}
