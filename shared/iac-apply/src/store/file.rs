//! Atomic replacement of files, and locks of the operating system on files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use super::StoreError;

/// Replaces a state, which may be a link to a file elsewhere, as [`replace`] does.
pub(super) fn replace_target(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    replace(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), bytes)
}

/// Replaces a file atomically and durably: writes a temporary file beside it, syncs, renames and syncs the folder. A link is replaced, and
/// its target stays as it is.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut temporary = tempfile::Builder::new().prefix(".gaib-").tempfile_in(folder)?;
        temporary.write_all(bytes)?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    write().map_err(|source| failed("write", path, source))
}

/// The content of a file; `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// Removes a file that may not exist.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed("remove", path, source)),
    }
}

/// Takes the lock of the operating system on a file, which is created where it does not exist. The lock ends with the process.
/// `None` while another process, or another lock of this process, holds it.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, StoreError> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = open.map_err(|source| failed("open", path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed("lock", path, source)),
    }
}

/// Syncs the folder of a file, which makes a rename durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

pub(super) fn failed(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
