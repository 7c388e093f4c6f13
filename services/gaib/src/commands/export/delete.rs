//! `gaib server export delete`: deletes a copy, after a confirmation.

use arrakis_vault::VaultError;
use serde_json::json;
use time::OffsetDateTime;

use super::stored::{export_id, find};
use crate::arguments::export::Delete;
use crate::backups::{Backups, time_text};
use crate::context::Context;
use crate::error::Result;

pub(super) async fn run(context: &Context, arguments: &Delete) -> Result<()> {
    let backups = Backups::open(context, &arguments.server).await?;
    let (vault, server) = (&backups.vault, backups.server());
    let key = find(context, &backups, &arguments.id).await?;
    let id = export_id(server, &key).unwrap_or_else(|| key.to_string());
    // Before the question, which would be in vain.
    if vault.newest_good_export(server).await?.as_ref() == Some(&key) {
        let object = vault.store().describe(key.as_str());
        return Err(VaultError::NewestExport { object }.into());
    }
    if !arguments.force {
        let created = arrakis_vault::paths::parse_export(server, &key).map(time_text);
        let question = format!(
            "Do you really want to delete the export {id} of {}? This cannot be undone.",
            created.unwrap_or_default()
        );
        context
            .prompt
            .confirm(&question, "add --force (-f) to skip the confirmation")
            .await?;
    }
    vault.delete_export(server, &key, OffsetDateTime::now_utc()).await?;
    context
        .printer
        .message(&json!({"type": "deleted", "kind": "export", "id": id, "already": false}));
    context.printer.text(&format!("Deleted export {id}.\n"));
    Ok(())
}
