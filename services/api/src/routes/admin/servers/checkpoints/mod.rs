//! Checkpoints: the configuration of a community, stored for a restore.
//!
//! `gaib server teardown` stores one before it empties a server; `gaib restore` lists, previews and restores them. What a restore changes is
//! decided in `crate::restore`.

mod create;
mod detail;
mod list;
mod preview;
mod restore;

use arrakis_contracts::servers::{Checkpoint, CheckpointPurpose};
use arrakis_db::{CheckpointSummary, CommunityConfiguration, StoredCheckpoint};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) use self::create::{__path_create_checkpoint, create_checkpoint};
pub(crate) use self::detail::{__path_read_checkpoint, read_checkpoint};
pub(crate) use self::list::{__path_list_checkpoints, list_checkpoints};
pub(crate) use self::preview::{__path_preview_restore, preview_restore};
pub(crate) use self::restore::{__path_restore_checkpoint, restore_checkpoint};
use super::server::Server;
use crate::body::invalid_parameter;
use crate::problem::{Problem, ProblemKind};

/// Largest body with the lists of a server: 250 roles and 500 channels, each with a name of up to 100 characters of 4 bytes, and about 80 bytes
/// of JSON beside it.
const MAX_BODY: usize = 512 << 10;

/// A checkpoint as JSON has it.
fn as_json(stored: CheckpointSummary) -> Checkpoint {
    Checkpoint {
        id: stored.id,
        purpose: match stored.purpose {
            arrakis_db::CheckpointPurpose::Manual => CheckpointPurpose::Manual,
            arrakis_db::CheckpointPurpose::Teardown => CheckpointPurpose::Teardown,
            arrakis_db::CheckpointPurpose::Restore => CheckpointPurpose::Restore,
        },
        reason: stored.reason,
        created_by: stored.created_by,
        created_at: stored.created_at,
        expires_at: stored.expires_at,
        checksum: stored.checksum.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Parses the id of a checkpoint in a path.
fn parse_id(text: &str) -> Result<Uuid, Problem> {
    text.parse()
        .map_err(|_| invalid_parameter("id", "the id of a checkpoint is a UUID"))
}

/// The checkpoint with its content.
///
/// # Errors
/// [`ProblemKind::UnknownCheckpoint`]; [`ProblemKind::DamagedCheckpoint`] when its content cannot be read.
async fn find(
    server: &mut Server,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(CheckpointSummary, CommunityConfiguration), Problem> {
    match server.tx.checkpoints().get(id, now).await? {
        Some(StoredCheckpoint::Intact(summary, content)) => Ok((summary, *content)),
        Some(StoredCheckpoint::Unusable(_, reason)) => {
            let detail = format!("the checkpoint {id} cannot be restored: {reason}; nothing was changed");
            Err(Problem::new(ProblemKind::DamagedCheckpoint, detail))
        }
        None => {
            let detail = "the community has no checkpoint with this id, or it has expired: they are kept for 30 days";
            Err(Problem::new(ProblemKind::UnknownCheckpoint, detail))
        }
    }
}
