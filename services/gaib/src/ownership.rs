//! Ownership: one Discord server is managed by one workspace.
//!
//! Refuses a second workspace: one of the same store of states (its state names the server), or one of another folder on this
//! machine (the marker that `store::ServerRecords` keeps for each server). A store that several machines share has markers and
//! locks of its own (`store::RemoteServers`), so it is the same on all of them. A marker counts only while the state that it names
//! manages the server, so `destroy`, `state rm` and the deletion of a folder end the ownership. Workspaces of other machines and
//! users with a local state are not detected; see docs/decisions/0034.

mod advice;
mod owner;

use std::path::Path;

use arrakis_iac::grammar::counted;
use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{
    LockRecord, RemoteServerLock, RemoteServers, ServerLock, ServerMarker, ServerRecords, StoreError,
};

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::workspace::Workspace;

pub use owner::read_state as read_state_of;

/// The locks of a server, and the right to write and remove its markers (the records of the workspace that manages it). The local
/// lock ends with the value; [`Ownership::unlock`] releases that of a shared store. There is no local lock where the folder for
/// markers cannot be written.
#[derive(Debug)]
#[must_use]
pub struct Ownership {
    local: Option<ServerLock>,
    remote: Option<RemoteServerLock>,
}

/// Takes the locks of a server for an operation that changes the server or adds it to the state, and that holds the lock `record`
/// of its workspace. Where the stored state manages the server, also writes the markers.
///
/// # Errors
/// When another operation holds a lock, or another workspace manages the server.
pub async fn acquire(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    record: &LockRecord,
) -> Result<Ownership> {
    let ownership = lock(context, workspace, guild, state, record).await?;
    if !state.manages(guild) {
        return Ok(ownership);
    }
    match ownership.write_marker(context, workspace, state).await {
        Ok(()) => Ok(ownership),
        Err(failure) => Err(ownership.give_up(failure).await),
    }
}

/// Takes the locks of a server. The caller calls [`Ownership::write_marker`] once `state` is stored.
///
/// # Errors
/// As [`acquire`].
pub async fn lock(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    record: &LockRecord,
) -> Result<Ownership> {
    let local = lock_locally(context, workspace, guild, state, record).await?;
    let Some(servers) = remote_servers(context, workspace)? else {
        return Ok(Ownership { local, remote: None });
    };
    let remote = servers.lock(guild.get(), record).await?;
    let marker = remote.marker().await;
    let ownership = Ownership {
        local,
        remote: Some(remote),
    };
    let checked = match marker {
        Ok(Some(marker)) => owner::refuse(workspace, guild, state, &marker).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    match checked {
        Ok(()) => Ok(ownership),
        Err(failure) => Err(ownership.give_up(failure).await),
    }
}

/// The lock on this machine. `None` where the folder for markers cannot be written.
async fn lock_locally(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    record: &LockRecord,
) -> Result<Option<ServerLock>> {
    let Some(servers) = servers(context)? else {
        refuse_other_workspace(workspace, guild, state, None).await?;
        return Ok(None);
    };
    let lock = match servers.lock(guild.get(), record) {
        Ok(lock) => lock,
        Err(error @ StoreError::ServerLocked { .. }) => return Err(error.into()),
        Err(error) => {
            // A folder that cannot be written may be readable.
            let marker = servers.marker(guild.get()).unwrap_or_default();
            refuse_other_workspace(workspace, guild, state, marker).await?;
            warn_unrecorded(context, &error);
            return Ok(None);
        }
    };
    refuse_other_workspace(workspace, guild, state, lock.marker()?).await?;
    Ok(Some(lock))
}

impl Ownership {
    /// Writes the markers of the server. The state must be stored before, because a marker without its state means that the state
    /// is missing. Prints a warning when the marker on this machine cannot be written.
    ///
    /// # Errors
    /// When the marker in a shared store cannot be written: other machines would not see the owner.
    pub async fn write_marker(&self, context: &Context, workspace: &Workspace, state: &State) -> Result<()> {
        let own = workspace.marker(state);
        if let Some(Err(error)) = self.local.as_ref().map(|lock| lock.claim(&own)) {
            warn_unrecorded(context, &error);
        }
        match &self.remote {
            Some(lock) => Ok(lock.claim(&own).await?),
            None => Ok(()),
        }
    }

    /// Removes the markers of the server when `state` is empty, so that it may be deleted.
    ///
    /// # Errors
    /// When the marker in a shared store cannot be removed.
    pub async fn remove_marker_if_empty(&self, context: &Context, state: &State) -> Result<()> {
        if !state.is_empty() {
            return Ok(());
        }
        if let Some(Err(error)) = self.local.as_ref().map(ServerLock::release) {
            warn_unrecorded(context, &error);
        }
        match &self.remote {
            Some(lock) => Ok(lock.release().await?),
            None => Ok(()),
        }
    }

    /// Releases the locks after an operation, also after a failed one. Returns the result of the operation, else the error of the
    /// release.
    ///
    /// # Errors
    /// The error of the operation; the lock in a shared store cannot be released.
    pub async fn unlock<T>(self, result: Result<T>) -> Result<T> {
        let released = match self.remote {
            Some(lock) => lock.unlock().await,
            None => Ok(()),
        };
        let value = result?;
        released?;
        Ok(value)
    }

    /// Releases the locks after `failure`, and returns it.
    async fn give_up(self, failure: Failure) -> Failure {
        if let Some(lock) = self.remote {
            // The failure is reported. A lock that stays is reported by the next operation, with its id.
            let _ = lock.unlock().await;
        }
        failure
    }
}

/// Whether [`acquire`] would be refused because of another workspace, for a command that only reads. Takes no lock and writes
/// nothing.
///
/// # Errors
/// When another workspace manages the server, or its marker cannot be read.
pub async fn check(context: &Context, workspace: &Workspace, guild: Snowflake, state: &State) -> Result<()> {
    let owner = match servers(context)?.map(|servers| servers.marker(guild.get())) {
        Some(Err(error @ StoreError::Owner { .. })) => return Err(error.into()),
        // The operation that writes markers warns of a folder that cannot be read.
        owner => owner.and_then(std::result::Result::ok).flatten(),
    };
    refuse_other_workspace(workspace, guild, state, owner).await?;
    let Some(servers) = remote_servers(context, workspace)? else {
        return Ok(());
    };
    match servers.marker(guild.get()).await? {
        Some(marker) => owner::refuse(workspace, guild, state, &marker).await,
        None => Ok(()),
    }
}

/// The markers on this machine, which record the workspace that manages each server; `None` where the user has no home folder.
///
/// # Errors
/// When an environment variable is invalid.
pub fn servers(context: &Context) -> Result<Option<ServerRecords>> {
    let discord = context.environment.discord()?;
    let folder = context.environment.state_home()?;
    Ok(folder.map(|folder| ServerRecords::new(folder.join("gaib/servers"), &discord)))
}

/// The markers in the store of the workspace; `None` for a local one.
///
/// # Errors
/// When an environment variable is invalid.
pub fn remote_servers(context: &Context, workspace: &Workspace) -> Result<Option<RemoteServers>> {
    let discord = context.environment.discord()?;
    Ok(workspace.backend.remote().map(|store| store.servers(&discord)))
}

/// The servers whose markers name the state of this workspace.
pub async fn servers_of(context: &Context, workspace: &Workspace) -> Vec<u64> {
    let state = workspace.state_file();
    let local = servers(context).ok().flatten();
    let mut found = local.map_or_else(Vec::new, |servers| servers.servers_of(&state));
    if let Ok(Some(remote)) = remote_servers(context, workspace) {
        found.extend(remote.servers_of(&state).await.unwrap_or_default());
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Removes those markers of these servers that name `state` ([`Workspace::state_file`]), each under the lock of its server. `record`
/// is the lock of the operation.
///
/// # Errors
/// When an operation holds the lock of a server, or a marker cannot be removed.
pub async fn release(
    context: &Context,
    workspace: &Workspace,
    guilds: &[u64],
    state: &Path,
    record: &LockRecord,
) -> Result<()> {
    let is_own = |marker: &ServerMarker| marker.state == state;
    let (local, remote) = (servers(context)?, remote_servers(context, workspace)?);
    for guild in guilds {
        if let Some(servers) = &local
            && matches!(servers.marker(*guild), Ok(Some(marker)) if is_own(&marker))
        {
            servers.lock(*guild, record)?.release()?;
        }
        if let Some(servers) = &remote
            && servers.marker(*guild).await?.is_some_and(|marker| is_own(&marker))
        {
            let lock = servers.lock(*guild, record).await?;
            let released = lock.release().await;
            lock.unlock().await?;
            released?;
        }
    }
    Ok(())
}

/// The server id of a command that needs one; see [`Workspace::guild`].
///
/// # Errors
/// When there is none, or it is invalid.
pub async fn required_guild(
    context: &Context,
    workspace: &Workspace,
    option: Option<Snowflake>,
    state: &State,
) -> Result<Snowflake> {
    if let Some(guild) = workspace.guild(context, option, Some(state))? {
        return Ok(guild);
    }
    let name = &workspace.name;
    let failure = Failure::new(format!("workspace {name} has no server yet"));
    if let Some(others) = other_workspaces(workspace, None).await {
        return Err(failure.help(format!("{others}; for another server add --guild ID")));
    }
    // `init` records the server of the selected workspace.
    let select = match workspace.backend.selected().await? == *name {
        true => String::new(),
        false => format!("`gaib server workspace select {name}` and "),
    };
    Err(failure.help(format!(
        "add --guild ID, set DISCORD_GUILD_ID, or record the server with {select}`gaib server init --guild ID`"
    )))
}

/// A sentence that names the other workspaces of this store that manage `guild` (any server for `None`), with the options that
/// select them. `None` where there is no such workspace.
pub async fn other_workspaces(workspace: &Workspace, guild: Option<Snowflake>) -> Option<String> {
    let others = workspace.readable_states().await.into_iter();
    let others = others.filter(|(name, state)| *name != workspace.name && !state.is_empty());
    let mut sentences = others.filter_map(|(name, state)| {
        let managed = state.guild_id.filter(|managed| guild.is_none_or(|guild| guild == *managed))?;
        Some(format!(
            "workspace {name} manages server {managed} ({}): `--workspace {name}` uses it, `gaib server workspace select {name}` \
             selects it",
            counted(state.resources.len(), "resource")
        ))
    });
    let first = sentences.next()?;
    Some(sentences.fold(first, |text, next| format!("{text}; {next}")))
}

fn warn_unrecorded(context: &Context, error: &StoreError) {
    context.printer.diagnostic(
        Severity::Warning,
        &format!("{error}; a workspace in another folder that manages the same server would not be detected"),
        Some("make the folder writable, or set XDG_STATE_HOME to a writable folder"),
    );
}

/// Refuses the owner that a marker names, else another workspace of the same store whose state manages the server.
async fn refuse_other_workspace(
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    marker: Option<ServerMarker>,
) -> Result<()> {
    if let Some(marker) = &marker {
        owner::refuse(workspace, guild, state, marker).await?;
    }
    if state.manages(guild) {
        return Ok(());
    }
    owner::refuse_of_same_store(workspace, guild).await
}
