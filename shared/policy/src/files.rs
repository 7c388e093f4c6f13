//! Files of a check: plans, policies, migrations, each with a limit of its size.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::engine::{PolicySet, is_test};

/// Bytes of a policy, a data file or a migration.
const MAX_TEXT_BYTES: usize = 2 << 20;
/// Files of one folder.
const MAX_FILES: usize = 1_000;
/// Folders within folders that are read.
const MAX_DEPTH: usize = 16;

/// The bytes of a file, or of standard input for `-`. One byte more than the limit is read at most, so that a file of any size needs
/// limited memory.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// What a path of the command line must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A file, a pipe, or `-` for standard input.
    File,
    /// A folder.
    Folder,
    /// A file, a pipe, standard input, or a folder.
    FileOrFolder,
}

/// Checks that a path of the command line exists, has this kind and can be read. A pipe is not opened: it is read once only.
///
/// # Errors
/// The path, and why it cannot be read.
pub fn check_path(path: &Path, kind: PathKind) -> Result<(), String> {
    if path == Path::new("-") && kind != PathKind::Folder {
        return Ok(());
    }
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(failed)?;
    match kind {
        PathKind::File if metadata.is_dir() => return Err(format!("{}: it is a folder, not a file", path.display())),
        PathKind::Folder if !metadata.is_dir() => return Err(format!("{}: it is not a folder", path.display())),
        PathKind::File | PathKind::Folder | PathKind::FileOrFolder => {}
    }
    if metadata.is_dir() {
        std::fs::read_dir(path).map_err(failed)?;
    } else if metadata.is_file() {
        File::open(path).map_err(failed)?;
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = read(path, MAX_TEXT_BYTES).map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(format!(
            "{}: it is larger than {} MiB",
            path.display(),
            MAX_TEXT_BYTES >> 20
        ));
    }
    String::from_utf8(bytes).map_err(|_| format!("{}: it is not in UTF-8", path.display()))
}

/// The policies of a folder: every `.rego` file, and the files named `data.json`. `with_tests` includes `…_test.rego`. Every `data.json`, at any depth,
/// is merged at the root of `data`; OPA merges one below the names of its folders.
///
/// # Errors
/// A file cannot be read, or there is no policy.
pub fn read_policies(folder: &Path, with_tests: bool) -> Result<PolicySet, String> {
    let mut policies = PolicySet {
        folder: folder.display().to_string(),
        ..PolicySet::default()
    };
    for path in walk(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        if path.file_name().is_some_and(|file| file == "data.json") {
            policies.data.push(read_text(&path)?);
        } else if has_extension(&path, "rego") && (with_tests || !is_test(&name)) {
            policies.files.push((name, read_text(&path)?));
        }
    }
    if policies.files.is_empty() {
        return Err(format!("{} has no file with the extension .rego", folder.display()));
    }
    Ok(policies)
}

/// Whether a folder of policies has tests: a file `…_test.rego`, or another policy with a name that begins with `test_`.
///
/// # Errors
/// The folder cannot be read.
pub fn has_tests(folder: &Path) -> Result<bool, String> {
    let files = walk(folder)?;
    let mut policies = files.iter().filter(|path| has_extension(path, "rego"));
    Ok(policies
        .any(|path| is_test(&path.display().to_string()) || read_text(path).is_ok_and(|text| text.contains("test_"))))
}

/// Extensions of files beside migrations that are no migrations.
const NO_MIGRATIONS: &[&str] = &["md", "txt", "toml", "json", "yaml", "yml", "conf", "lock", "sum"];

/// Whether a file beside migrations may be left out. `a.sql.j2` and `a.sql.txt` have SQL too.
fn is_no_migration(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    !name.contains(".sql") && (name.starts_with('.') || NO_MIGRATIONS.contains(&extension.as_str()))
}

/// The migrations of a path, as paths and SQL, sorted by path: the file, or every `.sql` file of the folder and of the folders in it, 16 levels deep.
///
/// # Errors
/// A file cannot be read, there is none, or a file of the folder may be a migration that is not read.
pub fn read_migrations(path: &Path) -> Result<Vec<(String, String)>, String> {
    let files = if path.is_dir() {
        let (files, others): (Vec<_>, Vec<_>) = walk(path)?.into_iter().partition(|path| has_extension(path, "sql"));
        if let Some(other) = others.iter().find(|path| !is_no_migration(path)) {
            return Err(format!(
                "{}: migrations are read from .sql files only, and this file may be one; give the files one by one, or move it",
                other.display()
            ));
        }
        files
    } else {
        vec![path.to_owned()]
    };
    if files.is_empty() {
        return Err(format!("{} has no file with the extension .sql", path.display()));
    }
    files
        .into_iter()
        .map(|file| Ok((file.display().to_string(), read_text(&file)?)))
        .collect()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn walk(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let failed = |error: io::Error| format!("{}: {error}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if !path.is_dir() {
                files.push(path);
            } else if depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            } else {
                return Err(format!(
                    "{}: more than {MAX_DEPTH} folders within each other",
                    path.display()
                ));
            }
            if files.len() > MAX_FILES {
                return Err(format!("{}: more than {MAX_FILES} files", folder.display()));
            }
        }
    }
    files.sort();
    Ok(files)
}
