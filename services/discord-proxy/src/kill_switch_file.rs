//! `KILL_SWITCH_FILE`: the entries of the kill switch as JSON, replaced as a whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use arrakis_security::kill_switch::KillSwitchState;

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct KillSwitchFile(PathBuf);

impl KillSwitchFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The state; the initial one where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(&self) -> Result<KillSwitchState, String> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(KillSwitchState::default()),
            Err(error) => return Err(error.to_string()),
        };
        serde_json::from_str(&text).map_err(|error| format!("{error}; where the kill switch is off, remove the file"))
    }

    /// Replaces the file. After a crash it has the old or the new state.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn write(&self, state: &KillSwitchState) -> Result<(), String> {
        self.replace(state).map_err(|error| error.to_string())
    }

    fn replace(&self, state: &KillSwitchState) -> std::io::Result<()> {
        let json = serde_json::to_vec(state)?;
        let new = self.0.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}
