//! `gaib server export --backup`: a dated copy with every attribute, in the store of backups.

use std::collections::BTreeMap;
use std::path::Path;

use arrakis_iac::live::LiveServer;
use arrakis_iac::state::State;
use serde_json::json;
use time::OffsetDateTime;

use crate::backups::Backups;
use crate::context::Context;
use crate::error::{OrFail as _, Result};
use crate::workspace::Workspace;

/// Folder of the images, beside the configuration.
const IMAGES: &str = "images";

/// Stores a copy of the live server, with its images.
pub(super) async fn store(context: &Context, workspace: &Workspace, live: &LiveServer, state: &State) -> Result<()> {
    let backups = Backups::of(context, workspace, live.guild_id).await?;
    let folder = tempfile::tempdir().or_fail("create a temporary folder")?;
    let file = folder.path().join("config.yaml");
    super::save(context, workspace, live, state, &file).await?;
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
    context.printer.note(&format!("Saved a copy to {object}."));
    Ok(())
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
