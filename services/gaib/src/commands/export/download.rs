//! `gaib server export download`: a copy with its images in a directory, after all checks.

use arrakis_vault::VaultError;
use serde_json::json;

use super::stored::{export_id, find};
use super::verify::{ExportParser, failure};
use crate::arguments::export::Download;
use crate::backups::Backups;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::files;
use crate::workspace::shell_quoted;

/// Name of the configuration in the directory.
const CONFIGURATION: &str = "config.yaml";

pub(super) async fn run(context: &Context, arguments: &Download) -> Result<()> {
    let folder = arguments.output.as_path();
    files::require_directory(folder, arguments.force)?;
    let backups = Backups::open(context, &arguments.server).await?;
    let (vault, server) = (&backups.vault, backups.server());
    let key = find(context, &backups, &arguments.id).await?;
    let id = export_id(server, &key).unwrap_or_else(|| key.to_string());
    let refused = |error: VaultError| failure(&error, &backups, &key).and("nothing was written");
    let export = vault.read_export(server, &key).await.map_err(refused)?;
    if !export.is_signed() && !arguments.allow_unsigned {
        return Err(Failure::new(format!(
            "the export {id} has no signature, so it may be another than the one that was stored; nothing was written"
        ))
        .help(
            "an earlier gaib did not sign exports: where it is certain that this one is older, add --allow-unsigned, and read the file \
             before it is applied",
        ));
    }
    let names = ExportParser::new(context)?.image_names(&export.yaml);
    let names = names.map_err(|reason| {
        Failure::new(format!("the export {id} cannot be read: {reason}; nothing was written"))
            .help("use a newer gaib, or another export")
    })?;
    // All images are read before the first file is written.
    let mut contents = Vec::new();
    for name in names {
        let bytes = vault.read_export_image(server, &export, &name).await.map_err(refused)?;
        contents.push((format!("images/{name}"), bytes));
    }
    for name in contents.iter().map(|(name, _)| name.as_str()).chain([CONFIGURATION]) {
        files::require_plain(folder, name)?;
    }
    for (name, bytes) in &contents {
        files::write(&folder.join(name), bytes)?;
    }
    files::write(&folder.join(CONFIGURATION), &export.yaml)?;
    let mut written: Vec<&str> = contents.iter().map(|(name, _)| name.as_str()).collect();
    written.push(CONFIGURATION);
    let directory = folder.display().to_string();
    context.printer.message(&json!({
        "type": "downloaded", "kind": "export", "id": id, "directory": directory, "files": written,
    }));
    context.printer.text(&format!(
        "Wrote export {id} to {directory}: the configuration and its images ({}).\n",
        contents.len()
    ));
    context.printer.note(&format!(
        "`gaib server apply -f {}` applies it.",
        shell_quoted(&folder.join(CONFIGURATION))
    ));
    Ok(())
}
