//! One command's dealings with one server: workspace, state, lock, live server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrakis_iac::live::LiveServer;
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::{Discord, Https, Proxy, Token, Transport};
use arrakis_iac_apply::store::{Backend, LocalStore, LockHolder, StateLock, StoreError, WorkspaceName};
use arrakis_iac_apply::{NoProgress, Progress, read};
use tokio_util::sync::CancellationToken;

use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::ownership;
use crate::project::{CONFIGURATION, Project, store_folder};
use crate::recovery;
use crate::settings::{Connection, guild_id};

/// A workspace: where its state is.
#[derive(Debug)]
pub struct Workspace {
    /// Its name.
    pub name: WorkspaceName,
    /// Where states are kept.
    pub backend: LocalStore,
    /// The folder, where there is one.
    pub project: Option<Project>,
    /// The configuration file that was named on the command line, absolute.
    pub source: Option<PathBuf>,
    /// It is that of a single file ([`Workspace::beside`]).
    pub is_beside_a_file: bool,
    root: PathBuf,
}

impl Workspace {
    /// The one that is named, else the selected one, else `default`. A command never uses another one by itself, but for
    /// [`Workspace::open_for`].
    ///
    /// # Errors
    /// When there is no such workspace, or neither `.gaib/config.yaml` nor a configuration nor a state while one is `needed`.
    pub async fn open(named: Option<&str>, needed: bool) -> Result<Self> {
        let backend = LocalStore::new(store_folder(Path::new("")), host());
        // `gaib apply FILE` leaves states in a folder without `.gaib/config.yaml`.
        let project = match Project::open("")? {
            None if needed && states(&backend).is_empty() && !Path::new(CONFIGURATION).exists() => {
                Some(Project::required()?)
            }
            other => other,
        };
        let name = match named {
            Some(name) => name.parse().map_err(Failure::of_store)?,
            None => backend.selected().await.map_err(Failure::of_store)?,
        };
        if !backend.workspaces().await.map_err(Failure::of_store)?.contains(&name) {
            return Err(match named {
                Some(_) => Failure::new(format!("there is no workspace {name}")).help(format!(
                    "`gaib server workspace ls` lists them; `gaib server workspace new {name}` makes it"
                )),
                None => Failure::new(format!(
                    "the selected workspace, {name}, does not exist (.gaib/workspace names it)"
                ))
                .help("`gaib server workspace ls` lists them; `gaib server workspace select NAME` selects another one"),
            });
        }
        Ok(Self {
            name,
            backend,
            project,
            source: None,
            is_beside_a_file: false,
            root: PathBuf::new(),
        })
    }

    /// Another workspace of the same folder, which may not exist yet.
    #[must_use]
    pub fn named(&self, name: WorkspaceName) -> Self {
        Self {
            name,
            backend: self.backend.clone(),
            project: self.project.clone(),
            source: None,
            is_beside_a_file: false,
            root: self.root.clone(),
        }
    }

    /// The same for a command with `--guild ID`: where no workspace is named and the selected one manages another server, the
    /// workspace `guild-ID`, which `gaib apply FILE --guild ID` makes and which `--guild ID` names. A selected workspace that
    /// manages nothing stays: [`crate::ownership`] refuses it where another one manages the server.
    ///
    /// # Errors
    /// As [`Workspace::open`], and when `guild` is no id.
    pub async fn open_for(context: &Context, named: Option<&str>, needed: bool, guild: Option<&str>) -> Result<Self> {
        let mut workspace = Self::open(named, needed).await?;
        let (None, Some(guild)) = (named, guild) else {
            return Ok(workspace);
        };
        let guild = guild_id("--guild", guild)?;
        // An unreadable state is reported by the command that needs it.
        let Ok(Some(own)) = workspace.state().await else {
            return Ok(workspace);
        };
        if own.is_empty() || own.guild_id == Some(guild) {
            return Ok(workspace);
        }
        let name: WorkspaceName = format!("guild-{guild}").parse().map_err(Failure::of_store)?;
        let manages = |(other, state): &(WorkspaceName, State)| *other == name && state.manages(guild);
        if workspace.states().iter().any(manages) {
            context
                .printer
                .note(&format!("Using workspace {name}, which manages server {guild}."));
            workspace.name = name;
        }
        Ok(workspace)
    }

    /// The workspace of a single file: beside it, named after the server.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub async fn beside(root: &Path, guild: Snowflake) -> Result<Self> {
        let name: WorkspaceName = format!("guild-{guild}").parse().map_err(Failure::of_store)?;
        let backend = LocalStore::new(store_folder(root), host());
        match backend.create_workspace(&name).await {
            Ok(()) | Err(StoreError::WorkspaceExists(_)) => {}
            Err(error) => return Err(Failure::of_store(error)),
        }
        Ok(Self {
            name,
            backend,
            project: None,
            source: None,
            is_beside_a_file: true,
            root: root.to_owned(),
        })
    }

    /// After `gaib apply FILE`: selects this workspace in a folder where none was selected and `default` has no state, so that
    /// the other commands find the state; else says how they do.
    ///
    /// # Errors
    /// When the selection cannot be read or written.
    pub async fn select_if_first(&self, context: &Context) -> Result<()> {
        let chosen = self.backend.chosen().await.map_err(Failure::of_store)?;
        if chosen.as_ref() == Some(&self.name) {
            return Ok(());
        }
        let name = &self.name;
        let default = WorkspaceName::default();
        let is_free = chosen.is_none() && !self.backend.state_path(&default).exists();
        if is_free && Project::open(self.root.as_path())?.is_none() {
            self.backend.select(name).await.map_err(Failure::of_store)?;
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

    /// The same with the configuration file that was named on the command line.
    #[must_use]
    pub fn with_source(mut self, file: Option<&Path>) -> Self {
        self.source = file.and_then(|file| std::path::absolute(file).ok());
        self
    }

    /// The state file, absolute and without symbolic links: what the marker of a server names.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        let path = self.backend.state_path(&self.name);
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = std::fs::canonicalize(folder).or_else(|_| std::path::absolute(folder));
        folder.map_or(path.clone(), |folder| folder.join("state.json"))
    }

    /// The folder that holds `.gaib/`, absolute.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.state_file().ancestors().nth(4).unwrap_or(Path::new("")).to_owned()
    }

    /// How a command begins that works in this folder: `gaib server`, with `-C FOLDER` where it is not the present one.
    #[must_use]
    pub fn command(&self) -> String {
        match self.root.as_os_str().is_empty() {
            true => "gaib server".to_owned(),
            false => format!("gaib -C {} server", ownership::shell_word(&self.root.to_string_lossy())),
        }
    }

    /// The option that names this workspace, with a space before it; nothing for `default`.
    #[must_use]
    pub fn option(&self) -> String {
        match self.name == WorkspaceName::default() {
            true => String::new(),
            false => format!(" --workspace {}", self.name),
        }
    }

    /// Whether a workspace of this folder was made for this server, by `.gaib/config.yaml` or by its name.
    #[must_use]
    pub fn is_made_for(&self, name: &WorkspaceName, guild: Snowflake) -> bool {
        let recorded = self.project.as_ref().and_then(|project| project.guild(name));
        recorded == Some(guild.to_string().as_str()) || name.as_str() == format!("guild-{guild}")
    }

    /// Every workspace of this folder with a state that can be read.
    #[must_use]
    pub fn states(&self) -> Vec<(WorkspaceName, State)> {
        states(&self.backend)
    }

    /// Below `.gaib`.
    #[must_use]
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        store_folder(&self.root).join(below)
    }

    /// The state; `None` where nothing was written yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn state(&self) -> Result<Option<State>> {
        let path = self.backend.state_path(&self.name);
        let bytes = self.backend.read(&self.name).await;
        let bytes = bytes.map_err(|error| recovery::damaged(self, &error.to_string()))?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        State::from_bytes(&bytes)
            .map(Some)
            .map_err(|error| recovery::damaged(self, &format!("could not read the state {}: {error}", path.display())))
    }

    /// The state, or the beginning of one.
    ///
    /// # Errors
    /// When it cannot be read, or is gone although this workspace manages a server.
    pub async fn state_or_new(&self, context: &Context) -> Result<State> {
        match self.state().await? {
            Some(state) => Ok(state),
            None => {
                recovery::refuse_lost_state(context, self)?;
                Ok(State::new(uuid::Uuid::new_v4().to_string()))
            }
        }
    }

    /// Writes `state` under a lock that is held, where nothing was written yet: a server is changed, and its marker written,
    /// only when there is a state.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn begin_locked(&self, guard: &mut dyn StateLock, state: &State) -> Result<()> {
        if self.state().await?.is_none() {
            guard.write(&state.to_bytes()).await.map_err(Failure::of_store)?;
        }
        Ok(())
    }

    /// Writes `state` where nothing was written yet, so that its lineage is kept; returns what is there then.
    ///
    /// # Errors
    /// When the lock is held, or the state cannot be written.
    pub async fn begin_state(&self, context: &Context, state: State) -> Result<State> {
        if self.state().await?.is_some() {
            return Ok(state);
        }
        let mut guard = self.lock(context, "begin the state").await?;
        // Another process may have begun it meanwhile.
        let state = match self.state().await? {
            Some(begun) => begun,
            None => {
                guard.write(&state.to_bytes()).await.map_err(Failure::of_store)?;
                state
            }
        };
        guard.release().await.map_err(Failure::of_store)?;
        Ok(state)
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// When somebody has it: who, since when, what for.
    pub async fn lock(&self, context: &Context, operation: &str) -> Result<Box<dyn StateLock>> {
        let guard = self
            .backend
            .lock(&self.name, &holder(operation))
            .await
            .map_err(Failure::of_store)?;
        if let Some(left) = guard.left_behind() {
            context
                .printer
                .note(&format!("Took over a lock whose holder has ended: {left}."));
        }
        Ok(guard)
    }

    /// Which server: `--guild`, else the environment, else what `init` or the state remembers.
    ///
    /// # Errors
    /// When nothing names one, or what does is no id.
    pub fn guild(&self, said: Option<&str>, context: &Context, state: Option<&State>) -> Result<Snowflake> {
        self.wanted_guild(said, context, state)?.ok_or_else(|| {
            let failure = Failure::new(format!("workspace {} belongs to no server yet", self.name));
            match ownership::suggestion(self, None) {
                Some(other) => failure.help(format!("{other}; for another server add --guild ID")),
                None => failure.help(
                    "add --guild ID, set DISCORD_GUILD_ID, or write it down once with `gaib server init --guild ID`",
                ),
            }
        })
    }

    /// The same; `None` when nothing names one.
    ///
    /// # Errors
    /// When what names one is no id.
    pub fn wanted_guild(
        &self,
        said: Option<&str>,
        context: &Context,
        state: Option<&State>,
    ) -> Result<Option<Snowflake>> {
        let named = match said {
            Some(said) => Some(guild_id("--guild", said)?),
            None => match context.environment.guild()? {
                Some(guild) => Some(guild),
                None => self.remembered_guild()?,
            },
        };
        Ok(named.or(state.and_then(|state| state.guild_id)))
    }

    /// The server that `.gaib/config.yaml` names for this workspace.
    ///
    /// # Errors
    /// When what it names is no id.
    pub fn remembered_guild(&self) -> Result<Option<Snowflake>> {
        let named = self.project.as_ref().and_then(|project| project.guild(&self.name));
        let id = |text: &str| {
            Snowflake::written(text).map_err(|error| {
                Failure::new(format!(
                    ".gaib/config.yaml: the server of workspace {}: {error}",
                    self.name
                ))
                .help("correct it there")
            })
        };
        named.map(id).transpose()
    }
}

/// Every workspace with a state that can be read.
fn states(backend: &LocalStore) -> Vec<(WorkspaceName, State)> {
    let names = backend.names().unwrap_or_default().into_iter();
    let read = names.filter_map(|name| {
        let bytes = std::fs::read(backend.state_path(&name)).ok()?;
        Some((name, State::from_bytes(&bytes).ok()?))
    });
    read.collect()
}

/// Reads the live server.
///
/// # Errors
/// When Discord refuses or is out of reach.
pub async fn read_live(discord: &Discord, guild: Snowflake, kinds: &BTreeSet<Kind>) -> Result<LiveServer> {
    read(discord, guild, kinds)
        .await
        .map_err(|error| Failure::new(format!("could not read server {guild}: {error}")))
}

/// A client for work on one server that reports to `progress` what it does.
///
/// # Errors
/// When there is neither a token nor a proxy, or a value cannot be used.
pub fn connect(
    context: &Context,
    guild: Snowflake,
    progress: Arc<dyn Progress>,
    cancelled: CancellationToken,
) -> Result<Discord> {
    let transport: Arc<dyn Transport> = match context.environment.connection()? {
        Connection::Token { token, api_base } => {
            let token = Token::new(token.expose()).map_err(Failure::new)?;
            Arc::new(Https::new(&api_base, token).map_err(Failure::new)?)
        }
        Connection::Proxy { replicas, credential } => {
            let proxy = Proxy::new(&replicas, credential.expose(), guild.get());
            Arc::new(proxy.map_err(|error| {
                Failure::new(error)
                    .help("correct DISCORD_PROXY_CREDENTIAL, or unset DISCORD_PROXY_URL to use DISCORD_TOKEN")
            })?)
        }
    };
    Ok(Discord::new(transport, progress, cancelled))
}

/// A client for reading.
///
/// # Errors
/// As [`connect`].
pub fn connect_quietly(context: &Context, guild: Snowflake) -> Result<Discord> {
    connect(context, guild, Arc::new(NoProgress), CancellationToken::new())
}

/// Who asks for a lock.
#[must_use]
pub fn holder(operation: &str) -> LockHolder {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    LockHolder {
        who: user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name),
        host: host(),
        operation: operation.to_owned(),
    }
}

fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "this machine".to_owned())
}
