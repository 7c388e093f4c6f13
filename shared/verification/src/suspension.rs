//! The refusal of accounts whose identity is suspended: before a session begins, and before its page shows what to sign.

use arrakis_db::DbError;
use arrakis_db::registry::{IdentityStatus, Registry};
use arrakis_wallet::Account;
use time::OffsetDateTime;

use crate::account::registry_account;
use crate::{RecordRefusal, Refusal, VerificationError};

/// Refuses an account whose identity is suspended.
///
/// # Errors
/// [`RecordRefusal::Suspended`], or the database is unavailable.
pub(crate) async fn refuse_suspended(
    registry: &mut Registry<'_>,
    account: Account,
    now: OffsetDateTime,
) -> Result<(), VerificationError> {
    match suspension(registry, account, now).await? {
        Some(refusal) => Err(Refusal::Registry(refusal).into()),
        None => Ok(()),
    }
}

/// The refusal of an account whose identity is suspended; `None` of any other.
pub(crate) async fn suspension(
    registry: &mut Registry<'_>,
    account: Account,
    now: OffsetDateTime,
) -> Result<Option<RecordRefusal>, DbError> {
    let Ok(account) = registry_account(account) else {
        return Ok(None);
    };
    let record = registry.by_account(account).await?;
    Ok(record.and_then(|record| match record.identity.status {
        IdentityStatus::Suspended { until } if record.identity.is_suspended(now) => {
            Some(RecordRefusal::Suspended { until })
        }
        _ => None,
    }))
}
