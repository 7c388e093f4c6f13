//! A random value in a file, from before an operation until it has ended, from which the id of its use and of its snapshot follow.
//!
//! An operation that is killed has used its limit and done nothing. The next run of it finds the value and counts the same use again, which
//! changes nothing: else the free plan would refuse it until the limit frees. The id depends on what is done ([`KeptId::bound`]), so the value
//! is worth nothing for another operation.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use uuid::Uuid;

use crate::files;

/// A random value. Its file, where it has one, is locked until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct KeptId {
    id: Uuid,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: File,
    path: PathBuf,
}

impl KeptId {
    /// A value without a file, for a use that nothing limits.
    pub fn unkept() -> Self {
        Self {
            id: Uuid::new_v4(),
            kept: None,
        }
    }

    /// The value in the file of an operation that was killed; else a new one, which is written there.
    ///
    /// It has no file while another process has it: two operations at the same time count twice. Neither has it one where the file cannot be
    /// written: then the use of an operation that is killed stays counted.
    pub fn keep(path: PathBuf) -> Self {
        match Self::lock_and_write(path) {
            Ok(Some(kept)) => kept,
            Ok(None) | Err(_) => Self::unkept(),
        }
    }

    /// `None` while another process has the file.
    fn lock_and_write(path: PathBuf) -> std::io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = files::open_own(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let present = read(&mut file)?;
        let id = present.unwrap_or_else(Uuid::new_v4);
        // An id that is there is not written again: a process that is killed meanwhile would lose it.
        if present != Some(id) {
            replace(&mut file, id.to_string().as_bytes())?;
        }
        let kept = Some(Kept { file, path });
        Ok(Some(Self { id, kept }))
    }

    /// The id of what is done, as in `restore/{server}/{backup}`: the same in each run of the same operation.
    #[must_use]
    pub fn bound(&self, purpose: &str) -> Uuid {
        Uuid::new_v5(&self.id, purpose.as_bytes())
    }

    /// The operation has ended: its next run is another use. A file that cannot be removed has no consequence but a use that is not counted.
    pub fn end(self) {
        let Some(mut kept) = self.kept else { return };
        // Emptied first: another process may have opened the file, and takes its lock after the removal.
        let _ = replace(&mut kept.file, b"").and_then(|()| std::fs::remove_file(&kept.path));
    }
}

/// The id in the file; `None` where it has none, or a part of one that was being written.
fn read(file: &mut File) -> std::io::Result<Option<Uuid>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Uuid::try_parse_ascii(bytes.trim_ascii()).ok())
}

fn replace(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killed_operation_has_the_same_id_until_it_ends_and_another_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workspaces/default/use-backup");
        let keep = || KeptId::keep(path.clone());
        let first = keep();
        let id = first.bound("restore/7/a");
        assert_ne!(first.bound("restore/7/b"), id);
        // Another process at the same time.
        let other = keep();
        assert_ne!(other.bound("restore/7/a"), id);
        other.end();
        // The lock ends with the process.
        drop(first);
        let again = keep();
        assert_eq!(again.bound("restore/7/a"), id);
        again.end();
        assert!(!path.exists());
        assert_ne!(keep().bound("restore/7/a"), id);
    }

    #[test]
    fn part_of_a_value_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("use-backup");
        std::fs::write(&path, "0190a").unwrap();
        let kept = KeptId::keep(path.clone());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept.id.to_string());
    }

    #[test]
    fn value_has_no_file_where_none_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("workspaces"), "").unwrap();
        let keep = || KeptId::keep(folder.path().join("workspaces/use-backup"));
        let first = keep();
        assert_ne!(first.bound("backup"), keep().bound("backup"));
        first.end();
    }
}
