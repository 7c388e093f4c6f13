//! The two functions that decide whether a code is accepted: [`verify`] for an operation, [`confirm`] for an enrolment. The worker and the api call
//! them in a transaction, which they commit whatever the outcome is: a failure that is rolled back is not counted.

use arrakis_security::mfa::{ProtectedOperation, SealedSecret, SecretCipher, Totp, TypedCode};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{Mfa, column};
use crate::named_query::named;
use crate::{Actor, DbError, GlobalTx, NewAuditEntry, TenantTx, UserId};

/// After every this many consecutive wrong codes, codes are refused: 15 minutes first, doubling to 24 hours.
pub const MAX_FAILURES: u32 = 5;
/// That time after the first [`MAX_FAILURES`] wrong codes; it doubles with every further ones.
const FIRST_THROTTLE: Duration = Duration::minutes(15);
/// Longest such time.
const LONGEST_THROTTLE: Duration = Duration::hours(24);
/// Doublings until it is reached.
const MAX_DOUBLINGS: u32 = 7;

/// Whether a code was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MfaOutcome {
    /// It was, and is not accepted again.
    Accepted,
    /// The person has no second factor.
    NotEnrolled,
    /// It is another code.
    Wrong {
        /// Further attempts before no code is checked for a time; 0: that time has begun.
        attempts_left: u32,
    },
    /// The code, or a one-time code of a later step, was accepted before. It is not counted as wrong: it is no guess.
    Replayed,
    /// Too many codes were wrong; this one was not checked.
    Throttled {
        /// When codes are checked again.
        until: OffsetDateTime,
    },
}

/// The transaction in which a code is checked: the audit entry is written to the log of its community, or to that of the platform.
#[derive(Debug)]
pub enum MfaTx<'a> {
    /// Of a community.
    Tenant(&'a mut TenantTx),
    /// Of the platform.
    Global(&'a mut GlobalTx),
}

impl<'a> From<&'a mut TenantTx> for MfaTx<'a> {
    fn from(tx: &'a mut TenantTx) -> Self {
        Self::Tenant(tx)
    }
}

impl<'a> From<&'a mut GlobalTx> for MfaTx<'a> {
    fn from(tx: &'a mut GlobalTx) -> Self {
        Self::Global(tx)
    }
}

impl MfaTx<'_> {
    fn mfa(&mut self) -> Mfa<'_> {
        match self {
            Self::Tenant(tx) => tx.mfa(),
            Self::Global(tx) => tx.mfa(),
        }
    }

    async fn audit(&mut self, user: UserId, action: &str, subject: &str, detail: Value) -> Result<(), DbError> {
        let entry = NewAuditEntry {
            actor: Actor::Member(user),
            action,
            subject,
            reason: None,
            detail,
        };
        match self {
            Self::Tenant(tx) => tx.audit(&entry).await,
            Self::Global(tx) => tx.audit(&entry).await,
        }
    }
}

/// A row of `mfa_enrolments`, locked until the transaction ends.
pub(super) struct Locked {
    pub(super) secret: SealedSecret,
    last_step: Option<i64>,
    failures: u32,
    throttled_until: Option<OffsetDateTime>,
    /// Hashes of the backup codes that were accepted.
    used_backup_codes: Vec<Vec<u8>>,
}

/// Checks a code for this operation: six digits of an app, or a backup code. An accepted code is used up. The entry of the audit log is
/// written in the same transaction, which the caller commits whatever the outcome is. A code that is not checked has no entry. A text of
/// another form counts as a wrong code.
///
/// # Errors
/// When the database is unavailable, or the secret cannot be decrypted.
pub async fn verify<'a>(
    tx: impl Into<MfaTx<'a>>,
    cipher: &SecretCipher,
    user: UserId,
    code: &str,
    operation: ProtectedOperation,
    now: OffsetDateTime,
) -> Result<MfaOutcome, DbError> {
    let mut tx = tx.into();
    let Some(stored) = tx.mfa().lock(user, true).await? else {
        return Ok(MfaOutcome::NotEnrolled);
    };
    if let Some(until) = stored.throttled_until.filter(|until| *until > now) {
        return Ok(MfaOutcome::Throttled { until });
    }
    let subject = operation.as_str();
    match TypedCode::read(code) {
        Some(TypedCode::OneTime(code)) => {
            let Some(step) = opened(cipher, user, &stored.secret)?.matched_step(&code, now) else {
                return refuse(&mut tx, user, subject, &stored, now).await;
            };
            if stored.last_step.is_some_and(|last| step <= last) {
                let detail = json!({"why": "replayed"});
                tx.audit(user, "mfa.refused", subject, detail).await?;
                return Ok(MfaOutcome::Replayed);
            }
            tx.mfa().accept_step(user, step).await?;
            tx.audit(user, "mfa.accepted", subject, json!({"by": "code"})).await?;
        }
        Some(TypedCode::Backup(code)) => {
            let hash = code.hash(user.get(), &opened(cipher, user, &stored.secret)?);
            if stored.used_backup_codes.contains(&hash) {
                let detail = json!({"why": "replayed"});
                tx.audit(user, "mfa.refused", subject, detail).await?;
                return Ok(MfaOutcome::Replayed);
            }
            if !tx.mfa().use_backup_code(user, &hash).await? {
                return refuse(&mut tx, user, subject, &stored, now).await;
            }
            tx.audit(user, "mfa.accepted", subject, json!({"by": "backup_code"}))
                .await?;
        }
        None => return refuse(&mut tx, user, subject, &stored, now).await,
    }
    Ok(MfaOutcome::Accepted)
}

/// Confirms an enrolment that was begun, by its first code. `Accepted`: the person has a second factor from now on. `NotEnrolled`: none
/// was begun, or it is confirmed already.
///
/// # Errors
/// As [`verify`].
pub async fn confirm<'a>(
    tx: impl Into<MfaTx<'a>>,
    cipher: &SecretCipher,
    user: UserId,
    code: &str,
    now: OffsetDateTime,
) -> Result<MfaOutcome, DbError> {
    let mut tx = tx.into();
    let Some(stored) = tx.mfa().lock(user, false).await? else {
        return Ok(MfaOutcome::NotEnrolled);
    };
    if let Some(until) = stored.throttled_until.filter(|until| *until > now) {
        return Ok(MfaOutcome::Throttled { until });
    }
    let subject = user.to_string();
    let step = match TypedCode::read(code) {
        Some(TypedCode::OneTime(code)) => opened(cipher, user, &stored.secret)?.matched_step(&code, now),
        _ => None,
    };
    let Some(step) = step else {
        return refuse(&mut tx, user, &subject, &stored, now).await;
    };
    tx.mfa().confirm(user, step, now).await?;
    tx.audit(user, "mfa.enrol", &subject, json!({})).await?;
    Ok(MfaOutcome::Accepted)
}

pub(super) fn opened(cipher: &SecretCipher, user: UserId, sealed: &SealedSecret) -> Result<Totp, DbError> {
    let secret = cipher
        .open(user.get(), sealed)
        .map_err(|error| column("secret").corrupt(&sealed.key_id, error))?;
    Totp::from_secret(&secret).map_err(|error| column("secret").corrupt(&sealed.key_id, error))
}

/// Counts a wrong code.
async fn refuse(
    tx: &mut MfaTx<'_>,
    user: UserId,
    subject: &str,
    stored: &Locked,
    now: OffsetDateTime,
) -> Result<MfaOutcome, DbError> {
    let failures = stored.failures.saturating_add(1);
    let attempts_left = (MAX_FAILURES - failures % MAX_FAILURES) % MAX_FAILURES;
    let throttled_until = (attempts_left == 0).then(|| now + throttle(failures));
    tx.mfa().fail(user, failures, throttled_until).await?;
    let detail = json!({"why": "wrong", "failures": failures, "attempts_left": attempts_left});
    tx.audit(user, "mfa.refused", subject, detail).await?;
    Ok(MfaOutcome::Wrong { attempts_left })
}

/// How long no code is checked after this many wrong ones.
fn throttle(failures: u32) -> Duration {
    let doublings = (failures / MAX_FAILURES).saturating_sub(1).min(MAX_DOUBLINGS);
    LONGEST_THROTTLE.min(FIRST_THROTTLE * 2_i32.pow(doublings))
}

impl Mfa<'_> {
    /// Locks the row of a user who has a second factor, or of one whose enrolment was begun and not confirmed.
    pub(super) async fn lock(&mut self, user: UserId, confirmed: bool) -> Result<Option<Locked>, DbError> {
        self.name_user(user).await?;
        let row = named!(
            "mfa.lock",
            sqlx::query!(
                "select secret, key_id, last_step, failures, throttled_until, used_backup_codes from mfa_enrolments
                  where user_id = $1 and (confirmed_at is not null) = $2 for update",
                user.stored(),
                confirmed
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(|row| {
            Ok(Locked {
                secret: SealedSecret {
                    key_id: row.key_id,
                    bytes: row.secret,
                },
                last_step: row.last_step,
                failures: column("failures").count(i64::from(row.failures))?,
                throttled_until: row.throttled_until,
                used_backup_codes: row.used_backup_codes,
            })
        })
        .transpose()
    }

    async fn accept_step(&mut self, user: UserId, step: i64) -> Result<(), DbError> {
        named!(
            "mfa.accept_step",
            sqlx::query!(
                "update mfa_enrolments set last_step = $2, failures = 0, throttled_until = null where user_id = $1",
                user.stored(),
                step
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Uses a backup code. False when the user has none with this hash.
    async fn use_backup_code(&mut self, user: UserId, hash: &[u8]) -> Result<bool, DbError> {
        let done = named!(
            "mfa.use_backup_code",
            sqlx::query!(
                "update mfa_enrolments
                    set backup_codes = array_remove(backup_codes, $2::bytea),
                        used_backup_codes = array_append(used_backup_codes, $2::bytea), failures = 0, throttled_until = null
                  where user_id = $1 and $2::bytea = any(backup_codes)",
                user.stored(),
                hash
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    async fn confirm(&mut self, user: UserId, step: i64, now: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "mfa.confirm",
            sqlx::query!(
                "update mfa_enrolments set confirmed_at = $3, last_step = $2, failures = 0, throttled_until = null
                  where user_id = $1",
                user.stored(),
                step,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    async fn fail(
        &mut self,
        user: UserId,
        failures: u32,
        throttled_until: Option<OffsetDateTime>,
    ) -> Result<(), DbError> {
        named!(
            "mfa.fail",
            sqlx::query!(
                "update mfa_enrolments set failures = $2, throttled_until = $3 where user_id = $1",
                user.stored(),
                i32::try_from(failures).unwrap_or(i32::MAX),
                throttled_until
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_doubles_up_to_a_day() {
        let minutes: Vec<i64> = [5, 9, 10, 15, 35, 40, u32::MAX]
            .iter()
            .map(|failures| throttle(*failures).whole_minutes())
            .collect();
        assert_eq!(minutes, [15, 15, 30, 60, 960, 1440, 1440]);
    }
}
