//! What a [`super::FolderStore`] records about an object beside its content: metadata and tags.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::folder::failed;
use super::{NewObject, Tags};

/// Metadata and tags of one content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    /// SHA-256 of the content.
    content: String,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) tags: Tags,
}

impl Description {
    pub(super) fn new(content: &str, object: &NewObject) -> Self {
        Self {
            content: content.to_owned(),
            metadata: object.metadata.clone(),
            tags: object.tags.clone(),
        }
    }
}

/// The descriptions of an object: one, or that of the old and of the new content while it is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Descriptions(Vec<Description>);

impl Descriptions {
    pub(super) fn of(description: Description) -> Self {
        Self(vec![description])
    }

    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    pub(super) fn to_bytes(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| failed("write", path, error.into()))
    }

    /// Adds the description of a new content. Returns whether it is the only one.
    pub(super) fn add(&mut self, description: Description) -> bool {
        self.0.retain(|other| other.content != description.content);
        self.0.push(description);
        self.0.len() == 1
    }

    /// The description of this content. Where there is none, the content was damaged: the newest description, which has its checksum.
    pub(super) fn of_content(mut self, content: &str) -> Description {
        let found = self.0.iter().position(|description| description.content == content);
        let found = found.or(self.0.len().checked_sub(1));
        found.map(|at| self.0.swap_remove(at)).unwrap_or_default()
    }
}
