//! The progress of a tier sync that a command began, for a button that shows it.

use arrakis_db::JobRow;

use super::CommandContext;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;

/// Parts of a job that are looked for. A job of one more part has an error that another part does not repair.
const MAX_PARTS: u32 = 1_000;

/// The latest part of a tier sync, and the number of role changes that the parts before it have made.
///
/// # Errors
/// A refusal when there is no such job any more.
pub(super) async fn latest_part(context: &CommandContext<'_>, id: &str) -> Result<(JobRow, u32), CommandError> {
    let mut tx = context.tx().await?;
    let first = tx.jobs().get(id).await?.ok_or_else(|| {
        Refusal::new(
            "This job has ended, and its record is deleted.",
            "`/admin-stats` shows how the community is.",
        )
    })?;
    let (mut latest, mut before) = (first, 0_u32);
    for part in 1..=MAX_PARTS {
        let Some(job) = tx.jobs().get(&format!("{id}+{part}")).await? else {
            break;
        };
        before = before.saturating_add(latest.progress_done);
        latest = job;
    }
    Ok((latest, before))
}
