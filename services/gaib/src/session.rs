//! One command's dealings with one server: workspace, state, lock, live server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrakis_iac::live::Live;
use arrakis_iac::model::{Kind, Snowflake};
use arrakis_iac::state::State;
use arrakis_iac_apply::http::{Discord, Https, Token};
use arrakis_iac_apply::store::{Backend, Guard, Holder, Local, StoreError, WorkspaceName};
use arrakis_iac_apply::{Progress, Silent, read};
use tokio_util::sync::CancellationToken;

use crate::commands::Context;
use crate::error::{Failure, Result};
use crate::project::{Project, store_folder};
use crate::settings::guild_id;

/// A workspace: where its state is.
#[derive(Debug)]
pub struct Workspace {
    /// Its name.
    pub name: WorkspaceName,
    /// Where states are kept.
    pub backend: Local,
    /// The folder, where there is one.
    pub project: Option<Project>,
    root: PathBuf,
}

impl Workspace {
    /// The one that is named, or selected, in this folder.
    ///
    /// # Errors
    /// When there is no such workspace, or no folder of gaib's while one is `needed`.
    pub async fn open(named: Option<&str>, needed: bool) -> Result<Self> {
        let project = if needed {
            Some(Project::required()?)
        } else {
            Project::open("")?
        };
        let backend = Local::new(store_folder(Path::new("")), host());
        let name = match named {
            Some(name) => name.parse().map_err(Failure::new)?,
            None => backend.selected().await.map_err(Failure::new)?,
        };
        if !backend.workspaces().await.map_err(Failure::new)?.contains(&name) {
            return Err(Failure::new(format!("there is no workspace {name}")).help(format!(
                "`gaib server workspace ls` lists them; `gaib server workspace new {name}` makes it"
            )));
        }
        Ok(Self {
            name,
            backend,
            project,
            root: PathBuf::new(),
        })
    }

    /// The workspace of a single file: beside it, named after the server.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub async fn beside(root: &Path, guild: Snowflake) -> Result<Self> {
        let name: WorkspaceName = format!("guild-{guild}").parse().map_err(Failure::new)?;
        let backend = Local::new(store_folder(root), host());
        match backend.create_workspace(&name).await {
            Ok(()) | Err(StoreError::WorkspaceExists(_)) => {}
            Err(error) => return Err(Failure::new(error)),
        }
        Ok(Self {
            name,
            backend,
            project: None,
            root: root.to_owned(),
        })
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
        let Some(bytes) = self.backend.read(&self.name).await.map_err(Failure::new)? else {
            return Ok(None);
        };
        let path = self.backend.state_path(&self.name);
        State::from_bytes(&bytes).map(Some).map_err(|error| {
            Failure::new(format!("could not read the state {}: {error}", path.display())).help(format!(
                "the one before it is {}.backup; `gaib server state push FILE` puts a state in place",
                path.display()
            ))
        })
    }

    /// The state, or the beginning of one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn state_or_new(&self) -> Result<State> {
        Ok(self
            .state()
            .await?
            .unwrap_or_else(|| State::new(uuid::Uuid::new_v4().to_string())))
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// When somebody has it: who, since when, what for.
    pub async fn lock(&self, context: &Context, operation: &str) -> Result<Box<dyn Guard>> {
        let guard = self
            .backend
            .lock(&self.name, &holder(operation))
            .await
            .map_err(Failure::new)?;
        if let Some(left) = guard.left_behind() {
            context
                .printer
                .note(&format!("Took over a lock whose holder has ended: {left}."));
        }
        Ok(guard)
    }

    /// Which server: what is said, else the environment, else what `init` or the state remembers.
    ///
    /// # Errors
    /// When nothing says it, or what does is no id.
    pub fn guild(&self, said: Option<&str>, context: &Context, state: Option<&State>) -> Result<Snowflake> {
        let number = match said {
            Some(said) => Some(guild_id(said)?),
            None => match context.environment.guild()? {
                Some(guild) => Some(guild),
                None => self
                    .project
                    .as_ref()
                    .and_then(|project| project.guild(&self.name))
                    .map(guild_id)
                    .transpose()?,
            },
        };
        let remembered = state.and_then(|state| state.guild_id);
        number.and_then(Snowflake::new).or(remembered).ok_or_else(|| {
            Failure::new(format!(
                "it is not said which server workspace {} belongs to",
                self.name
            ))
            .help("add --guild ID, set DISCORD_GUILD_ID, or write it down once with `gaib server init --guild ID`")
        })
    }
}

/// Reads the live server.
///
/// # Errors
/// When Discord refuses or is out of reach.
pub async fn read_live(discord: &Discord, guild: Snowflake, kinds: &BTreeSet<Kind>) -> Result<Live> {
    read(discord, guild, kinds)
        .await
        .map_err(|error| Failure::new(format!("could not read server {guild}: {error}")))
}

/// A client that tells `progress` what it does.
///
/// # Errors
/// When there is no token, or it cannot be one.
pub fn connect(context: &Context, progress: Arc<dyn Progress>, cancelled: CancellationToken) -> Result<Discord> {
    let connection = context.environment.connection()?;
    let token = Token::new(connection.token.expose()).map_err(Failure::new)?;
    let https = Https::new(&connection.api_base, token).map_err(Failure::new)?;
    Ok(Discord::new(Arc::new(https), progress, cancelled))
}

/// A client for reading.
///
/// # Errors
/// As [`connect`].
pub fn connect_quietly(context: &Context) -> Result<Discord> {
    connect(context, Arc::new(Silent), CancellationToken::new())
}

/// Who asks for a lock.
#[must_use]
pub fn holder(operation: &str) -> Holder {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    Holder {
        who: user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name),
        host: host(),
        operation: operation.to_owned(),
    }
}

fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "this machine".to_owned())
}
