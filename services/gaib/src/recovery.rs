//! States that are damaged or gone: what is wrong, and the ways on.
//!
//! Owns the texts; a way that needs a file is named only where that file is there and can be read. A state is gone when the
//! marker of a server names its file ([`crate::ownership`]) and there is none.

use std::path::{Path, PathBuf};

use arrakis_iac::state::State;
use arrakis_iac::words::counted;

use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::session::{Workspace, holder};

/// The state file is there and cannot be read; `summary` says which and why.
#[must_use]
pub fn damaged(workspace: &Workspace, summary: &str) -> Failure {
    Failure::new(summary).help(format!(
        "{}; the damaged file is kept under another name. Without a copy, move the file away and run `{} import --all{}`, which \
         takes in again what the server has",
        put_back(workspace),
        workspace.command(),
        workspace.option()
    ))
}

/// Refuses to begin a new state in the place of one that is gone.
///
/// # Errors
/// When a marker names the state file of this workspace, and there is none.
pub fn refuse_lost_state(context: &Context, workspace: &Workspace) -> Result<()> {
    let servers = lost_servers(context, workspace);
    if servers.is_empty() {
        return Ok(());
    }
    let servers: Vec<String> = servers.iter().map(|guild| format!("server {guild}")).collect();
    let (command, option) = (workspace.command(), workspace.option());
    Err(Failure::new(format!(
        "the state of workspace {} is gone: it manages {}, and there is no file {}",
        workspace.name,
        servers.join(", "),
        workspace.backend.state_path(&workspace.name).display()
    ))
    .help(format!(
        "{}; or `{command} import --all{option}` takes in again what the server has; or `{command} state release{option}` ends \
         the ownership: an apply then creates everything again beside what the server has",
        put_back(workspace)
    )))
}

/// The servers that this workspace manages by their markers, while it has no state.
#[must_use]
pub fn lost_servers(context: &Context, workspace: &Workspace) -> Vec<u64> {
    match workspace.state_file().symlink_metadata() {
        Ok(_) => Vec::new(),
        Err(_) => owned_servers(context, workspace),
    }
}

/// The servers whose markers name the state file of this workspace.
#[must_use]
pub fn owned_servers(context: &Context, workspace: &Workspace) -> Vec<u64> {
    let servers = ownership::servers(context).ok().flatten();
    servers.map_or_else(Vec::new, |servers| servers.servers_of(&workspace.state_file()))
}

/// Removes the markers of these servers that name this state file, each under its lock.
///
/// # Errors
/// When an operation holds the lock of one, or its marker cannot be removed.
pub fn release(context: &Context, guilds: &[u64], state: &Path) -> Result<()> {
    let Some(servers) = ownership::servers(context)? else {
        return Ok(());
    };
    let is_own = |guild: &&u64| matches!(servers.marker(**guild), Ok(Some(owner)) if owner.state == state);
    for guild in guilds.iter().filter(is_own) {
        let lock = servers.lock(*guild, &holder("release"));
        lock.and_then(|lock| lock.release()).map_err(Failure::of_store)?;
    }
    Ok(())
}

/// How a state is put in place: the backup where it can be read, else any copy.
fn put_back(workspace: &Workspace) -> String {
    let (command, option) = (workspace.command(), workspace.option());
    match backup(workspace) {
        Some((path, state)) => format!(
            "`{command} state push {}{option}` puts the state before the last operation in place ({}, serial {})",
            ownership::shell_word(&path.display().to_string()),
            counted(state.resources.len(), "resource"),
            state.serial
        ),
        None => format!("`{command} state push FILE{option}` puts a copy of the state in place"),
    }
}

fn backup(workspace: &Workspace) -> Option<(PathBuf, State)> {
    let path = workspace.backend.state_path(&workspace.name);
    let path = path.with_file_name("state.json.backup");
    let state = State::from_bytes(&std::fs::read(&path).ok()?).ok()?;
    let is_here = workspace.command() == "gaib server";
    let absolute = || std::path::absolute(&path).ok().filter(|_| !is_here);
    Some((absolute().unwrap_or_else(|| path.clone()), state))
}
