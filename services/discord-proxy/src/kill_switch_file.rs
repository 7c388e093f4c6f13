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
        // The whole name stays in it: two replicas may have `ks.1` and `ks.2` in one folder.
        let mut new = self.0.clone().into_os_string();
        new.push(".new");
        let mut file = File::create(&new)?;
        file.write_all(&json)?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use arrakis_security::kill_switch::{KillSwitch, KillSwitchScope};

    use super::*;

    #[test]
    fn files_of_two_replicas_in_one_folder_share_no_other_file() {
        let folder = std::env::temp_dir().join(format!("arrakis-kill-switch-file-{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder).unwrap();
        // Whatever is at the name of the other replica's new file stays.
        let other = folder.join("ks.new");
        fs::create_dir(&other).unwrap();
        for name in ["ks.1", "ks.2"] {
            let file = KillSwitchFile::new(folder.join(name));
            let on = KillSwitch::changed(KillSwitchScope::Platform, true, 0, name, "a test");
            let state = KillSwitchState::from(vec![on]);
            file.write(&state).unwrap();
            assert_eq!(file.read().unwrap(), state);
        }
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["ks.1", "ks.2", "ks.new"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
