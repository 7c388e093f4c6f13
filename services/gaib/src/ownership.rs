//! One Discord server is managed by one workspace.
//!
//! Owns the refusal of a second workspace: one of the same folder (its state names the server), or one of another folder on
//! this machine (the marker that `store::Servers` keeps for a server). A marker counts only while the state that it names
//! manages the server, so nothing has to be released: `destroy`, `state rm` and a deleted folder end ownership. Workspaces
//! of other machines and users are not seen; see docs/decisions/0034.

use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{Owner, ServerLock, Servers, StoreError, WorkspaceName};

use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::session::{Workspace, holder};

/// The right to change a server, held until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _lock: Option<ServerLock>,
}

/// Another workspace that manages the server.
#[derive(Debug)]
struct OtherWorkspace {
    workspace: String,
    /// The folder that holds its `.gaib/`; `None` for the present one.
    folder: Option<PathBuf>,
    resources: usize,
    /// It holds a newer copy of the same state: its serial, and ours.
    newer: Option<(u64, u64)>,
}

/// Takes the lock of a server and its ownership, for an operation that changes the server or takes it into the state.
///
/// # Errors
/// When another operation holds the lock, or another workspace manages the server: which, and how to go on.
pub fn claim(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    operation: &str,
) -> Result<Claim> {
    let Some(servers) = servers(context)? else {
        refuse_other_workspace(workspace, guild, state, None)?;
        return Ok(Claim { _lock: None });
    };
    let lock = match servers.lock(guild.get(), &holder(operation)) {
        Ok(lock) => lock,
        Err(error @ StoreError::ServerLocked { .. }) => return Err(Failure::new(error)),
        Err(error) => {
            // What cannot be written may still be read.
            refuse_other_workspace(workspace, guild, state, servers.owner(guild.get()).unwrap_or_default())?;
            warn_unrecorded(context, &error);
            return Ok(Claim { _lock: None });
        }
    };
    refuse_other_workspace(workspace, guild, state, lock.owner().map_err(Failure::of_store)?)?;
    let own = Owner::new(workspace.name.as_str(), workspace.state_file(), state.lineage.as_str());
    if let Err(error) = lock.claim(&own) {
        warn_unrecorded(context, &error);
    }
    Ok(Claim { _lock: Some(lock) })
}

/// The same question for a command that only reads: whether [`claim`] would be refused. Takes no lock and writes nothing.
///
/// # Errors
/// When another workspace manages the server.
pub fn check(context: &Context, workspace: &Workspace, guild: Snowflake, state: &State) -> Result<()> {
    // A marker that cannot be read is reported by the operation that has to write it.
    let owner = servers(context)?.and_then(|servers| servers.owner(guild.get()).ok()?);
    refuse_other_workspace(workspace, guild, state, owner)
}

/// Where markers are kept; `None` where the user has no home folder.
fn servers(context: &Context) -> Result<Option<Servers>> {
    let discord = context.environment.discord()?;
    let folder = context.environment.state_home()?;
    Ok(folder.map(|folder| Servers::new(folder.join("gaib/servers"), &discord)))
}

fn warn_unrecorded(context: &Context, error: &StoreError) {
    context.printer.diagnostic(
        Severity::Warning,
        &format!("{error}; a workspace in another folder that manages the same server would not be noticed"),
        Some("make the folder writable, or set XDG_STATE_HOME to one that is"),
    );
}

fn refuse_other_workspace(workspace: &Workspace, guild: Snowflake, state: &State, owner: Option<Owner>) -> Result<()> {
    let other = match owner.and_then(|owner| elsewhere(workspace, guild, state, &owner)) {
        Some(other) => Some(other),
        None if manages(state, guild) => None,
        None => sibling(workspace, guild),
    };
    other.map_or(Ok(()), |other| Err(refusal(workspace, guild, &other)))
}

fn manages(state: &State, guild: Snowflake) -> bool {
    state.guild_id == Some(guild) && state.resources.len() + state.pending.len() > 0
}

/// The owner by the marker, unless it is this workspace, manages the server no more, or holds an older copy of this state.
fn elsewhere(workspace: &Workspace, guild: Snowflake, own: &State, owner: &Owner) -> Option<OtherWorkspace> {
    if owner.state == workspace.state_file() {
        return None;
    }
    let theirs = State::from_bytes(&std::fs::read(&owner.state).ok()?).ok()?;
    if !manages(&theirs, guild) {
        return None;
    }
    let newer = match theirs.lineage == own.lineage {
        true if own.serial >= theirs.serial => return None,
        true => Some((theirs.serial, own.serial)),
        false => None,
    };
    let folder = owner.folder().unwrap_or(Path::new("")).to_owned();
    Some(OtherWorkspace {
        workspace: owner.workspace.clone(),
        folder: (folder != workspace.folder()).then_some(folder),
        resources: theirs.resources.len(),
        newer,
    })
}

/// Another workspace of the same folder whose state manages the server.
fn sibling(workspace: &Workspace, guild: Snowflake) -> Option<OtherWorkspace> {
    let others = workspace.states().into_iter();
    let managing = others.filter(|(name, state)| *name != workspace.name && manages(state, guild));
    managing.map(|(name, state)| of_this_folder(&name, &state)).next()
}

fn of_this_folder(name: &WorkspaceName, state: &State) -> OtherWorkspace {
    OtherWorkspace {
        workspace: name.as_str().to_owned(),
        folder: None,
        resources: state.resources.len(),
        newer: None,
    }
}

fn refusal(workspace: &Workspace, guild: Snowflake, other: &OtherWorkspace) -> Failure {
    let place = match &other.folder {
        Some(folder) => format!(" in {}", folder.display()),
        None => String::new(),
    };
    let chdir = match &other.folder {
        Some(folder) => format!(" -C {}", shell_word(&folder.to_string_lossy())),
        None => String::new(),
    };
    let (name, own) = (&other.workspace, &workspace.name);
    if let Some((theirs, ours)) = other.newer {
        return Failure::new(format!(
            "the state of workspace {own} is an old copy (serial {ours}): workspace {name}{place} has the same state with serial {theirs}"
        ))
        .help(format!(
            "go on there, or fetch the newer state: `gaib{chdir} server state pull --workspace {name} > newer.json`, then \
             `gaib server state push newer.json --workspace {own}`"
        ));
    }
    let noun = if other.resources == 1 { "resource" } else { "resources" };
    let source = match &workspace.source {
        Some(file) => format!(" --file {}", shell_word(&file.to_string_lossy())),
        None => String::new(),
    };
    Failure::new(format!(
        "server {guild} is managed by workspace {name}{place} ({} {noun}), and a server is managed by one workspace: workspace \
         {own} would make everything a second time",
        other.resources
    ))
    .help(format!(
        "go on there: `gaib{chdir} server apply --workspace {name}{source}`; or move the server into this workspace: \
         `gaib{chdir} server state pull --workspace {name} > moved.json`, then `gaib server state push moved.json --workspace \
         {own}`; or end its ownership and keep the server as it is: `gaib{chdir} server state rm --all --workspace {name}`"
    ))
}

/// A word as a shell takes it.
fn shell_word(text: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "/._-+:@%".contains(sign);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_with_spaces_and_quotes_is_quoted() {
        assert_eq!(shell_word("/srv/sietch-1"), "/srv/sietch-1");
        assert_eq!(shell_word("it's here"), r"'it'\''s here'");
    }
}
