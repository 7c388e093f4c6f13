//! The journal of a restore: which snapshot, and the resources that the workspace does not manage.
//!
//! It is a file of the workspace from the first change of a restore to its end. A restore that finds one continues.

use std::path::PathBuf;

use arrakis_iac::state::State;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Failure, OrFail as _, Result};
use crate::files;
use crate::workspace::Workspace;

const VERSION: u32 = 1;

/// The rollback that a restore is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::commands) struct InterruptedRollback {
    /// Id of the rollback as a deployment.
    pub(in crate::commands) deployment: Uuid,
    /// Id of the deployment that is restored.
    pub(in crate::commands) target: Uuid,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    snapshot: Uuid,
    /// Id of the counted use: an interrupted restore is counted once.
    use_id: Uuid,
    rollback: Option<InterruptedRollback>,
    borrowed: Option<State>,
}

/// The journal of a restore.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Journal {
    path: PathBuf,
    content: Content,
    is_resumed: bool,
}

impl Journal {
    /// The journal of a restore that begins. It is not written yet; its use is set before ([`Journal::set_use_id`]).
    pub(super) fn new(workspace: &Workspace, snapshot: Uuid, rollback: Option<InterruptedRollback>) -> Self {
        Self {
            path: path(workspace),
            content: Content {
                version: VERSION,
                snapshot,
                use_id: Uuid::nil(),
                rollback,
                borrowed: None,
            },
            is_resumed: false,
        }
    }

    /// The journal of an interrupted restore; `None` where there is none.
    pub(in crate::commands) fn read(workspace: &Workspace) -> Result<Option<Self>> {
        let path = path(workspace);
        let bytes = match files::read_own(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).or_fail(format_args!("read {}", path.display())),
        };
        let content: Result<Content, _> = serde_json::from_slice(&bytes);
        let content = content
            .map_err(|error| error.to_string())
            .and_then(|content| match content.version {
                VERSION => Ok(content),
                version => Err(format!(
                    "it has version {version}, and this gaib reads version {VERSION}"
                )),
            });
        let content = content.map_err(|reason| {
            Failure::new(format!(
                "the journal of an interrupted restore, {}, cannot be read: {reason}",
                path.display()
            ))
            .help("use a newer gaib; or delete the file: a restore then finds what exists by ids and names")
        })?;
        Ok(Some(Self {
            path,
            content,
            is_resumed: true,
        }))
    }

    /// The snapshot that is restored.
    pub(super) const fn snapshot(&self) -> Uuid {
        self.content.snapshot
    }

    /// The rollback that the restore is a part of.
    pub(in crate::commands) const fn rollback(&self) -> Option<&InterruptedRollback> {
        self.content.rollback.as_ref()
    }

    /// Id of the counted use.
    pub(super) const fn use_id(&self) -> Uuid {
        self.content.use_id
    }

    /// Sets the id of the counted use.
    pub(super) const fn set_use_id(&mut self, id: Uuid) {
        self.content.use_id = id;
    }

    /// Whether an interrupted restore wrote it.
    pub(super) const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// The resources that the workspace does not manage.
    pub(super) const fn borrowed(&self) -> Option<&State> {
        self.content.borrowed.as_ref()
    }

    /// Writes the journal with these resources.
    pub(super) fn write(&mut self, borrowed: State) -> Result<()> {
        self.content.borrowed = Some(borrowed);
        let bytes = serde_json::to_vec(&self.content).or_fail("write the journal of the restore")?;
        files::write_own(&self.path, &bytes)
    }

    /// Removes the journal at the end of the restore.
    pub(in crate::commands) fn remove(self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).or_fail(format_args!("remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The refusal of another restore.
    pub(in crate::commands) fn refuses_another(&self) -> Failure {
        let (what, command) = match self.rollback() {
            Some(rollback) => (
                "a rollback",
                format!("gaib server theme rollback --to {}", rollback.target),
            ),
            None => (
                "a restore",
                format!("gaib server snapshot restore {} --apply", self.snapshot()),
            ),
        };
        Failure::new(format!(
            "{what} to the snapshot {} was interrupted and is not complete",
            self.snapshot()
        ))
        .help(format!(
            "complete it first: `{command}`; or delete {} to give it up",
            self.path.display()
        ))
    }
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.store_path(format!("workspaces/{}/restore.json", workspace.name))
}
