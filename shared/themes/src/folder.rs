//! Theme folders: the built-in ones, which are embedded in the binary, and an operator's own, which are read from a
//! directory.
//!
//! A folder with a missing file is refused, and one with an unknown YAML or SVG file, which would be ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::art::{self, ART_FOLDER, MAX_ART_BYTES};
use crate::problem::{Problem, Problems};

/// Files that a theme must have.
const REQUIRED: [&str; 5] = ["theme.yaml", "tiers.yaml", "badges.yaml", "roles.yaml", "channels.yaml"];
/// Files that a theme may have.
const OPTIONAL: [&str; 1] = ["server.yaml"];

macro_rules! embedded {
    ($($theme:literal: $($file:literal)+;)+) => {
        &[$(($theme, &[$(($file, include_str!(concat!("../", $theme, "/", $file)))),+])),+]
    };
}

/// Names of themes with the names and texts of their files.
type Embedded = &'static [(&'static str, &'static [(&'static str, &'static str)])];

const EMBEDDED: Embedded = embedded! {
    "basic": "theme.yaml" "tiers.yaml" "badges.yaml" "roles.yaml" "channels.yaml" "server.yaml"
        "badges/active.svg" "badges/contributor.svg" "badges/early-adopter.svg" "badges/top-tier.svg" "badges/veteran.svg";
    "sietch": "theme.yaml" "tiers.yaml" "badges.yaml" "roles.yaml" "channels.yaml" "server.yaml"
        "badges/contributor.svg" "badges/crysknife.svg" "badges/desert-kin.svg" "badges/elder-of-the-rock.svg"
        "badges/first-crossing.svg" "badges/former-naib.svg" "badges/maker-caller.svg" "badges/sand-walker.svg"
        "badges/sandrider.svg" "badges/seat-of-the-seven.svg" "badges/thumper.svg" "badges/water-sharer.svg";
};

/// The files of a theme as texts.
#[derive(Clone, Debug)]
pub struct ThemeFolder {
    /// Name of the folder, which is the theme's id.
    pub id: String,
    /// Path of the folder in messages.
    pub label: String,
    /// Texts by file name; art of a badge is `badges/id.svg`.
    pub files: BTreeMap<String, String>,
}

/// A file or folder that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct FolderError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl ThemeFolder {
    /// The built-in themes, ordered by id.
    #[must_use]
    pub fn embedded() -> Vec<Self> {
        let folder = |(id, files): &(&str, &[(&str, &str)])| Self {
            id: (*id).to_owned(),
            label: (*id).to_owned(),
            files: files
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
        };
        EMBEDDED.iter().map(folder).collect()
    }

    /// Reads one folder.
    ///
    /// # Errors
    ///
    /// When the folder or a file in it cannot be read, a file is not UTF-8, or art is too large or not a regular file.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let mut files = BTreeMap::new();
        for entry in list(path)? {
            let name = name_of(&entry);
            if name.ends_with(".yaml") || name.ends_with(".yml") {
                let text = fs::read_to_string(&entry).map_err(failed("cannot read the theme file", &entry))?;
                files.insert(name, text);
            }
        }
        let art = path.join(ART_FOLDER);
        if art.is_dir() {
            for entry in list(&art)? {
                let name = name_of(&entry);
                if name.ends_with(".svg") {
                    let text = read_art(&entry).map_err(failed("cannot read the art of a badge", &entry))?;
                    files.insert(format!("{ART_FOLDER}/{name}"), text);
                }
            }
        }
        Ok(Self {
            id: name_of(path),
            label: path.display().to_string(),
            files,
        })
    }

    /// Reads every folder of a directory, ordered by name. Files and hidden folders in it are ignored.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed or one of the folders cannot be read.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>, FolderError> {
        let failed = |source| FolderError {
            operation: "cannot list the themes directory",
            path: directory.to_owned(),
            source,
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Path of a file in messages.
    pub(crate) fn name_of(&self, file: &str) -> String {
        format!("{}/{file}", self.label)
    }

    /// Problems for missing and unknown files.
    pub(crate) fn check_names(&self) -> Problems {
        let mut problems = Problems::default();
        for file in REQUIRED.iter().filter(|file| !self.files.contains_key(**file)) {
            problems.0.push(Problem::about(
                &self.name_of(file),
                "the file is missing; every theme has it",
            ));
        }
        let known = || REQUIRED.iter().chain(&OPTIONAL).copied();
        // Art is compared with the badges of the theme once these are known.
        let others = self.files.keys().filter(|file| art::badge_of(file).is_none());
        for file in others.filter(|file| !known().any(|known| known == file.as_str())) {
            let reason = "no file of a theme has this name, so it would be ignored";
            problems
                .0
                .push(Problem::about(&self.name_of(file), reason).suggesting(file, known()));
        }
        problems
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError {
        operation,
        path,
        source,
    }
}

/// The entries of a folder.
fn list(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let entries = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(failed("cannot list the theme folder", path))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Reads art, which is not trusted: links, pipes and files above the limit are refused.
fn read_art(path: &Path) -> io::Result<String> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file; links are not followed"));
    }
    let bytes = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if bytes > MAX_ART_BYTES {
        return Err(io::Error::other(art::too_large(bytes)));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is in the folder but not embedded would be missing in the built-in theme.
    #[test]
    fn embedded_themes_equal_their_folders() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for embedded in ThemeFolder::embedded() {
            let path = root.join(&embedded.id);
            assert_eq!(
                ThemeFolder::read(&path).unwrap().files,
                embedded.files,
                "{}",
                embedded.id
            );
            assert!(path.join("README.md").is_file(), "{} has a README", embedded.id);
        }
        let folders = fs::read_dir(root)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().join("theme.yaml").exists());
        assert_eq!(folders.count(), EMBEDDED.len(), "every theme folder is embedded");
    }
}
