//! Servers that the bot has left: their backups pause, and operators are notified once.
//!
//! `GUILD_DELETE` reports it, and so does Discord's response to a backup (404 with code 10004, or 403 with code 50001), which finds a removal of
//! which no event arrived. `GUILD_CREATE` or a backup that could read the server ends it.

use arrakis_db::{Community, DbError, TenantTx};
use arrakis_vault::ServerId;
use time::OffsetDateTime;

use super::{Backups, Notice, NoticeTask, RunOutcome};

/// Records that the bot was not in the server of a community at this time, and stores a notice if it was before. True in that case.
///
/// # Errors
/// If Postgres is unavailable.
pub(crate) async fn record_absence(
    backups: Option<&Backups>,
    tx: &mut TenantTx,
    community: &Community,
    at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    if !tx.bot_presence().record_absent(at).await? {
        return Ok(false);
    }
    if let Some(backups) = backups {
        let notice = Notice {
            outcome: RunOutcome::Failure,
            task: NoticeTask::Presence,
            server: ServerId::new(community.guild.get()),
            community: community.name.clone(),
            plan: community.plan,
            detail: "Backups and snapshots of the server pause until the bot is back in it; what is stored is kept as the plan has it."
                .to_owned(),
            at,
        };
        let id = format!("presence:{}", at.unix_timestamp_nanos());
        backups.notifier.store(tx, &id, &notice, now).await?;
    }
    Ok(true)
}
