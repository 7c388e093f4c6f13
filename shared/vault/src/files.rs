//! File operations of the folder store and the file catalogue.
//!
//! Neither leaves its folder: a symbolic link below it is not followed, and a named pipe, socket or device is not opened ([`check`]). The
//! folder itself may be a link. What another process replaces by a link between the check and the operation is not detected.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What is at a path below the folder of a store, and is neither a file nor a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignFile {
    path: PathBuf,
    is_link: bool,
}

impl fmt::Display for ForeignFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.is_link {
            true => write!(
                f,
                "{path} is a symbolic link, which is not followed: nothing outside of the folder is read, changed or deleted; \
                 replace the link by what it refers to, or remove it"
            ),
            false => write!(
                f,
                "{path} is a named pipe, a socket or a device, which is not opened; remove it"
            ),
        }
    }
}

impl std::error::Error for ForeignFile {}

/// Checks that a path below `root`, and every folder between the two, is a file, a folder or absent.
///
/// # Errors
/// An error whose inner one is a [`ForeignFile`], or a path that cannot be read.
pub(crate) fn check(root: &Path, path: &Path) -> io::Result<()> {
    let below = path.strip_prefix(root).map_err(io::Error::other)?;
    let mut path = root.to_owned();
    for part in below.components() {
        path.push(part);
        let about = match fs::symlink_metadata(&path) {
            Ok(about) => about,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let is_link = about.is_symlink();
        if is_link || !(about.is_file() || about.is_dir()) {
            return Err(io::Error::other(ForeignFile { path, is_link }));
        }
    }
    Ok(())
}

/// Checks the folders between `root` and a path. What replaces or removes the path itself does not follow it.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_folders(root: &Path, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.starts_with(root) => check(root, folder),
        _ => Ok(()),
    }
}

/// The reason of an error of [`check`]; `None` of another error.
pub(crate) fn foreign(error: &io::Error) -> Option<&ForeignFile> {
    error.get_ref()?.downcast_ref()
}

/// Replaces a file below `root` atomically and durably: a temporary file beside it, sync, rename, sync of the folder.
pub(crate) fn replace(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_folders(root, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(".write-").tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Removes a file below `root`. No error where there is none.
pub(crate) fn remove(root: &Path, path: &Path) -> io::Result<()> {
    check_folders(root, path)?;
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Waits for the lock of a folder, which is held until the file is closed. Makes the folder if there is none.
pub(crate) fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let path = folder.join(".lock");
    check(folder, &path)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Whether an error means that there is no such file, also where a file has the name of its folder.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
