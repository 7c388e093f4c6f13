//! Reading and creating the state of a workspace, with advice for states that are damaged or missing.
//!
//! A state is missing when the marker of a server names its file ([`crate::ownership`]) and the file does not exist. The advice
//! names the backup only where it exists and can be read.

use std::path::PathBuf;

use arrakis_iac::grammar::counted;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::StateLock;

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::workspace::{Workspace, shell_quoted};

/// A state with a new lineage and no resources.
#[must_use]
pub fn empty() -> State {
    State::new(uuid::Uuid::new_v4().to_string())
}

/// Reads the state; `None` where none was written yet.
///
/// # Errors
/// When the state is damaged, with the ways to replace it.
pub async fn read(workspace: &Workspace) -> Result<Option<State>> {
    workspace.read_state().await.map_err(|error| {
        Failure::new(error).help(format!(
            "{}; the damaged file is renamed, not deleted. Without a copy, move the file away and run `{} import --all{}`, which \
             imports the existing resources of the server",
            restore_advice(workspace),
            workspace.server_command(),
            workspace.workspace_option()
        ))
    })
}

/// Reads the state; returns an empty one where none was written yet.
///
/// # Errors
/// When the state is damaged or missing.
pub async fn read_or_empty(context: &Context, workspace: &Workspace) -> Result<State> {
    match read(workspace).await? {
        Some(state) => Ok(state),
        None => {
            refuse_missing(context, workspace)?;
            Ok(empty())
        }
    }
}

/// Writes `state` where none was written yet, under a lock that the caller holds. A server is changed, and its marker written,
/// only when there is a state.
///
/// # Errors
/// When it cannot be written.
pub async fn write_first(workspace: &Workspace, guard: &mut dyn StateLock, state: &State) -> Result<()> {
    if read(workspace).await?.is_none() {
        guard.write(&state.to_bytes()).await?;
    }
    Ok(())
}

/// Writes `state` where none was written yet, under the lock, so that its lineage is kept. Returns the state on disk.
///
/// # Errors
/// When another operation holds the lock, or the state cannot be written.
pub async fn create(context: &Context, workspace: &Workspace, state: State) -> Result<State> {
    if read(workspace).await?.is_some() {
        return Ok(state);
    }
    let mut guard = workspace.lock(context, "create the state").await?;
    // Another process may have created it before this one had the lock.
    let state = match read(workspace).await? {
        Some(created) => created,
        None => {
            guard.write(&state.to_bytes()).await?;
            state
        }
    };
    guard.release().await?;
    Ok(state)
}

/// Refuses a new state in place of a missing one.
///
/// # Errors
/// When a marker names the state file of this workspace, and the file does not exist.
pub fn refuse_missing(context: &Context, workspace: &Workspace) -> Result<()> {
    if workspace.state_file().symlink_metadata().is_ok() {
        return Ok(());
    }
    let servers = ownership::servers_of(context, workspace);
    if servers.is_empty() {
        return Ok(());
    }
    let servers: Vec<String> = servers.iter().map(|guild| format!("server {guild}")).collect();
    let (command, option) = (workspace.server_command(), workspace.workspace_option());
    Err(Failure::new(format!(
        "the state of workspace {} is missing: it manages {}, and the file {} does not exist",
        workspace.name,
        servers.join(", "),
        workspace.backend.state_path(&workspace.name).display()
    ))
    .help(format!(
        "{}; or `{command} import --all{option}` imports the existing resources of the server; or `{command} state release{option}` \
         ends the ownership: the next apply then creates every resource again beside the existing ones",
        restore_advice(workspace)
    )))
}

/// How to restore a state: from the backup where it can be read, else from any copy.
fn restore_advice(workspace: &Workspace) -> String {
    let (command, option) = (workspace.server_command(), workspace.workspace_option());
    match backup(workspace) {
        Some((path, state)) => format!(
            "`{command} state push {}{option}` restores the state before the last operation ({}, serial {})",
            shell_quoted(&path),
            counted(state.resources.len(), "resource"),
            state.serial
        ),
        None => format!("`{command} state push FILE{option}` restores a copy of the state"),
    }
}

fn backup(workspace: &Workspace) -> Option<(PathBuf, State)> {
    let path = workspace.backend.state_path(&workspace.name);
    let path = path.with_file_name("state.json.backup");
    let state = State::from_bytes(&std::fs::read(&path).ok()?).ok()?;
    let is_current_folder = workspace.server_command() == "gaib server";
    let absolute = || std::path::absolute(&path).ok().filter(|_| !is_current_folder);
    Some((absolute().unwrap_or_else(|| path.clone()), state))
}
