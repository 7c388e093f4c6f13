//! Reading and writing of files that a user names.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Failure, OrFail as _, Result};

/// Largest file that is read, in bytes. The configuration of the largest server has a few megabytes.
const MAX_BYTES: u64 = 64 << 20;

/// Reads a file of at most 64 MiB, so that an endless file such as a device does not fill the memory.
///
/// # Errors
/// When the file cannot be read, or is larger.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(std::io::Error::other("the file is larger than 64 MiB")),
        false => Ok(bytes),
    }
}

/// Reads a file that gaib wrote for itself. Not through a symbolic link, which a folder from elsewhere may have; and no named pipe, which would
/// be waited for.
///
/// # Errors
/// When the file cannot be read, is larger than 64 MiB, or is no regular file.
pub fn read_own(path: &Path) -> std::io::Result<Vec<u8>> {
    match path.symlink_metadata()?.is_file() {
        true => read(path),
        false => Err(not_own()),
    }
}

/// Opens a file that gaib writes for itself in place, and creates it where it does not exist. Nothing is written to the target of a link.
///
/// # Errors
/// When the file cannot be opened, is a symbolic link, a special file, or has another name.
pub fn open_own(path: &Path) -> std::io::Result<File> {
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(not_own());
    }
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    // What is at the path may be another file by now.
    let (open, there) = (file.metadata()?, path.symlink_metadata()?);
    match (open.dev(), open.ino()) == (there.dev(), there.ino()) && open.nlink() == 1 {
        true => Ok(file),
        false => Err(not_own()),
    }
}

fn not_own() -> std::io::Error {
    std::io::Error::other("it is a link, a named pipe, a socket or a device, and no file that gaib wrote; remove it")
}

/// Refuses a path in a folder that does not exist. For a file that a user names: [`write()`] would create the folder.
///
/// # Errors
/// When the folder does not exist.
pub fn require_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Failure::new(format!(
            "could not write {}: there is no folder {}",
            path.display(),
            folder.display()
        ))
        .help("create the folder, or name another file")),
        _ => Ok(()),
    }
}

/// Refuses a path below a folder that is a symbolic link, or leads through one, or is neither a file nor a folder. For files that a folder is
/// filled with: only the folder is the user's choice, and [`write()`] would follow the link out of it.
///
/// # Errors
/// With the link or the special file.
pub fn require_plain(folder: &Path, name: &str) -> Result<()> {
    let mut path = folder.to_owned();
    for part in Path::new(name).components() {
        path.push(part);
        let Ok(found) = path.symlink_metadata() else {
            return Ok(());
        };
        let what = match (found.is_symlink(), found.is_file() || found.is_dir()) {
            (true, _) => "a symbolic link, which would be followed out of the directory",
            (false, false) => "a named pipe, a socket or a device",
            (false, true) => continue,
        };
        return Err(
            Failure::new(format!("nothing was written: {} is {what}", path.display()))
                .help("remove it, or name another directory"),
        );
    }
    Ok(())
}

/// Refuses a directory that has files, unless `force` permits to replace them, and a path that is no directory. For a directory that is filled
/// with files; it may not exist yet.
///
/// # Errors
/// With what to name instead.
pub fn require_directory(folder: &Path, force: bool) -> Result<()> {
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::new(format!("{} is not a directory", folder.display())).help("name another one"));
    }
    if force || !folder.exists() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(folder).or_fail(format_args!("read {}", folder.display()))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Failure::new(format!("{} is not empty", folder.display()))
            .help("name another directory, or add --force to replace files in it")),
    }
}

/// Replaces a file atomically and durably, by a sync and a rename, and creates the folders above it. A symbolic link is followed. A path that is not a
/// regular file (`/dev/null`, `/dev/stdout`) is written to in place, because a rename would replace it.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let is_special = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        return std::fs::write(path, bytes).or_fail(format_args!("write {}", path.display()));
    }
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&target, bytes)
}

/// Replaces a file that gaib writes for itself, as [`write()`] does. A symbolic link is replaced, and its target stays as it is.
///
/// # Errors
/// When the file cannot be written.
pub fn write_own(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let operation = format!("write {}", path.display());
    std::fs::create_dir_all(parent).or_fail(&operation)?;
    let mut file = tempfile::Builder::new()
        .prefix(".gaib-")
        .tempfile_in(parent)
        .or_fail(&operation)?;
    file.write_all(bytes).or_fail(&operation)?;
    // A teardown deletes what an export has: after a loss of power the file is whole.
    file.as_file().sync_all().or_fail(&operation)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let readable = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable).or_fail(&operation)?;
    }
    file.persist(path).map(drop).or_fail(&operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_special_files_below_a_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(of("out/images")).unwrap();
        std::fs::write(of("out/images/a.png"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path(), of("out/link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(of("out/socket")).unwrap();
        for good in ["images/a.png", "images/b.png", "new/c.png"] {
            require_plain(&of("out"), good).unwrap();
        }
        for (wrong, what) in [
            ("link", "symbolic link"),
            ("link/a", "symbolic link"),
            ("socket", "a socket"),
        ] {
            let refused = require_plain(&of("out"), wrong).unwrap_err();
            assert!(refused.summary().contains(what), "{}", refused.summary());
        }
        // The folder itself is the user's choice.
        require_plain(&of("out/link"), "out/images/a.png").unwrap();
    }

    #[test]
    fn own_file_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        std::fs::write(of("victim"), "the only copy").unwrap();
        std::os::unix::fs::symlink(of("victim"), of("link")).unwrap();
        std::fs::hard_link(of("victim"), of("hard")).unwrap();
        for name in ["link", "hard"] {
            assert!(open_own(&of(name)).is_err(), "{name}");
        }
        assert!(read_own(&of("link")).unwrap_err().to_string().contains("a link"));
        nix::unistd::mkfifo(&of("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read_own(&of("pipe")).unwrap_err().to_string().contains("named pipe"));
        write_own(&of("link"), b"new").unwrap();
        write_own(&of("hard"), b"new").unwrap();
        assert_eq!(read_own(&of("link")).unwrap(), b"new");
        assert_eq!(std::fs::read(of("victim")).unwrap(), b"the only copy");
        open_own(&of("created")).unwrap();
    }

    #[test]
    fn symbolic_links_are_followed_and_special_files_are_not_replaced() {
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
