//! Ownership: one Discord server is managed by one workspace.
//!
//! Refuses a second workspace: one of the same folder (its state names the server), or one of another folder on this machine
//! (the marker that `store::ServerRecords` keeps for each server). A marker counts only while the state that it names manages the
//! server, so `destroy`, `state rm` and the deletion of a folder end the ownership. Workspaces of other machines and users are
//! not detected; see docs/decisions/0034.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrakis_iac::grammar::counted;
use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{Backend as _, ServerLock, ServerMarker, ServerRecords, StoreError, WorkspaceName};

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::workspace::{Workspace, lock_holder, shell_quoted};

/// The lock of a server, until it is dropped, and the right to write and remove its marker (the record of the workspace that
/// manages it). There is no lock where the folder for markers cannot be written.
#[derive(Debug)]
pub struct Ownership {
    lock: Option<ServerLock>,
}

/// Another workspace that manages the server.
#[derive(Debug)]
struct OtherWorkspace {
    name: String,
    /// The folder that contains its `.gaib/`; `None` for the current folder.
    folder: Option<PathBuf>,
    state: OtherState,
}

/// The state of another workspace.
#[derive(Debug)]
enum OtherState {
    /// It manages the server, with so many resources.
    Manages(usize),
    /// It is a newer copy of the state of this workspace.
    Newer { serial: u64, own_serial: u64 },
    /// It cannot be read or is missing, for this reason, so it may manage the server.
    Unreadable(String),
}

/// Takes the lock of a server for an operation that changes the server or adds it to the state. Where the state on disk manages
/// the server, also writes the marker.
///
/// # Errors
/// When another operation holds the lock, or another workspace manages the server.
pub fn acquire(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    operation: &str,
) -> Result<Ownership> {
    let ownership = lock(context, workspace, guild, state, operation)?;
    if state.manages(guild) {
        ownership.write_marker(context, workspace, state);
    }
    Ok(ownership)
}

/// Takes the lock of a server. The caller calls [`Ownership::write_marker`] once `state` is on disk.
///
/// # Errors
/// As [`acquire`].
pub fn lock(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    operation: &str,
) -> Result<Ownership> {
    let Some(servers) = servers(context)? else {
        refuse_other_workspace(workspace, guild, state, None)?;
        return Ok(Ownership { lock: None });
    };
    let lock = match servers.lock(guild.get(), &lock_holder(operation)) {
        Ok(lock) => lock,
        Err(error @ StoreError::ServerLocked { .. }) => return Err(error.into()),
        Err(error) => {
            // A folder that cannot be written may be readable.
            refuse_other_workspace(workspace, guild, state, servers.marker(guild.get()).unwrap_or_default())?;
            warn_unrecorded(context, &error);
            return Ok(Ownership { lock: None });
        }
    };
    refuse_other_workspace(workspace, guild, state, lock.marker()?)?;
    Ok(Ownership { lock: Some(lock) })
}

impl Ownership {
    /// Writes the marker of the server. The state must be on disk before, because a marker without its state file means that
    /// the state is missing. Prints a warning when the marker cannot be written.
    pub fn write_marker(&self, context: &Context, workspace: &Workspace, state: &State) {
        let Some(lock) = &self.lock else { return };
        let own = ServerMarker::new(workspace.name.as_str(), workspace.state_file(), state.lineage.as_str());
        if let Err(error) = lock.claim(&own) {
            warn_unrecorded(context, &error);
        }
    }

    /// Removes the marker of the server when `state` is empty, so that its state file may be deleted.
    pub fn remove_marker_if_empty(&self, context: &Context, state: &State) {
        let Some(lock) = self.lock.as_ref().filter(|_| state.is_empty()) else {
            return;
        };
        if let Err(error) = lock.release() {
            warn_unrecorded(context, &error);
        }
    }
}

/// Whether [`acquire`] would be refused because of another workspace, for a command that only reads. Takes no lock and writes
/// nothing.
///
/// # Errors
/// When another workspace manages the server, or its marker cannot be read.
pub fn check(context: &Context, workspace: &Workspace, guild: Snowflake, state: &State) -> Result<()> {
    let owner = match servers(context)?.map(|servers| servers.marker(guild.get())) {
        Some(Err(error @ StoreError::Owner { .. })) => return Err(error.into()),
        // The operation that writes markers warns of a folder that cannot be read.
        owner => owner.and_then(std::result::Result::ok).flatten(),
    };
    refuse_other_workspace(workspace, guild, state, owner)
}

/// The store of markers, which record the workspace that manages each server; `None` where the user has no home folder.
///
/// # Errors
/// When an environment variable is invalid.
pub fn servers(context: &Context) -> Result<Option<ServerRecords>> {
    let discord = context.environment.discord()?;
    let folder = context.environment.state_home()?;
    Ok(folder.map(|folder| ServerRecords::new(folder.join("gaib/servers"), &discord)))
}

/// The servers whose markers name the state file of this workspace.
#[must_use]
pub fn servers_of(context: &Context, workspace: &Workspace) -> Vec<u64> {
    let servers = servers(context).ok().flatten();
    servers.map_or_else(Vec::new, |servers| servers.servers_of(&workspace.state_file()))
}

/// Removes those markers of these servers that name this state file, each under the lock of its server.
///
/// # Errors
/// When an operation holds the lock of a server, or a marker cannot be removed.
pub fn release(context: &Context, guilds: &[u64], state_file: &Path) -> Result<()> {
    let Some(servers) = servers(context)? else {
        return Ok(());
    };
    let is_own = |guild: &&u64| matches!(servers.marker(**guild), Ok(Some(owner)) if owner.state == state_file);
    for guild in guilds.iter().filter(is_own) {
        servers.lock(*guild, &lock_holder("release"))?.release()?;
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
    if let Some(others) = other_workspaces(workspace, None) {
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

/// A sentence that names the other workspaces of this folder that manage `guild` (any server for `None`), with the options
/// that select them. `None` where there is no such workspace.
#[must_use]
pub fn other_workspaces(workspace: &Workspace, guild: Option<Snowflake>) -> Option<String> {
    let others = workspace.readable_states().into_iter();
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

fn refuse_other_workspace(
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    owner: Option<ServerMarker>,
) -> Result<()> {
    let other = match owner.and_then(|owner| owner_by_marker(workspace, guild, state, &owner)) {
        Some(other) => Some(other),
        None if state.manages(guild) => None,
        None => owner_in_this_folder(workspace, guild),
    };
    other.map_or(Ok(()), |other| Err(refusal(workspace, guild, &other)))
}

/// The owner that the marker names. `None` when it is this workspace, no longer manages the server, has an older copy of this
/// state, or its folder is deleted. A workspace whose state is damaged or missing is an owner.
fn owner_by_marker(
    workspace: &Workspace,
    guild: Snowflake,
    own: &State,
    owner: &ServerMarker,
) -> Option<OtherWorkspace> {
    if owner.state == workspace.state_file() {
        return None;
    }
    let state = match std::fs::read(&owner.state) {
        Ok(bytes) => match State::from_bytes(&bytes) {
            Ok(theirs) if !theirs.manages(guild) => return None,
            Ok(theirs) if theirs.lineage != own.lineage => OtherState::Manages(theirs.resources.len()),
            Ok(theirs) if own.serial >= theirs.serial => return None,
            Ok(theirs) => OtherState::Newer {
                serial: theirs.serial,
                own_serial: own.serial,
            },
            Err(error) => OtherState::Unreadable(format!("cannot be read ({}: {error})", owner.state.display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let has_folder = owner.state.parent().is_some_and(Path::is_dir);
            has_folder.then(|| {
                OtherState::Unreadable(format!(
                    "is missing (the file {} does not exist)",
                    owner.state.display()
                ))
            })?
        }
        // A file has replaced the folder of the workspace.
        Err(error) if error.kind() == ErrorKind::NotADirectory => return None,
        Err(error) => OtherState::Unreadable(format!("cannot be read ({}: {error})", owner.state.display())),
    };
    let folder = owner.folder().unwrap_or(Path::new("")).to_owned();
    Some(OtherWorkspace {
        name: owner.workspace.clone(),
        folder: (folder != workspace.folder()).then_some(folder),
        state,
    })
}

/// Another workspace of the same folder whose state manages the server.
fn owner_in_this_folder(workspace: &Workspace, guild: Snowflake) -> Option<OtherWorkspace> {
    let of_this_folder = |name: &WorkspaceName, state| OtherWorkspace {
        name: name.as_str().to_owned(),
        folder: None,
        state,
    };
    let mut others = workspace.readable_states().into_iter();
    if let Some((name, state)) = others.find(|(name, state)| *name != workspace.name && state.manages(guild)) {
        return Some(of_this_folder(&name, OtherState::Manages(state.resources.len())));
    }
    // A state that cannot be read may manage the server for which its workspace was created.
    let names = workspace.backend.names().unwrap_or_default().into_iter();
    let mut for_guild = names.filter(|name| *name != workspace.name && workspace.is_for_guild(name, guild));
    for_guild.find_map(|name| {
        let path = workspace.backend.state_path(&name);
        let reason = match std::fs::read(&path) {
            Ok(bytes) => State::from_bytes(&bytes).err()?.to_string(),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        let reason = format!("cannot be read ({}: {reason})", path.display());
        Some(of_this_folder(&name, OtherState::Unreadable(reason)))
    })
}

fn refusal(workspace: &Workspace, guild: Snowflake, other: &OtherWorkspace) -> Failure {
    let (folder, command) = match &other.folder {
        Some(folder) => (
            format!(" in {}", folder.display()),
            format!("gaib -C {} server", shell_quoted(folder)),
        ),
        None => (String::new(), workspace.server_command()),
    };
    let (name, own) = (&other.name, &workspace.name);
    let here = workspace.server_command();
    match &other.state {
        OtherState::Newer { serial, own_serial } => Failure::new(format!(
            "the state of workspace {own} is an old copy (serial {own_serial}): workspace {name}{folder} has the same state with \
             serial {serial}"
        ))
        .help(format!(
            "use that workspace, or copy its state: `{command} state pull --workspace {name} > newer.json`, then `{here} state push \
             newer.json --workspace {own}`"
        )),
        OtherState::Unreadable(reason) => Failure::new(format!(
            "server {guild} is managed by workspace {name}{folder}, whose state {reason}"
        ))
        .help(format!(
            "restore a copy of that state: `{command} state push FILE --workspace {name}`; or end the ownership: `{here} state \
             release --guild {guild}`"
        )),
        OtherState::Manages(resources) => Failure::new(format!(
            "server {guild} is managed by workspace {name}{folder} ({}), not by workspace {own}; a second workspace would create \
             every resource again",
            counted(*resources, "resource")
        ))
        .help(alternatives(workspace, other, &command)),
    }
}

/// Advice after a refusal: use the other workspace, move the server into this one, or end the other's ownership.
fn alternatives(workspace: &Workspace, other: &OtherWorkspace, command: &str) -> String {
    let (name, own, here) = (&other.name, &workspace.name, workspace.server_command());
    let file = match &workspace.configuration_file {
        Some(file) => format!(" --file {}", shell_quoted(file)),
        None => String::new(),
    };
    let use_other = match &other.folder {
        Some(_) => format!("use that workspace: `{command} apply --workspace {name}{file}`"),
        None => format!(
            "use that workspace: add `--workspace {name}` to this command (`{command} apply --workspace {name}{file}`), or select \
             it: `{command} workspace select {name}`"
        ),
    };
    format!(
        "{use_other}; or move the server into this workspace: `{command} state pull --workspace {name} > moved.json`, then `{here} \
         state push moved.json --workspace {own}`; or end the ownership, without a change of the server: `{command} state rm --all \
         --workspace {name}`"
    )
}
