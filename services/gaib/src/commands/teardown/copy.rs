//! The further copy between the first and the second stage: a snapshot in the store of backups, with the roles of the members.

use arrakis_iac::state::State;
use arrakis_iac_apply::http::Discord;

use super::record::SnapshotRecord;
use crate::backups::{Backups, record_message};
use crate::commands::snapshot::{Capture, NewCapture};
use crate::context::Context;
use crate::error::Result;

/// Message of the snapshot.
const MESSAGE: &str = "before the teardown";

/// Stores a snapshot of the server. No plan limits it: a teardown is refused without it.
///
/// # Errors
/// When the server cannot be read, or the store fails.
pub(super) async fn store(
    context: &Context,
    backups: &Backups,
    discord: &Discord,
    state: &State,
) -> Result<SnapshotRecord> {
    backups.recover(context).await?;
    let capture = Capture::read(context, discord, backups.guild, Some(state)).await?;
    let has_members = capture.has_members();
    let new = NewCapture {
        id: None,
        state: Some(state),
        theme: None,
        message: Some(MESSAGE),
    };
    let record = capture.store(context, backups, new).await?.record;
    context.printer.message(&record_message(&record));
    context.printer.note(&format!("Stored snapshot {}.", record.id));
    Ok(SnapshotRecord {
        id: record.id,
        has_members,
    })
}
