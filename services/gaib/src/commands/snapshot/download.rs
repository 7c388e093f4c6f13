//! `gaib server snapshot download`: the files of a snapshot in a directory.

use std::path::Path;

use arrakis_vault::{Expected, MEMBERS_FILE, RecordKind};
use serde_json::json;

use super::stored;
use crate::arguments::snapshot::Download;
use crate::backups::Backups;
use crate::context::Context;
use crate::error::{OrFail as _, Result};
use crate::files;
use crate::workspace::shell_quoted;

/// Name of the manifest.
const MANIFEST: &str = "manifest.json";

pub(super) async fn run(context: &Context, arguments: &Download) -> Result<()> {
    let folder = arguments.output.as_path();
    files::require_directory(folder, arguments.force)?;
    let backups = Backups::open(context, &arguments.server).await?;
    let expected = Expected {
        server: backups.server(),
        lineage: None,
    };
    let id = backups.id_of(RecordKind::Snapshot, &arguments.id).await?;
    let (record, snapshot) = stored::read(&backups, id, &expected).await?;
    for name in snapshot.files.keys().map(String::as_str).chain([MANIFEST]) {
        files::require_plain(folder, name)?;
    }
    remove_manifest(folder)?;
    for (name, bytes) in &snapshot.files {
        files::write(&folder.join(name), bytes)?;
    }
    // The manifest comes last: a directory with one has all files.
    files::write(&folder.join(MANIFEST), &snapshot.manifest_bytes)?;
    let mut names: Vec<&str> = snapshot.files.keys().map(String::as_str).collect();
    names.push(MANIFEST);
    let directory = folder.display().to_string();
    context.printer.message(&json!({
        "type": "downloaded", "kind": "snapshot", "id": record.id, "directory": directory, "files": names,
    }));
    context.printer.text(&format!(
        "Wrote the {} files of snapshot {} to {directory}.\n",
        names.len(),
        record.id
    ));
    context.printer.note(&format!(
        "`gaib apply {} --guild ID --drop-missing` applies its configuration to another server.",
        shell_quoted(&folder.join("config.yaml"))
    ));
    if snapshot.files.contains_key(MEMBERS_FILE) {
        context.printer.note(&format!(
            "The roles of members are in {}, by ids of server {}; another server has other ids, and its members do not get them by this apply.",
            folder.join(MEMBERS_FILE).display(),
            backups.guild
        ));
    }
    Ok(())
}

/// Removes the manifest of an earlier download, before its files are replaced.
fn remove_manifest(folder: &Path) -> Result<()> {
    let path = folder.join(MANIFEST);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).or_fail(format_args!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
