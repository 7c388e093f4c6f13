//! `gaib server lock / unlock / force-unlock`.

use arrakis_iac_apply::store::StoreError;
use serde_json::json;

use crate::arguments::server::{ForceUnlock, Lock, Unlock};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::exit::ExitStatus;
use crate::workspace::{Workspace, lock_holder};

pub(super) async fn lock(context: &Context, arguments: &Lock) -> Result<ExitStatus> {
    let workspace = Workspace::open(context, arguments.workspace.workspace.as_deref(), true).await?;
    let operation = arguments.reason.as_deref().unwrap_or("manual lock");
    let record = workspace
        .backend
        .lock_permanently(&workspace.name, &lock_holder(operation))
        .await?;
    context
        .printer
        .message(&json!({"type": "locked", "workspace": workspace.name.as_str(), "lock": record}));
    context
        .printer
        .text(&format!("Locked workspace {}: {}\n", workspace.name, record.id));
    context
        .printer
        .note("Every apply is refused until `gaib server unlock`.");
    Ok(ExitStatus::Success)
}

pub(super) async fn unlock(context: &Context, arguments: &Unlock) -> Result<ExitStatus> {
    let workspace = Workspace::open(context, arguments.workspace.workspace.as_deref(), true).await?;
    let id = match &arguments.id {
        Some(id) => id.clone(),
        None => {
            let held = workspace.backend.held(&workspace.name).await?;
            held.ok_or_else(|| {
                Failure::new(format!("workspace {} is not locked", workspace.name)).help("nothing needs to be unlocked")
            })?
            .record
            .id
        }
    };
    let record = workspace.backend.unlock(&workspace.name, &id, false).await?;
    context
        .printer
        .message(&json!({"type": "unlocked", "workspace": workspace.name.as_str(), "lock": record}));
    context.printer.text(&format!(
        "Unlocked workspace {}; previous holder: {record}.\n",
        workspace.name
    ));
    Ok(ExitStatus::Success)
}

pub(super) async fn force(context: &Context, arguments: &ForceUnlock) -> Result<ExitStatus> {
    let workspace = Workspace::open(context, arguments.workspace.workspace.as_deref(), true).await?;
    if !arguments.force {
        let question = format!(
            "Has the holder of lock {} certainly ended? Two applies at the same time undo each other's changes.",
            arguments.id
        );
        context
            .prompt
            .confirm(&question, "add --force to skip the confirmation")
            .await?;
    }
    let record = match workspace.backend.unlock(&workspace.name, &arguments.id, true).await {
        Ok(record) => record,
        Err(error) => return remove_unreadable(context, &workspace, error).await,
    };
    context
        .printer
        .message(&json!({"type": "unlocked", "workspace": workspace.name.as_str(), "lock": record}));
    context.printer.text(&format!(
        "Released the lock of workspace {}; previous holder: {record}.\n",
        workspace.name
    ));
    Ok(ExitStatus::Success)
}

/// Removes the records that cannot be read, and have no id. `error` is that of the removal by the id.
async fn remove_unreadable(context: &Context, workspace: &Workspace, error: StoreError) -> Result<ExitStatus> {
    if !matches!(error, StoreError::LockRecord { .. } | StoreError::NotLocked(_)) {
        return Err(error.into());
    }
    let removed = workspace.backend.remove_unreadable_locks(&workspace.name).await?;
    if removed.is_empty() {
        return Err(error.into());
    }
    for name in removed {
        context
            .printer
            .message(&json!({"type": "unlocked", "workspace": workspace.name.as_str(), "lock": null, "record": name}));
        context.printer.text(&format!(
            "Removed {name}, the record of a lock that could not be read.\n"
        ));
    }
    Ok(ExitStatus::Success)
}
