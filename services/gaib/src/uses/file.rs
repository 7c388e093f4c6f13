//! The id of a counted use, in a file from before it is counted until its operation has ended.
//!
//! An operation that is killed has used its limit and done nothing. The next run of it finds the id and counts the same use again, which
//! changes nothing: else the free plan would refuse it until the limit frees.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use uuid::Uuid;

/// The id of a use. Its file, where it has one, is locked until the value is dropped.
#[derive(Debug)]
#[must_use]
pub struct UseId {
    id: Uuid,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: File,
    path: PathBuf,
}

impl UseId {
    /// An id without a file, for a use that nothing limits.
    pub fn unkept() -> Self {
        Self {
            id: Uuid::new_v4(),
            kept: None,
        }
    }

    /// The id in the file of an operation that was killed; else a new one, which is written there. `known` is the id of an operation that
    /// continues.
    ///
    /// The id has no file while another process has it: two operations at the same time count twice. Neither has it one where the file cannot be
    /// written: then the use of an operation that is killed stays counted.
    pub fn keep(path: PathBuf, known: Option<Uuid>) -> Self {
        match Self::lock_and_write(path, known) {
            Ok(Some(kept)) => kept,
            Ok(None) | Err(_) => Self {
                id: known.unwrap_or_else(Uuid::new_v4),
                kept: None,
            },
        }
    }

    /// `None` while another process has the file.
    fn lock_and_write(path: PathBuf, known: Option<Uuid>) -> std::io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let present = read(&mut file)?;
        let id = known.or(present).unwrap_or_else(Uuid::new_v4);
        // An id that is there is not written again: a process that is killed meanwhile would lose it.
        if present != Some(id) {
            replace(&mut file, id.to_string().as_bytes())?;
        }
        let kept = Some(Kept { file, path });
        Ok(Some(Self { id, kept }))
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
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
    fn use_of_a_killed_operation_has_the_same_id_until_the_operation_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workspaces/default/use-backup");
        let keep = || UseId::keep(path.clone(), None);
        let first = keep();
        let id = first.id();
        // Another process at the same time.
        let other = keep();
        assert_ne!(other.id(), id);
        other.end();
        // The lock ends with the process.
        drop(first);
        let again = keep();
        assert_eq!(again.id(), id);
        again.end();
        assert!(!path.exists());
        assert_ne!(keep().id(), id);
    }

    #[test]
    fn part_of_an_id_is_replaced_and_a_known_id_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("use-backup");
        std::fs::write(&path, "0190a").unwrap();
        let kept = UseId::keep(path.clone(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept.id().to_string());
        drop(kept);
        let known = Uuid::from_u128(7);
        assert_eq!(UseId::keep(path.clone(), Some(known)).id(), known);
        assert_eq!(UseId::keep(path, None).id(), known);
    }

    #[test]
    fn id_has_no_file_where_none_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("workspaces"), "").unwrap();
        let keep = || UseId::keep(folder.path().join("workspaces/use-backup"), None);
        let first = keep();
        assert_ne!(first.id(), keep().id());
        first.end();
    }
}
