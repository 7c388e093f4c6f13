//! Reading and creating the state of a workspace, with advice for states that are damaged or missing.
//!
//! A state is missing when the marker of a server names it ([`crate::ownership`]) and it does not exist. The advice names the
//! backup only where it exists and can be read.

use arrakis_iac::grammar::counted;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::StateLock;

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::workspace::{Workspace, release_after, shell_quoted};

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
    let error = match workspace.read_state().await {
        Ok(state) => return Ok(state),
        Err(error) => error,
    };
    let what = match workspace.backend.local() {
        Some(_) => "file",
        None => "object",
    };
    Err(Failure::new(error).help(format!(
        "{}; the damaged {what} is renamed, not deleted. Without a copy, move the {what} away and run `{} import --all{}`, which \
         imports the existing resources of the server",
        restore_advice(workspace).await,
        workspace.server_command(),
        workspace.workspace_option()
    )))
}

/// Reads the state; returns an empty one where none was written yet.
///
/// # Errors
/// When the state is damaged or missing.
pub async fn read_or_empty(context: &Context, workspace: &Workspace) -> Result<State> {
    match read(workspace).await? {
        Some(state) => Ok(state),
        None => {
            refuse_missing(context, workspace).await?;
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

/// Writes `state` where none was written yet, under the lock, so that its lineage is kept. Returns the stored state.
///
/// # Errors
/// When another operation holds the lock, or the state cannot be written.
pub async fn create(context: &Context, workspace: &Workspace, state: State) -> Result<State> {
    if read(workspace).await?.is_some() {
        return Ok(state);
    }
    let mut guard = workspace.lock(context, "create the state").await?;
    let created = create_under_lock(workspace, &mut *guard, state).await;
    release_after(guard, created).await
}

async fn create_under_lock(workspace: &Workspace, guard: &mut dyn StateLock, state: State) -> Result<State> {
    // Another process may have created it before this one had the lock.
    if let Some(created) = read(workspace).await? {
        return Ok(created);
    }
    guard.write(&state.to_bytes()).await?;
    Ok(state)
}

/// Refuses a new state in place of a missing one. The caller has found that there is no state.
///
/// # Errors
/// When a marker names the state of this workspace.
pub async fn refuse_missing(context: &Context, workspace: &Workspace) -> Result<()> {
    // A link to a file that does not exist yet.
    if workspace.backend.local().is_some() && workspace.state_file().symlink_metadata().is_ok() {
        return Ok(());
    }
    let servers = ownership::servers_of(context, workspace).await;
    if servers.is_empty() {
        return Ok(());
    }
    let servers: Vec<String> = servers.iter().map(|guild| format!("server {guild}")).collect();
    let (command, option) = (workspace.server_command(), workspace.workspace_option());
    let what = match workspace.backend.local() {
        Some(_) => "the file",
        None => "the object",
    };
    Err(Failure::new(format!(
        "the state of workspace {} is missing: it manages {}, and {what} {} does not exist",
        workspace.name,
        servers.join(", "),
        workspace.backend.describe(&workspace.name)
    ))
    .help(format!(
        "{}; or `{command} import --all{option}` imports the existing resources of the server; or `{command} state release{option}` \
         ends the ownership: the next apply then creates every resource again beside the existing ones",
        restore_advice(workspace).await
    )))
}

/// How to restore a state: from the backup where it can be read, else from any copy.
async fn restore_advice(workspace: &Workspace) -> String {
    let (command, option) = (workspace.server_command(), workspace.workspace_option());
    let previous = workspace.backend.read_previous(&workspace.name).await.ok().flatten();
    let Some(state) = previous.and_then(|bytes| State::from_bytes(&bytes).ok()) else {
        return format!("`{command} state push FILE{option}` restores a copy of the state");
    };
    let restore = match workspace.backend.local() {
        Some(store) => {
            let path = store.state_path(&workspace.name).with_file_name("state.json.backup");
            let is_current_folder = workspace.server_command() == "gaib server";
            let absolute = std::path::absolute(&path).ok().filter(|_| !is_current_folder);
            format!(
                "`{command} state push {}{option}`",
                shell_quoted(&absolute.unwrap_or(path))
            )
        }
        None => format!(
            "`{command} state pull --previous{option} > previous.json`, then `{command} state push previous.json{option}`,"
        ),
    };
    format!(
        "{restore} restores the state before the last operation ({}, serial {})",
        counted(state.resources.len(), "resource"),
        state.serial
    )
}
