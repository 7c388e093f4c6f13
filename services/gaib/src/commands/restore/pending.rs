//! The request of a restore, in a file from before it is sent until its result is printed.
//!
//! A restore that is killed, and runs again, sends the same request, which the api executes once: one checkpoint of what was replaced, one
//! tier sync. With a request of its own, the second run would store a checkpoint of what the first one had restored, and its restore would
//! undo nothing.

use std::path::{Path, PathBuf};

use arrakis_iac::model::Snowflake;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::context::Context;
use crate::error::{OrFail as _, Result};
use crate::files;
use crate::printer::Severity;

const VERSION: u32 = 1;
/// Where the files are in the folder of the user's records, one for each server.
const FOLDER: &str = "gaib/restores";

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    checkpoint: Uuid,
    request_id: Uuid,
}

/// The request of a restore.
#[derive(Debug)]
pub(super) struct PendingRestore {
    request_id: Uuid,
    /// Whether an earlier command has begun it.
    is_continued: bool,
    /// `None` where the user has no folder for records.
    path: Option<PathBuf>,
}

impl PendingRestore {
    /// The request of an interrupted restore of this checkpoint, else a new one. Where it cannot be recorded, that is a warning.
    ///
    /// # Errors
    /// When an environment variable is invalid.
    pub(super) fn begin(context: &Context, guild: Snowflake, checkpoint: Uuid) -> Result<Self> {
        let records = context.environment.state_home()?;
        let path = records.map(|folder| folder.join(FOLDER).join(format!("{guild}.json")));
        let Some(path) = path else {
            return Ok(Self::new(None));
        };
        if let Some(request_id) = recorded(&path, checkpoint) {
            let path = Some(path);
            return Ok(Self {
                request_id,
                is_continued: true,
                path,
            });
        }
        let begun = Self::new(Some(path.clone()));
        let content = Content {
            version: VERSION,
            checkpoint,
            request_id: begun.request_id,
        };
        let bytes = serde_json::to_vec(&content).or_fail("write the request of the restore")?;
        if let Err(failure) = files::write_own(&path, &bytes) {
            let summary = format!(
                "{}; if this command is interrupted, the next one restores the checkpoint a second time",
                failure.summary()
            );
            context
                .printer
                .diagnostic(Severity::Warning, &summary, failure.what_to_do());
        }
        Ok(begun)
    }

    fn new(path: Option<PathBuf>) -> Self {
        Self {
            request_id: Uuid::now_v7(),
            is_continued: false,
            path,
        }
    }

    /// The id of the request.
    pub(super) const fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// Whether an earlier command has begun this request: it may have taken effect before this command sends it.
    pub(super) const fn is_continued(&self) -> bool {
        self.is_continued
    }

    /// The result is known: a further restore is another request.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub(super) fn end(self) -> Result<()> {
        let Some(path) = self.path else { return Ok(()) };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).or_fail(format_args!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The recorded request for this checkpoint. A damaged record is none: its request was not sent, or is sent again with another id.
fn recorded(path: &Path, checkpoint: Uuid) -> Option<Uuid> {
    let content: Content = serde_json::from_slice(&files::read_own(path).ok()?).ok()?;
    (content.version == VERSION && content.checkpoint == checkpoint).then_some(content.request_id)
}
