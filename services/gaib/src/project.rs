//! The folder of a configuration: `discord-server.yaml`, `.gaib/config.yaml`, `.gaib/workspaces/`.
//!
//! Owns `.gaib/config.yaml`, which remembers the server of each workspace; the states beside it are the store's.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use arrakis_iac_apply::store::WorkspaceName;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, OrFail as _, Result};

/// Configuration file when nothing else is said.
pub const CONFIGURATION: &str = "discord-server.yaml";
const FOLDER: &str = ".gaib";
const FILE: &str = ".gaib/config.yaml";

/// What `init` remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    /// Version of the file's shape.
    pub version: u32,
    /// The configuration, relative to the folder.
    pub configuration: PathBuf,
    /// Server by workspace.
    #[serde(default)]
    pub guilds: BTreeMap<String, String>,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    file: ProjectFile,
}

impl Project {
    /// The one in this folder, if there is one.
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
                "correct it, or delete it and run `gaib server init --force`; the states are in .gaib/workspaces/",
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
        Ok(Some(Self { root, file }))
    }

    /// The one in this folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn required() -> Result<Self> {
        Self::open("")?.ok_or_else(|| {
            let here = std::env::current_dir().unwrap_or_default();
            Failure::new(format!("{} has no {FILE}, which gaib needs", here.display()))
                .help("`gaib server init` makes one here; `--chdir DIRECTORY` works in another folder")
        })
    }

    /// A new one.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let file = ProjectFile {
            version: 1,
            configuration: PathBuf::from(CONFIGURATION),
            guilds: BTreeMap::new(),
        };
        Self {
            root: root.into(),
            file,
        }
    }

    /// Writes `.gaib/config.yaml`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self) -> Result<()> {
        let mut text = String::from(
            "# Which server belongs to which workspace. `gaib server init` and `gaib server workspace new` write this file.\n",
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
        write(&self.root.join(FILE), text.as_bytes())
    }

    /// The configuration's path.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.root.join(&self.file.configuration)
    }

    /// The server that is remembered for a workspace.
    #[must_use]
    pub fn guild(&self, workspace: &WorkspaceName) -> Option<&str> {
        self.file.guilds.get(workspace.as_str()).map(String::as_str)
    }

    /// Remembers a workspace's server; forgets it with `None`.
    pub fn set_guild(&mut self, workspace: &WorkspaceName, guild: Option<Snowflake>) {
        let workspace = workspace.as_str().to_owned();
        match guild {
            Some(guild) => self.file.guilds.insert(workspace, guild.to_string()),
            None => self.file.guilds.remove(&workspace),
        };
    }
}

/// `.gaib` in a folder.
#[must_use]
pub fn store_folder(root: &Path) -> PathBuf {
    root.join(FOLDER)
}

/// Largest file that is read: the largest server's configuration has a few megabytes.
const LARGEST: u64 = 64 << 20;

/// Reads a file that somebody names. What has no end, such as a device, is an error and not a full memory.
///
/// # Errors
/// When it cannot be read, or is larger than 64 MiB.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::open(path)?.take(LARGEST + 1), &mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(std::io::Error::other("it is larger than 64 MiB")),
        false => Ok(bytes),
    }
}

/// Writes a file and the folders above it, whole or not at all.
///
/// # Errors
/// When the disk refuses.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // What is no file (`/dev/null`, a pipe behind `/dev/stdout`) is written to, and a link is followed: a rename would replace
    // them.
    let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        return std::fs::write(path, bytes).or_fail(format_args!("write {}", path.display()));
    }
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let doing = format!("write {}", path.display());
    std::fs::create_dir_all(parent).or_fail(&doing)?;
    let mut file = tempfile::Builder::new()
        .prefix(".gaib-")
        .tempfile_in(parent)
        .or_fail(&doing)?;
    std::io::Write::write_all(&mut file, bytes).or_fail(&doing)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable).or_fail(&doing)?;
    }
    file.persist(path).map(drop).or_fail(&doing)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_and_what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        write(&of("a/b/file"), b"one").unwrap();
        std::os::unix::fs::symlink(of("a/b/file"), of("link")).unwrap();
        write(&of("link"), b"two").unwrap();
        assert!(std::fs::symlink_metadata(of("link")).unwrap().is_symlink());
        assert_eq!(std::fs::read(of("a/b/file")).unwrap(), b"two");
        // As `/dev/stdout` in `gaib … | head`: a link to a pipe, which has no path of its own.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), of("pipe")).unwrap();
        write(&of("pipe"), b"three").unwrap();
        assert!(std::fs::symlink_metadata(of("pipe")).unwrap().is_symlink());
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "three");
        assert!(write(folder.path(), b"four").is_err());
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("64 MiB"));
    }
}
