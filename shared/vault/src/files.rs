//! File operations of the folder store and the file catalogue.
//!
//! Neither leaves its folder: a symbolic link below it is not followed, and a named pipe, socket or device is not opened ([`check`]). The
//! folder itself may be a link. What another process replaces by a link between the check and the operation is not detected, except
//! for `.lock`.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is at a path below the folder of a store, and is neither a file of its own nor a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignFile {
    path: PathBuf,
    kind: ForeignKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ForeignKind {
    SymbolicLink,
    /// A file with a further name, which may be outside of the folder.
    HardLink,
    /// A named pipe, a socket or a device.
    Special,
}

impl fmt::Display for ForeignFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.kind {
            ForeignKind::SymbolicLink => write!(
                f,
                "{path} is a symbolic link, which is not followed: nothing outside of the folder is read, changed or deleted; \
                 replace the link by what it refers to, or remove it"
            ),
            ForeignKind::HardLink => write!(
                f,
                "{path} is a hard link to a file that has another name too, which is not changed; remove it"
            ),
            ForeignKind::Special => write!(
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
        let kind = match (about.is_symlink(), about.is_file() || about.is_dir()) {
            (true, _) => ForeignKind::SymbolicLink,
            (false, false) => ForeignKind::Special,
            (false, true) => continue,
        };
        return Err(io::Error::other(ForeignFile { path, kind }));
    }
    Ok(())
}

/// Checks that an open file is the one at a path, and has no other name: neither a link that was followed nor a hard link. Until then nothing
/// is written to it.
fn check_open(file: &File, path: &Path) -> io::Result<()> {
    let (open, there) = (file.metadata()?, fs::symlink_metadata(path)?);
    let is_there = (open.dev(), open.ino()) == (there.dev(), there.ino());
    let kind = match (is_there, open.nlink()) {
        (true, 1) => return Ok(()),
        (true, _) => ForeignKind::HardLink,
        (false, _) => ForeignKind::SymbolicLink,
    };
    let path = path.to_owned();
    Err(io::Error::other(ForeignFile { path, kind }))
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
    let mut temporary = tempfile::Builder::new().prefix(WRITE).tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Removes the temporary files of processes that were killed, below a folder whose lock is held: those that are older than an hour. A write takes
/// milliseconds. What cannot be removed stays, without an error: it is in no list.
pub(crate) fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Of a link itself, which is not followed.
        let Ok(about) = entry.metadata() else { continue };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_temporary = [WRITE, CHECK].iter().any(|prefix| name.starts_with(prefix));
        let age = about.modified().ok().and_then(|modified| modified.elapsed().ok());
        if about.is_dir() {
            remove_abandoned(&entry.path());
        } else if about.is_file() && is_temporary && age.is_some_and(|age| age > ABANDONED_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Removes a file below `root`. No error where there is none.
pub(crate) fn remove(root: &Path, path: &Path) -> io::Result<()> {
    check_folders(root, path)?;
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

/// How an operation waits for the lock of a folder that another process holds.
#[derive(Clone)]
pub struct LockWait {
    /// After this time the wait is reported, once.
    pub report_after: Duration,
    /// After this time the operation fails.
    pub limit: Duration,
    /// Receives a sentence that names the lock and its holder.
    pub report: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether the program is to end. A wait that began before ends then; a later one does not, since it is for what is to be cleaned up.
    pub is_cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Default for LockWait {
    /// Writes hold the lock for milliseconds: 3 s and 30 s, reported in the log.
    fn default() -> Self {
        Self {
            report_after: Duration::from_secs(3),
            limit: Duration::from_secs(30),
            report: Arc::new(|text: &str| tracing::warn!("{text}")),
            is_cancelled: Arc::new(|| false),
        }
    }
}

impl fmt::Debug for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockWait")
            .field("report_after", &self.report_after)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Another process has held the lock of a folder for too long, or until the wait was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LockHeld {
    path: PathBuf,
    holder: String,
    /// `None` where the wait was interrupted.
    limit: Option<Duration>,
}

impl fmt::Display for LockHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (holder, path) = (&self.holder, self.path.display());
        match self.limit {
            Some(limit) => write!(
                f,
                "{holder} has held {path} for more than {} s, and a write takes milliseconds: continue that process if it is stopped, or \
                 end it, which releases the lock; then repeat the command",
                limit.as_secs_f32()
            ),
            None => write!(f, "{holder} holds {path}, and the wait for it was interrupted"),
        }
    }
}

impl std::error::Error for LockHeld {}

/// The reason of an error of [`lock`] after the limit; `None` of another error.
fn held(error: &io::Error) -> Option<&LockHeld> {
    error.get_ref()?.downcast_ref()
}

/// Why a file operation failed, as the errors of stores and catalogues distinguish it.
#[derive(Debug)]
pub(crate) enum FileFailure {
    /// Another process holds the lock of the folder: which one, and what to do.
    LockHeld(String),
    /// A path is not a file or folder of the store: what was found, and what to do.
    Foreign(String),
    /// Another failure.
    Io(io::Error),
}

impl From<io::Error> for FileFailure {
    fn from(error: io::Error) -> Self {
        if let Some(held) = held(&error) {
            return Self::LockHeld(held.to_string());
        }
        match foreign(&error) {
            Some(foreign) => Self::Foreign(foreign.to_string()),
            None => Self::Io(error),
        }
    }
}

/// Runs file operations in a thread of their own: a sync of a file may take long.
///
/// # Errors
/// The operations panicked, or the runtime is shutting down.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// A held lock of a folder. The file does not name its holder any more when it is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The lock ends when the file is closed, which follows.
        let _ = self.0.set_len(0);
    }
}

/// Takes the lock of a folder, which is held until the value is dropped. Makes the folder if there is none. Waits while another process holds it:
/// one that is stopped would hold it for ever.
pub(crate) fn lock(folder: &Path, wait: &LockWait) -> io::Result<FolderLock> {
    fs::create_dir_all(folder)?;
    let path = folder.join(".lock");
    check(folder, &path)?;
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    check_open(&file, &path)?;
    let begin = Instant::now();
    let mut is_reported = false;
    let was_cancelled = (wait.is_cancelled)();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let waited = begin.elapsed();
        let is_interrupted = !was_cancelled && (wait.is_cancelled)();
        if waited >= wait.limit || is_interrupted {
            let (holder, limit) = (holder(&path), (!is_interrupted).then_some(wait.limit));
            return Err(io::Error::other(LockHeld { path, holder, limit }));
        }
        if waited >= wait.report_after && !is_reported {
            is_reported = true;
            let text = format!(
                "Waiting for the lock {}, which {} holds.",
                path.display(),
                holder(&path)
            );
            (wait.report)(&text);
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
    // For the messages of those that wait. A full disk has no other consequence.
    let _ = file.set_len(0).and_then(|()| file.write_all(this_process().as_bytes()));
    Ok(FolderLock(file))
}

/// The holder of a lock, as far as it is known: the process that the file names.
fn holder(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_HOLDER).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let is_plain = !text.is_empty() && text.chars().all(|sign| sign.is_ascii_graphic() || sign == ' ');
    match read.is_ok() && is_plain {
        true => text.into_owned(),
        false => "another process".to_owned(),
    }
}

/// This process as the holder of a lock.
fn this_process() -> String {
    let program = std::env::current_exe().ok();
    let program = program
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    format!(
        "process {} ({}) on {}",
        std::process::id(),
        program.as_deref().unwrap_or("unknown program"),
        host.as_deref().map_or("a machine", str::trim)
    )
}

/// Begin of the names of files that are being written.
const WRITE: &str = ".write-";

/// Begin of the names of files that show whether a folder can be written.
pub(crate) const CHECK: &str = ".check-";

/// Age from which a temporary file is that of a process that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);

/// Time between two attempts to take a lock.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// Longest name of a holder that is read, in bytes.
const MAX_HOLDER: u64 = 300;

/// Whether an error means that there is no such file, also where a file has the name of its folder.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A wait that ends soon, and what it reports.
    fn short_wait() -> (LockWait, Arc<Mutex<Vec<String>>>) {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&reports);
        let wait = LockWait {
            report_after: Duration::ZERO,
            limit: Duration::from_millis(30),
            report: Arc::new(move |text: &str| written.lock().unwrap().push(text.to_owned())),
            ..LockWait::default()
        };
        (wait, reports)
    }

    #[test]
    fn lock_that_is_held_is_reported_once_and_then_an_error_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let (wait, reports) = short_wait();
        let held_lock = lock(folder.path(), &wait).unwrap();
        assert!(reports.lock().unwrap().is_empty());
        let error = lock(folder.path(), &wait).unwrap_err();
        let text = held(&error).unwrap().to_string();
        let holder = format!("process {} (", std::process::id());
        assert!(
            text.contains(&holder) && text.contains(".lock") && text.contains("end it"),
            "{text}"
        );
        let reports = reports.lock().unwrap().clone();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(
            reports[0].starts_with("Waiting for the lock") && reports[0].contains(&holder),
            "{reports:?}"
        );
        drop(held_lock);
        // The next one that waits does not name a process that has released it.
        assert_eq!(fs::read(folder.path().join(".lock")).unwrap(), b"");
        lock(folder.path(), &wait).unwrap();
    }

    #[test]
    fn temporary_files_of_killed_processes_are_removed_after_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("state/1");
        fs::create_dir_all(&below).unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(3_700);
        for (name, is_old) in [
            (".write-a", true),
            (".check-b", true),
            (".write-young", false),
            ("other", true),
        ] {
            let file = File::create(below.join(name)).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
        }
        remove_abandoned(folder.path());
        let left: Vec<bool> = [".write-a", ".check-b", ".write-young", "other"]
            .map(|name| below.join(name).exists())
            .into();
        assert_eq!(left, [false, false, true, true]);
    }

    #[test]
    fn interruption_ends_a_wait_that_began_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let held_lock = lock(folder.path(), &LockWait::default()).unwrap();
        let checks = Mutex::new(0);
        let interrupted = LockWait {
            is_cancelled: Arc::new(move || {
                let mut checks = checks.lock().unwrap();
                *checks += 1;
                *checks > 2
            }),
            ..LockWait::default()
        };
        let error = lock(folder.path(), &interrupted).unwrap_err();
        assert!(held(&error).unwrap().to_string().contains("was interrupted"), "{error}");
        // What is cleaned up afterwards waits.
        let (wait, _) = short_wait();
        let cleaning = LockWait {
            is_cancelled: Arc::new(|| true),
            ..wait
        };
        let error = lock(folder.path(), &cleaning).unwrap_err();
        assert!(held(&error).unwrap().to_string().contains("has held"), "{error}");
        drop(held_lock);
        lock(folder.path(), &cleaning).unwrap();
    }

    #[test]
    fn lock_file_that_is_a_link_is_refused_and_its_target_keeps_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("target"), folder.path().join(".lock"));
        fs::write(&target, "the only copy").unwrap();
        let (wait, _) = short_wait();
        fs::hard_link(&target, &path).unwrap();
        let error = lock(folder.path(), &wait).unwrap_err();
        assert!(foreign(&error).unwrap().to_string().contains("hard link"), "{error}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let error = lock(folder.path(), &wait).unwrap_err();
        assert!(
            foreign(&error).unwrap().to_string().contains("symbolic link"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), "the only copy");
        fs::remove_file(&path).unwrap();
        lock(folder.path(), &wait).unwrap();
    }

    #[test]
    fn holder_that_wrote_no_name_is_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let (wait, _) = short_wait();
        let file = lock(folder.path(), &wait).unwrap();
        for text in ["", "\u{1b}[2J", "\u{202e}"] {
            fs::write(folder.path().join(".lock"), text).unwrap();
            let error = lock(folder.path(), &wait).unwrap_err().to_string();
            assert!(error.starts_with("another process has held"), "{error}");
        }
        drop(file);
    }
}
