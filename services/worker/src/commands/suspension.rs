//! The refusal of commands whose reply would contradict a suspension.

use arrakis_db::UserId;
use arrakis_db::registry::Account;

use super::CommandContext;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;
use crate::render::suspended::{NEXT, Suspended};

/// The suspension of a member; `None` if the member is not suspended.
pub(super) async fn of_member(context: &CommandContext<'_>, user: UserId) -> Result<Option<Suspended>, CommandError> {
    let mut tx = context.tx().await?;
    let record = tx.registry().by_account(Account::Discord(user)).await?;
    Ok(record.and_then(|record| Suspended::of(&record.identity, context.services.now())))
}

/// Refuses the command of a member who is suspended.
pub(super) async fn refuse_suspended(context: &CommandContext<'_>, user: UserId) -> Result<(), CommandError> {
    match of_member(context, user).await? {
        Some(suspended) => Err(refusal(suspended).into()),
        None => Ok(()),
    }
}

/// What a suspended member reads.
pub(super) fn refusal(suspended: Suspended) -> Refusal {
    Refusal::new(suspended.text(), NEXT)
}
