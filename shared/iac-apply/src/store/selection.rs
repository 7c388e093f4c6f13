//! The selected workspace of a folder: `.gaib/workspace` contains its name. The selection is one of this folder also where the
//! states are in a store that other machines share.

use std::fs;
use std::path::Path;

use super::file::{self, failed};
use super::{StoreError, WorkspaceName};

/// The selected workspace of the folder that contains `root`, which is `.gaib`.
pub(super) fn chosen(root: &Path) -> Result<Option<WorkspaceName>, StoreError> {
    let path = root.join("workspace");
    let Some(bytes) = file::read(&path)? else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&bytes);
    name.trim()
        .parse()
        .map(Some)
        .map_err(|error: StoreError| StoreError::Selection {
            path,
            reason: error.to_string(),
        })
}

/// Selects a workspace, which exists.
pub(super) fn select(root: &Path, workspace: &WorkspaceName) -> Result<(), StoreError> {
    fs::create_dir_all(root).map_err(|source| failed("make", root, source))?;
    file::replace(&root.join("workspace"), format!("{workspace}\n").as_bytes())
}
