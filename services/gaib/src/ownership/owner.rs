//! The owner of a server: another workspace that manages it, according to a marker or to its state.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{ServerMarker, StoreError, WorkspaceName};

use super::advice::refusal;
use crate::backend::{AwsEnvironment, StateStore};
use crate::error::Result;
use crate::project::{Project, store_folder};
use crate::workspace::{Workspace, host};

/// Another workspace that manages the server.
#[derive(Debug)]
pub(super) struct OtherWorkspace {
    pub(super) name: String,
    /// The folder that contains its `.gaib/`; `None` for the current folder, and for a workspace of the same store.
    pub(super) folder: Option<PathBuf>,
    pub(super) state: OtherState,
}

/// The state of another workspace.
#[derive(Debug)]
pub(super) enum OtherState {
    /// It manages the server, with so many resources.
    Manages(usize),
    /// It is a newer copy of the state of this workspace.
    Newer { serial: u64, own_serial: u64 },
    /// It cannot be read or is missing, for this reason, so it may manage the server.
    Unreadable(String),
}

/// Refuses the owner that the marker names. It is none when it is this workspace, no longer manages the server, has an older copy
/// of this state, or its folder is deleted. A workspace whose state is damaged or missing is an owner.
pub(super) async fn refuse(workspace: &Workspace, guild: Snowflake, own: &State, owner: &ServerMarker) -> Result<()> {
    if owner.state == workspace.state_file() {
        return Ok(());
    }
    let state = match read_state(workspace, owner).await {
        Ok(None) => return Ok(()),
        Ok(Some(theirs)) if !theirs.manages(guild) => return Ok(()),
        Ok(Some(theirs)) if theirs.lineage != own.lineage => OtherState::Manages(theirs.resources.len()),
        Ok(Some(theirs)) if own.serial >= theirs.serial => return Ok(()),
        Ok(Some(theirs)) => OtherState::Newer {
            serial: theirs.serial,
            own_serial: own.serial,
        },
        Err(reason) => OtherState::Unreadable(reason),
    };
    let folder = owner.folder().unwrap_or(Path::new("")).to_owned();
    let other = OtherWorkspace {
        name: owner.workspace.clone(),
        folder: (folder != workspace.folder() && !is_of_same_store(workspace, owner)).then_some(folder),
        state,
    };
    Err(refusal(workspace, guild, &other))
}

/// Refuses another workspace of the same store whose state manages the server.
pub(super) async fn refuse_of_same_store(workspace: &Workspace, guild: Snowflake) -> Result<()> {
    let of_same_store = |name: &WorkspaceName, state| OtherWorkspace {
        name: name.as_str().to_owned(),
        folder: None,
        state,
    };
    let mut others = workspace.readable_states().await.into_iter();
    if let Some((name, state)) = others.find(|(name, state)| *name != workspace.name && state.manages(guild)) {
        let other = of_same_store(&name, OtherState::Manages(state.resources.len()));
        return Err(refusal(workspace, guild, &other));
    }
    // A state that cannot be read may manage the server for which its workspace was created.
    for name in workspace.backend.workspaces().await.unwrap_or_default() {
        if name == workspace.name || !workspace.is_for_guild(&name, guild) {
            continue;
        }
        if let Some(reason) = unreadable(workspace, &name).await {
            let other = of_same_store(&name, OtherState::Unreadable(reason));
            return Err(refusal(workspace, guild, &other));
        }
    }
    Ok(())
}

/// Why the state of another workspace of the same store cannot be read; `None` when it can be, and when there is none.
async fn unreadable(workspace: &Workspace, name: &WorkspaceName) -> Option<String> {
    let state = workspace.backend.describe(name);
    let reason = match workspace.backend.read(name).await {
        Ok(bytes) => State::from_bytes(&bytes?).err()?.to_string(),
        Err(StoreError::Io { source, .. }) => source.to_string(),
        Err(error) => error.to_string(),
    };
    Some(format!("cannot be read ({state}: {reason})"))
}

/// Whether the marker names a state in the store of this workspace, which another machine may have written.
fn is_of_same_store(workspace: &Workspace, owner: &ServerMarker) -> bool {
    let name = owner.workspace.parse::<WorkspaceName>();
    workspace.backend.remote().is_some()
        && name.is_ok_and(|name| owner.state == Path::new(&workspace.backend.describe(&name)))
}

/// The state that a marker names. `None` where its folder is deleted, or where its workspace has no state in a store that is read.
///
/// # Errors
/// Why the state is missing or cannot be read, as the end of a sentence about it.
pub async fn read_state(workspace: &Workspace, owner: &ServerMarker) -> Result<Option<State>, String> {
    let path = owner.state.display();
    let bytes = if is_of_same_store(workspace, owner) {
        read_in(&workspace.backend, owner).await?
    } else if let Some(folder) = &owner.folder {
        read_in(&open_other(&workspace.aws, folder).await?, owner).await?
    } else {
        match read_file(&owner.state)? {
            Some(bytes) => bytes,
            None => return Ok(None),
        }
    };
    match State::from_bytes(&bytes) {
        Ok(state) => Ok(Some(state)),
        Err(error) => Err(format!("cannot be read ({path}: {error})")),
    }
}

/// A state in a file; `None` where the folder of its workspace is deleted.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => match path.parent().is_some_and(Path::is_dir) {
            true => Err(format!("is missing (the file {shown} does not exist)")),
            false => Ok(None),
        },
        // A file has replaced the folder of the workspace.
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(format!("cannot be read ({shown}: {error})")),
    }
}

/// A state in the store of this or of another folder.
async fn read_in(store: &StateStore, owner: &ServerMarker) -> Result<Vec<u8>, String> {
    let path = owner.state.display();
    let name: WorkspaceName = owner
        .workspace
        .parse()
        .map_err(|error: StoreError| format!("cannot be read ({path}: {error})"))?;
    if Path::new(&store.describe(&name)) != owner.state {
        return Err(format!(
            "cannot be read ({path}: .gaib/config.yaml of its folder has another backend; an interrupted `gaib server state migrate` \
             continues when it is run again)"
        ));
    }
    match store.read(&name).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("is missing ({path} does not exist)")),
        Err(error) => Err(format!("cannot be read ({error})")),
    }
}

/// The store of another folder of this machine, by its own settings.
async fn open_other(aws: &AwsEnvironment, folder: &Path) -> Result<StateStore, String> {
    let failed = |reason: &str| format!("cannot be read (the folder {}: {reason})", folder.display());
    let project = Project::open(folder).map_err(|error| failed(error.summary()))?;
    let project = project.ok_or_else(|| failed("it has no .gaib/config.yaml any more"))?;
    StateStore::open(project.backend(), aws, folder, store_folder(folder), &host())
        .await
        .map_err(|error| failed(error.summary()))
}
