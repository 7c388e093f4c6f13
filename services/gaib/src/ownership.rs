//! One Discord server is managed by one workspace.
//!
//! Owns the refusal of a second workspace: one of the same folder (its state names the server), or one of another folder on
//! this machine (the marker that `store::ServerRecords` keeps for a server). A marker counts only while the state that it names
//! manages the server, so nothing has to be released: `destroy`, `state rm` and a deleted folder end ownership. Workspaces
//! of other machines and users are not seen; see docs/decisions/0034.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac::words::counted;
use arrakis_iac_apply::store::{ServerLock, ServerMarker, ServerRecords, StoreError, WorkspaceName};

use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::printer::Severity;
use crate::session::{Workspace, holder};

/// The right to change a server, held until it is dropped.
#[derive(Debug)]
pub struct Claim {
    lock: Option<ServerLock>,
}

/// Another workspace that manages the server.
#[derive(Debug)]
struct OtherWorkspace {
    name: String,
    /// The folder that holds its `.gaib/`; `None` for the present one.
    folder: Option<PathBuf>,
    state: OtherState,
}

/// What is known of the state of another workspace.
#[derive(Debug)]
enum OtherState {
    /// It manages so many resources.
    Manages(usize),
    /// It is a newer copy of the state of this workspace: its serial, and ours.
    Newer(u64, u64),
    /// It cannot be read, or its file is gone: why. Whether it manages the server is not known.
    Unreadable(String),
}

/// Takes the lock of a server and, where the state on disk manages it, its ownership: for an operation that changes the server
/// or takes it into the state.
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
    let claim = lock(context, workspace, guild, state, operation)?;
    if state.manages(guild) {
        claim.record(context, workspace, state);
    }
    Ok(claim)
}

/// Takes the lock of a server alone. [`Claim::record`] takes the ownership, once `state` is on disk.
///
/// # Errors
/// As [`claim`].
pub fn lock(
    context: &Context,
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    operation: &str,
) -> Result<Claim> {
    let Some(servers) = servers(context)? else {
        refuse_other_workspace(workspace, guild, state, None)?;
        return Ok(Claim { lock: None });
    };
    let lock = match servers.lock(guild.get(), &holder(operation)) {
        Ok(lock) => lock,
        Err(error @ StoreError::ServerLocked { .. }) => return Err(Failure::new(error)),
        Err(error) => {
            // What cannot be written may still be read.
            refuse_other_workspace(workspace, guild, state, servers.marker(guild.get()).unwrap_or_default())?;
            warn_unrecorded(context, &error);
            return Ok(Claim { lock: None });
        }
    };
    refuse_other_workspace(workspace, guild, state, lock.marker().map_err(Failure::of_store)?)?;
    Ok(Claim { lock: Some(lock) })
}

impl Claim {
    /// Writes the marker of the server. The state must be on disk before: a marker whose state file is not there says that the
    /// state is gone. A folder that cannot be written is a warning.
    pub fn record(&self, context: &Context, workspace: &Workspace, state: &State) {
        let Some(lock) = &self.lock else { return };
        let own = ServerMarker::new(workspace.name.as_str(), workspace.state_file(), state.lineage.as_str());
        if let Err(error) = lock.claim(&own) {
            warn_unrecorded(context, &error);
        }
    }

    /// Removes the marker when an operation has ended after which `state` manages nothing: a state file that is deleted later
    /// is then no loss.
    pub fn settle(&self, context: &Context, state: &State) {
        let Some(lock) = self.lock.as_ref().filter(|_| state.is_empty()) else {
            return;
        };
        if let Err(error) = lock.release() {
            warn_unrecorded(context, &error);
        }
    }
}

/// The same question for a command that only reads: whether [`claim`] would be refused. Takes no lock and writes nothing.
///
/// # Errors
/// When another workspace manages the server, or its marker cannot be read.
pub fn check(context: &Context, workspace: &Workspace, guild: Snowflake, state: &State) -> Result<()> {
    let owner = match servers(context)?.map(|servers| servers.marker(guild.get())) {
        Some(Err(error @ StoreError::Owner { .. })) => return Err(Failure::of_store(error)),
        // A folder that cannot be read is a warning of the operation that writes there.
        owner => owner.and_then(std::result::Result::ok).flatten(),
    };
    refuse_other_workspace(workspace, guild, state, owner)
}

/// Where markers are kept; `None` where the user has no home folder.
///
/// # Errors
/// When the environment cannot be used.
pub fn servers(context: &Context) -> Result<Option<ServerRecords>> {
    let discord = context.environment.discord()?;
    let folder = context.environment.state_home()?;
    Ok(folder.map(|folder| ServerRecords::new(folder.join("gaib/servers"), &discord)))
}

/// A sentence that names the workspaces of this folder that manage the server (any server where none is given), and the
/// options to use them; `None` where there is none but `workspace`.
#[must_use]
pub fn suggestion(workspace: &Workspace, guild: Option<Snowflake>) -> Option<String> {
    let others = workspace.states().into_iter();
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
        &format!("{error}; a workspace in another folder that manages the same server would not be noticed"),
        Some("make the folder writable, or set XDG_STATE_HOME to one that is"),
    );
}

fn refuse_other_workspace(
    workspace: &Workspace,
    guild: Snowflake,
    state: &State,
    owner: Option<ServerMarker>,
) -> Result<()> {
    let other = match owner.and_then(|owner| elsewhere(workspace, guild, state, &owner)) {
        Some(other) => Some(other),
        None if state.manages(guild) => None,
        None => sibling(workspace, guild),
    };
    other.map_or(Ok(()), |other| Err(refusal(workspace, guild, &other)))
}

/// The owner by the marker, unless it is this workspace, manages the server no more, or holds an older copy of this state. A
/// workspace whose folder is gone manages nothing; one whose state is damaged or gone may.
fn elsewhere(workspace: &Workspace, guild: Snowflake, own: &State, owner: &ServerMarker) -> Option<OtherWorkspace> {
    if owner.state == workspace.state_file() {
        return None;
    }
    let state = match std::fs::read(&owner.state) {
        Ok(bytes) => match State::from_bytes(&bytes) {
            Ok(theirs) if !theirs.manages(guild) => return None,
            Ok(theirs) if theirs.lineage != own.lineage => OtherState::Manages(theirs.resources.len()),
            Ok(theirs) if own.serial >= theirs.serial => return None,
            Ok(theirs) => OtherState::Newer(theirs.serial, own.serial),
            Err(error) => OtherState::Unreadable(format!("cannot be read ({}: {error})", owner.state.display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let has_folder = owner.state.parent().is_some_and(Path::is_dir);
            has_folder
                .then(|| OtherState::Unreadable(format!("is gone (there is no file {})", owner.state.display())))?
        }
        // The folder of the workspace is a file now, and so on.
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
fn sibling(workspace: &Workspace, guild: Snowflake) -> Option<OtherWorkspace> {
    let of_this_folder = |name: &WorkspaceName, state| OtherWorkspace {
        name: name.as_str().to_owned(),
        folder: None,
        state,
    };
    let mut others = workspace.states().into_iter();
    if let Some((name, state)) = others.find(|(name, state)| *name != workspace.name && state.manages(guild)) {
        return Some(of_this_folder(&name, OtherState::Manages(state.resources.len())));
    }
    // A state that cannot be read may manage the server that its workspace was made for.
    let names = workspace.backend.names().unwrap_or_default().into_iter();
    let mut made_for_it = names.filter(|name| *name != workspace.name && workspace.is_made_for(name, guild));
    made_for_it.find_map(|name| {
        let path = workspace.backend.state_path(&name);
        let why = match std::fs::read(&path) {
            Ok(bytes) => State::from_bytes(&bytes).err()?.to_string(),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        let why = format!("cannot be read ({}: {why})", path.display());
        Some(of_this_folder(&name, OtherState::Unreadable(why)))
    })
}

fn refusal(workspace: &Workspace, guild: Snowflake, other: &OtherWorkspace) -> Failure {
    let (place, command) = match &other.folder {
        Some(folder) => (
            format!(" in {}", folder.display()),
            format!("gaib -C {} server", shell_word(&folder.to_string_lossy())),
        ),
        None => (String::new(), workspace.command()),
    };
    let (name, own) = (&other.name, &workspace.name);
    let here = workspace.command();
    match &other.state {
        OtherState::Newer(theirs, ours) => Failure::new(format!(
            "the state of workspace {own} is an old copy (serial {ours}): workspace {name}{place} has the same state with serial {theirs}"
        ))
        .help(format!(
            "go on there, or fetch the newer state: `{command} state pull --workspace {name} > newer.json`, then `{here} state \
             push newer.json --workspace {own}`"
        )),
        OtherState::Unreadable(why) => Failure::new(format!(
            "server {guild} is managed by workspace {name}{place}, whose state {why}"
        ))
        .help(format!(
            "put a copy of the state in place there: `{command} state push FILE --workspace {name}`; or end its ownership: \
             `{here} state release --guild {guild}`"
        )),
        OtherState::Manages(resources) => Failure::new(format!(
            "server {guild} is managed by workspace {name}{place} ({}), not by workspace {own}; a server is managed by one \
             workspace, a second one would create everything again",
            counted(*resources, "resource")
        ))
        .help(ways_on(workspace, other, &command)),
    }
}

/// Go on in the other workspace, move the server into this one, or end the other's ownership.
fn ways_on(workspace: &Workspace, other: &OtherWorkspace, command: &str) -> String {
    let (name, own, here) = (&other.name, &workspace.name, workspace.command());
    let source = match &workspace.source {
        Some(file) => format!(" --file {}", shell_word(&file.to_string_lossy())),
        None => String::new(),
    };
    let go_on = match &other.folder {
        Some(_) => format!("go on there: `{command} apply --workspace {name}{source}`"),
        None => format!(
            "go on there: add `--workspace {name}` to this command (`{command} apply --workspace {name}{source}`), or select it: \
             `{command} workspace select {name}`"
        ),
    };
    format!(
        "{go_on}; or move the server into this workspace: `{command} state pull --workspace {name} > moved.json`, then `{here} \
         state push moved.json --workspace {own}`; or end its ownership and keep the server as it is: `{command} state rm --all \
         --workspace {name}`"
    )
}

/// A word as a shell takes it.
#[must_use]
pub fn shell_word(text: &str) -> String {
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
