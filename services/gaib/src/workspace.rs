//! A workspace: a named state of a folder, its files, its lock and its server.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use arrakis_iac::state::State;
use arrakis_iac_apply::store::{
    Backend as _, LockHolder, LockRecord, ServerMarker, StateLock, StoreError, WorkspaceName,
};

use crate::backend::{AwsEnvironment, StateStore, lock_wait};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::project::{CONFIGURATION, Project, store_folder};

/// A workspace of a folder.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The name.
    pub name: WorkspaceName,
    /// The store of all states of the folder.
    pub backend: StateStore,
    /// What the environment sets for stores in S3.
    pub aws: AwsEnvironment,
    /// The project of the folder, where it has one.
    pub project: Option<Project>,
    /// The absolute path of the configuration file that the command line names.
    pub configuration_file: Option<PathBuf>,
    /// Whether the workspace was opened by [`Workspace::beside_file`].
    pub is_beside_file: bool,
    /// Whether [`Workspace::beside_file`] created it.
    pub is_new: bool,
    root: PathBuf,
}

impl Workspace {
    /// Opens the workspace with this name, else the selected one, else `default`. A command never uses another workspace,
    /// except through [`Workspace::open_for_guild`].
    ///
    /// # Errors
    /// When the workspace does not exist; with `requires_project`, when the folder has neither `.gaib/config.yaml` nor a
    /// configuration nor a state.
    pub async fn open(context: &Context, name: Option<&str>, requires_project: bool) -> Result<Self> {
        let found = Project::open("")?;
        let backend = open_store(context, Path::new(""), found.as_ref()).await?;
        // `gaib apply FILE` leaves states in a folder without `.gaib/config.yaml`.
        let is_empty = found.is_none() && !Path::new(CONFIGURATION).exists();
        let project = match requires_project && is_empty && readable_states(&backend).await.is_empty() {
            true => Some(Project::required()?),
            false => found,
        };
        let is_named = name.is_some();
        let name = match name {
            Some(name) => name.parse()?,
            None => backend.selected().await?,
        };
        if name != WorkspaceName::default() && !backend.workspaces().await?.contains(&name) {
            return Err(match is_named {
                true => Failure::new(format!("there is no workspace {name}")).help(format!(
                    "`gaib server workspace ls` lists the workspaces; `gaib server workspace new {name}` creates this one"
                )),
                false => Failure::new(format!(
                    "the selected workspace, {name}, does not exist (it is selected in .gaib/workspace)"
                ))
                .help(
                    "`gaib server workspace ls` lists the workspaces; `gaib server workspace select NAME` selects another one",
                ),
            });
        }
        Ok(Self {
            name,
            backend,
            aws: context.environment.aws()?,
            project,
            configuration_file: None,
            is_beside_file: false,
            is_new: false,
            root: PathBuf::new(),
        })
    }

    /// Opens the workspace as [`Workspace::open`] does, with one exception: where no name is given and the selected workspace
    /// manages another server than `guild`, opens the workspace `guild-ID`, which `gaib apply FILE --guild ID` creates. A
    /// selected workspace that manages nothing stays; [`crate::ownership`] refuses it where another workspace manages the
    /// server.
    ///
    /// # Errors
    /// As [`Workspace::open`].
    pub async fn open_for_guild(
        context: &Context,
        name: Option<&str>,
        requires_project: bool,
        guild: Option<Snowflake>,
    ) -> Result<Self> {
        let mut workspace = Self::open(context, name, requires_project).await?;
        let (None, Some(guild)) = (name, guild) else {
            return Ok(workspace);
        };
        // The command that needs the state reports that it cannot be read.
        let Ok(Some(state)) = workspace.read_state().await else {
            return Ok(workspace);
        };
        if state.is_empty() || state.guild_id == Some(guild) {
            return Ok(workspace);
        }
        let name: WorkspaceName = format!("guild-{guild}").parse()?;
        let manages = |(other, state): &(WorkspaceName, State)| *other == name && state.manages(guild);
        if workspace.readable_states().await.iter().any(manages) {
            context
                .printer
                .note(&format!("Using workspace {name}, which manages server {guild}."));
            workspace.name = name;
        }
        Ok(workspace)
    }

    /// Opens the workspace `guild-ID` of the folder of a configuration file, and creates it where it does not exist.
    ///
    /// # Errors
    /// When its folder cannot be created.
    pub async fn beside_file(context: &Context, root: &Path, guild: Snowflake) -> Result<Self> {
        let name: WorkspaceName = format!("guild-{guild}").parse()?;
        let backend = open_store(context, root, Project::open(root)?.as_ref()).await?;
        let is_new = match backend.create_workspace(&name).await {
            Ok(()) => true,
            Err(StoreError::WorkspaceExists(_)) => false,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            name,
            backend,
            aws: context.environment.aws()?,
            project: None,
            configuration_file: None,
            is_beside_file: true,
            is_new,
            root: root.to_owned(),
        })
    }

    /// Another workspace of the same folder, which may not exist.
    #[must_use]
    pub fn with_name(&self, name: WorkspaceName) -> Self {
        Self { name, ..self.clone() }
    }

    /// The same workspace with the configuration file that the command line names.
    #[must_use]
    pub fn with_configuration_file(mut self, file: Option<&Path>) -> Self {
        self.configuration_file = file.and_then(|file| std::path::absolute(file).ok());
        self
    }

    /// The same workspace in another store.
    #[must_use]
    pub fn with_backend(&self, backend: StateStore) -> Self {
        Self {
            backend,
            ..self.clone()
        }
    }

    /// Removes a workspace that [`Workspace::beside_file`] created and that nothing was written to.
    pub async fn remove_unused(&self) {
        match &self.backend {
            StateStore::Local(store) => store.remove_unused(&self.name),
            StateStore::Remote(store) => store.remove_unused(&self.name).await,
        }
    }

    /// Selects this workspace, after `gaib apply FILE`, in a folder without a project, without a selection and without a state
    /// in `default`, so that the other commands use its state. In any other folder, prints the option that selects it.
    ///
    /// # Errors
    /// When the selection cannot be read or written.
    pub async fn select_if_first(&self, context: &Context) -> Result<()> {
        let chosen = self.backend.chosen().await?;
        if chosen.as_ref() == Some(&self.name) {
            return Ok(());
        }
        let name = &self.name;
        let default = WorkspaceName::default();
        let is_unused = match &self.backend {
            _ if chosen.is_some() => false,
            StateStore::Local(store) => !store.state_path(&default).exists(),
            StateStore::Remote(store) => store.read(&default).await?.is_none(),
        };
        if is_unused && Project::open(self.root.as_path())?.is_none() {
            self.backend.select(name).await?;
            context
                .printer
                .note(&format!("Selected workspace {name}: the other commands use its state."));
        } else {
            context.printer.note(&format!(
                "The state is in workspace {name}, and workspace {} is selected: add `--workspace {name}` to the other commands, \
                 or select it with `gaib server workspace select {name}`.",
                chosen.unwrap_or(default)
            ));
        }
        Ok(())
    }

    /// The state as the marker of a server contains it: the path of its file, absolute and without symbolic links, or its name
    /// in a store.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        let Some(local) = self.backend.local() else {
            return PathBuf::from(self.backend.describe(&self.name));
        };
        let path = local.state_path(&self.name);
        let folder = path.parent().unwrap_or(Path::new(""));
        resolved(folder).map_or(path.clone(), |folder| folder.join("state.json"))
    }

    /// The absolute path of the folder that contains `.gaib/`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        if self.backend.local().is_some() {
            return self.state_file().ancestors().nth(4).unwrap_or(Path::new("")).to_owned();
        }
        let folder = store_folder(&self.root);
        let folder = resolved(&folder).unwrap_or(folder);
        folder.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The marker of a server for this workspace and its state.
    #[must_use]
    pub fn marker(&self, state: &State) -> ServerMarker {
        let marker = ServerMarker::new(self.name.as_str(), self.state_file(), state.lineage.as_str());
        match &self.backend {
            StateStore::Local(_) => marker,
            StateStore::Remote(_) => marker.in_store_of(self.folder()),
        }
    }

    /// A path below `.gaib/`.
    #[must_use]
    pub fn store_path(&self, below: impl AsRef<Path>) -> PathBuf {
        store_folder(&self.root).join(below)
    }

    /// The folder of the project's configuration, which paths of images are relative to. Empty for the current folder.
    #[must_use]
    pub fn configuration_folder(&self) -> PathBuf {
        let configuration = self.project.as_ref().map(Project::configuration);
        let folder = configuration.and_then(|path| path.parent().map(Path::to_owned));
        folder.unwrap_or_default()
    }

    /// The start of a command for this folder, for advice: `gaib server`, or `gaib -C FOLDER server` for another folder than
    /// the current one.
    #[must_use]
    pub fn server_command(&self) -> String {
        match self.root.as_os_str().is_empty() {
            true => "gaib server".to_owned(),
            false => format!("gaib -C {} server", shell_quoted(&self.root)),
        }
    }

    /// The option for this workspace, for advice: ` --workspace NAME`; empty for `default`.
    #[must_use]
    pub fn workspace_option(&self) -> String {
        match self.name == WorkspaceName::default() {
            true => String::new(),
            false => format!(" --workspace {}", self.name),
        }
    }

    /// Whether a workspace of this folder was created for this server: by the record in `.gaib/config.yaml` or by its name.
    #[must_use]
    pub fn is_for_guild(&self, name: &WorkspaceName, guild: Snowflake) -> bool {
        let recorded = self.project.as_ref().and_then(|project| project.guild(name));
        recorded == Some(guild.to_string().as_str()) || name.as_str() == format!("guild-{guild}")
    }

    /// All workspaces of the store of this folder with a state that can be read, and those states.
    pub async fn readable_states(&self) -> Vec<(WorkspaceName, State)> {
        readable_states(&self.backend).await
    }

    /// Reads the state; `None` where none was written yet. [`crate::workspace_state::read`] adds advice to the error.
    ///
    /// # Errors
    /// Why the state cannot be read.
    pub async fn read_state(&self) -> Result<Option<State>, String> {
        let bytes = self.backend.read(&self.name).await.map_err(|error| error.to_string())?;
        let state = bytes.map(|bytes| State::from_bytes(&bytes)).transpose();
        state.map_err(|error| {
            format!(
                "could not read the state {}: {error}",
                self.backend.describe(&self.name)
            )
        })
    }

    /// Takes the lock of the state. `operation` is shown to commands that are refused meanwhile. From then on a signal does not end the
    /// process, so that the lock is released.
    ///
    /// # Errors
    /// When another operation holds the lock.
    pub async fn lock(&self, context: &Context, operation: &str) -> Result<Box<dyn StateLock>> {
        let record = LockRecord::of_this_process(&lock_holder(operation));
        self.lock_as(context, record).await
    }

    /// The same, with a record that was noted before.
    ///
    /// # Errors
    /// As [`Workspace::lock`].
    pub async fn lock_as(&self, context: &Context, record: LockRecord) -> Result<Box<dyn StateLock>> {
        context.interruption.listen(context.printer);
        let guard = self.backend.lock_as(&self.name, record).await?;
        if let Some(previous) = guard.left_behind() {
            context
                .printer
                .note(&format!("Took over a lock whose holder has ended: {previous}."));
        }
        Ok(guard)
    }

    /// The server id of a command: `option` (the value of `--guild`), else the environment, else `.gaib/config.yaml`, else the
    /// state. `None` when none of them contains one.
    ///
    /// # Errors
    /// When the environment or `.gaib/config.yaml` contains an invalid id.
    pub fn guild(
        &self,
        context: &Context,
        option: Option<Snowflake>,
        state: Option<&State>,
    ) -> Result<Option<Snowflake>> {
        let guild = match option {
            Some(guild) => Some(guild),
            None => match context.environment.guild()? {
                Some(guild) => Some(guild),
                None => self.recorded_guild()?,
            },
        };
        Ok(guild.or(state.and_then(|state| state.guild_id)))
    }

    /// The server id that `.gaib/config.yaml` contains for this workspace.
    ///
    /// # Errors
    /// When it is invalid.
    pub fn recorded_guild(&self) -> Result<Option<Snowflake>> {
        let text = self.project.as_ref().and_then(|project| project.guild(&self.name));
        let id = |text: &str| {
            Snowflake::written(text).map_err(|error| {
                Failure::new(format!(
                    ".gaib/config.yaml: the server of workspace {}: {error}",
                    self.name
                ))
                .help("correct the id in .gaib/config.yaml")
            })
        };
        text.map(id).transpose()
    }
}

async fn readable_states(backend: &StateStore) -> Vec<(WorkspaceName, State)> {
    let mut states = Vec::new();
    for name in backend.workspaces().await.unwrap_or_default() {
        let Ok(Some(bytes)) = backend.read(&name).await else {
            continue;
        };
        states.extend(State::from_bytes(&bytes).ok().map(|state| (name, state)));
    }
    states
}

/// The store of the states of the folder `root`, by the environment or by its project.
///
/// # Errors
/// When the environment or the settings are invalid.
pub async fn open_store(context: &Context, root: &Path, project: Option<&Project>) -> Result<StateStore> {
    let configured = project.map(Project::backend).cloned().unwrap_or_default();
    let settings = context.environment.backend(configured)?;
    let aws = context.environment.aws()?;
    let wait = lock_wait(context.printer, context.interruption.clone());
    StateStore::open_waiting(&settings, &aws, root, store_folder(root), &host(), wait).await
}

/// Releases a lock after an operation, also after a failed one. Returns the result of the operation, else the error of the release.
///
/// # Errors
/// The error of the operation; the lock cannot be released.
pub async fn release_after<T>(guard: Box<dyn StateLock>, result: Result<T>) -> Result<T> {
    let id = guard.record().id.clone();
    let Err(error) = guard.release().await else {
        return result;
    };
    if !error.is_of_shared_store() {
        // A local lock ends with this process; another one was removed already.
        return result.and(Err(error.into()));
    }
    let stays = format!(
        "the lock {id} was not released ({error}) and may stay: if it refuses the next command, `gaib server force-unlock {id}` removes it"
    );
    Err(match result {
        Ok(_) => Failure::new("the operation is complete, and its lock was not released").help(stays),
        Err(failure) => {
            let help = failure.what_to_do().map(|help| format!("{help}; ")).unwrap_or_default();
            Failure::new(failure.summary()).help(format!("{help}{stays}"))
        }
    })
}

/// An absolute path without symbolic links, as far as the folder exists.
fn resolved(folder: &Path) -> Option<PathBuf> {
    let resolved = std::fs::canonicalize(folder).or_else(|_| std::path::absolute(folder));
    resolved.ok()
}

/// This user and host as the holder of a lock for `operation`.
#[must_use]
pub fn lock_holder(operation: &str) -> LockHolder {
    LockHolder {
        who: user(),
        host: host(),
        operation: operation.to_owned(),
    }
}

#[cfg(unix)]
fn user() -> String {
    let id = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    user.map_or_else(|| id.to_string(), |user| user.name)
}

#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown user".to_owned())
}

/// The name of this machine in the records of locks.
#[must_use]
pub fn host() -> String {
    name_of_host().unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(unix)]
fn name_of_host() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
fn name_of_host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// A path as one word of a shell command, for advice.
#[must_use]
pub fn shell_quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    // The only error is a NUL byte, which no path contains.
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use arrakis_iac_apply::store::SetAside;
    use async_trait::async_trait;

    use super::*;

    /// A lock whose removal ends with this error.
    #[derive(Debug)]
    struct Held(LockRecord, Option<StoreError>);

    #[async_trait]
    impl StateLock for Held {
        fn record(&self) -> &LockRecord {
            &self.0
        }

        fn left_behind(&self) -> Option<&LockRecord> {
            None
        }

        async fn set_aside(&mut self, _reason: SetAside) -> Result<Option<String>, StoreError> {
            Ok(None)
        }

        async fn write(&mut self, _state: &[u8]) -> Result<(), StoreError> {
            Ok(())
        }

        async fn release(self: Box<Self>) -> Result<(), StoreError> {
            self.1.map_or(Ok(()), Err)
        }
    }

    async fn released(error: Option<StoreError>, result: Result<u32>) -> Result<u32, (String, String)> {
        let guard = Held(LockRecord::of_this_process(&lock_holder("apply")), error);
        let id = guard.0.id.clone();
        let released = release_after(Box::new(guard), result).await;
        released.map_err(|failure| {
            let help = failure.what_to_do().unwrap_or_default().replace(&id, "ID");
            (failure.summary().replace(&id, "ID"), help)
        })
    }

    fn unresponsive() -> Option<StoreError> {
        Some(StoreError::LockTable {
            operation: "delete",
            lock: "workspaces/default/lock.json".to_owned(),
            reason: "no response".to_owned(),
            is_unknown: true,
        })
    }

    #[tokio::test]
    async fn lock_that_stays_in_a_shared_store_is_named_beside_the_error_of_the_operation() {
        let failed = || Err(Failure::new("the write has no response").help("repeat the command"));
        let (summary, help) = released(unresponsive(), failed()).await.unwrap_err();
        assert_eq!(summary, "the write has no response");
        assert!(
            help.starts_with("repeat the command; the lock ID was not released") && help.contains("force-unlock ID"),
            "{help}"
        );
        let (summary, help) = released(unresponsive(), Ok(1)).await.unwrap_err();
        assert!(summary.contains("is complete"), "{summary}");
        assert!(help.contains("force-unlock ID"), "{help}");
        let lost = StoreError::LockLost {
            workspace: WorkspaceName::default(),
            id: "ID".to_owned(),
        };
        let (summary, help) = released(Some(lost), Ok(1)).await.unwrap_err();
        assert!(
            summary.contains("was removed") && !help.contains("force-unlock"),
            "{summary}"
        );
        assert_eq!(released(None, failed()).await.unwrap_err().1, "repeat the command");
        assert_eq!(released(None, Ok(1)).await, Ok(1));
    }
}
