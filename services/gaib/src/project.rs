//! `.gaib/config.yaml`: the configuration file of a folder, the server of each workspace, and where the states are.
//!
//! The states belong to [`crate::workspace`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use arrakis_iac_apply::store::WorkspaceName;
use serde::{Deserialize, Serialize};

use crate::backend::{BackendEntry, BackendSettings};
use crate::error::{Failure, OrFail as _, Result};
use crate::files;

/// Default name of the configuration file.
pub const CONFIGURATION: &str = "discord-server.yaml";
const FOLDER: &str = ".gaib";
const FILE: &str = ".gaib/config.yaml";

/// Content of `.gaib/config.yaml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    /// Version of the file format.
    pub version: u32,
    /// Path of the configuration, relative to the project's folder.
    pub configuration: PathBuf,
    /// Server id of each workspace.
    #[serde(default)]
    pub guilds: BTreeMap<String, String>,
    /// Where the states are.
    #[serde(default)]
    pub backend: Option<BackendEntry>,
}

/// A folder with `.gaib/config.yaml`.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    file: ProjectFile,
    backend: BackendSettings,
}

impl Project {
    /// Reads the project of a folder; `None` when the folder has none.
    ///
    /// # Errors
    /// When `.gaib/config.yaml` cannot be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Option<Self>> {
        let root = root.into();
        let path = root.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).or_fail(format_args!("read {}", path.display())),
        };
        let file: ProjectFile = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::new(format!("could not read {}: {error}", path.display())).help(
                "correct it, or delete it and run `gaib server init --guild ID`, which keeps an existing configuration; the states are in .gaib/workspaces/",
            )
        })?;
        if file.version != 1 {
            return Err(Failure::new(format!(
                "{} has version {}, and this gaib reads version 1",
                path.display(),
                file.version
            ))
            .help("use a newer gaib"));
        }
        let backend = match &file.backend {
            Some(entry) => BackendSettings::try_from(entry).map_err(|reason| {
                Failure::new(format!("{}: backend: {reason}", path.display())).help(
                    "correct `backend`, for example `backend: { type: s3, bucket: NAME, prefix: gaib }`; without it, the states are in \
                     .gaib/workspaces/",
                )
            })?,
            None => BackendSettings::default(),
        };
        Ok(Some(Self { root, file, backend }))
    }

    /// Reads the project of the current folder.
    ///
    /// # Errors
    /// When the folder has none, or it cannot be read.
    pub fn required() -> Result<Self> {
        Self::open("")?.ok_or_else(|| {
            let here = std::env::current_dir().unwrap_or_default();
            Failure::new(format!("{} has no {FILE}", here.display()))
                .help("`gaib server init` creates it; `--chdir DIRECTORY` runs gaib in another folder")
        })
    }

    /// A new project, which is not saved yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let file = ProjectFile {
            version: 1,
            configuration: PathBuf::from(CONFIGURATION),
            guilds: BTreeMap::new(),
            backend: None,
        };
        Self {
            root: root.into(),
            file,
            backend: BackendSettings::default(),
        }
    }

    /// Writes `.gaib/config.yaml`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self) -> Result<()> {
        let mut text = String::from(
            "# The server of each workspace. `gaib server init` and `gaib server workspace new` write this file.\n",
        );
        text.push_str(&format!(
            "version: 1\nconfiguration: {}\n",
            quoted(&self.file.configuration.to_string_lossy())
        ));
        if !self.file.guilds.is_empty() {
            text.push_str("guilds:\n");
            for (workspace, guild) in &self.file.guilds {
                text.push_str(&format!("  {}: {}\n", quoted(workspace), quoted(guild)));
            }
        }
        let backend = self.backend.entries();
        if !backend.is_empty() {
            text.push_str("# Where the states are; `gaib server state migrate` changes it.\nbackend:\n");
            for (key, value) in backend {
                text.push_str(&format!("  {key}: {}\n", quoted(&value)));
            }
        }
        files::write(&self.root.join(FILE), text.as_bytes())
    }

    /// Where the states are, without the environment.
    #[must_use]
    pub const fn backend(&self) -> &BackendSettings {
        &self.backend
    }

    /// Sets where the states are.
    pub fn set_backend(&mut self, backend: BackendSettings) {
        self.backend = backend;
    }

    /// The path of the configuration.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.root.join(&self.file.configuration)
    }

    /// The server id that is recorded for a workspace.
    #[must_use]
    pub fn guild(&self, workspace: &WorkspaceName) -> Option<&str> {
        self.file.guilds.get(workspace.as_str()).map(String::as_str)
    }

    /// Records the server of a workspace; `None` removes the record.
    pub fn set_guild(&mut self, workspace: &WorkspaceName, guild: Option<Snowflake>) {
        let workspace = workspace.as_str().to_owned();
        match guild {
            Some(guild) => self.file.guilds.insert(workspace, guild.to_string()),
            None => self.file.guilds.remove(&workspace),
        };
    }
}

/// The folder `.gaib` of a folder.
#[must_use]
pub fn store_folder(root: &Path) -> PathBuf {
    root.join(FOLDER)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
