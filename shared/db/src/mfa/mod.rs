//! Second factors of Discord users: enrolment, and the decision whether a code is accepted.
//!
//! | file | owns |
//! |---|---|
//! | `verify.rs` | [`verify`] and [`confirm`]: one use of a code, throttling, the audit entry |
//! | `grants.rs` | [`NewGrant`]: permissions for one operation, for tools that act outside of the platform |
//!
//! Row-level security shows only the row of the user that the transaction has named. Each method names the user that it was called with.

mod grants;
mod verify;

use arrakis_security::mfa::{BACKUP_CODE_HASH_BYTES, BackupCode, SealedSecret, SecretCipher};
use sqlx::PgConnection;
use time::OffsetDateTime;

pub use self::grants::{GRANT_TIME, NewGrant};
use self::verify::opened;
pub use self::verify::{MAX_FAILURES, MfaOutcome, MfaTx, confirm, verify};
use crate::column::Column;
use crate::named_query::named;
use crate::{Admin, DbError, GlobalTx, TenantTx, UserId};

/// What a person sees of their second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MfaStatus {
    /// When the secret was created.
    pub created_at: OffsetDateTime,
    /// When the first code was accepted; `None`: there is no second factor yet.
    pub confirmed_at: Option<OffsetDateTime>,
    /// Backup codes that were not used. Those of a build whose hashes had no key are not counted: they are not accepted.
    pub backup_codes: u32,
    /// Until when no code is checked, after too many wrong ones.
    pub throttled_until: Option<OffsetDateTime>,
}

impl MfaStatus {
    /// Whether the person has a second factor.
    #[must_use]
    pub const fn is_enrolled(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

/// Queries about second factors.
#[derive(Debug)]
pub struct Mfa<'a> {
    connection: &'a mut PgConnection,
}

impl TenantTx {
    /// Queries about second factors.
    pub fn mfa(&mut self) -> Mfa<'_> {
        Mfa {
            connection: &mut self.transaction,
        }
    }
}

impl GlobalTx {
    /// Queries about second factors.
    pub fn mfa(&mut self) -> Mfa<'_> {
        Mfa {
            connection: &mut self.transaction,
        }
    }
}

const fn column(name: &'static str) -> Column {
    Column("mfa_enrolments", name)
}

impl Mfa<'_> {
    /// Makes the row of this user visible, and no other, until the transaction ends or another user is named.
    async fn name_user(&mut self, user: UserId) -> Result<(), DbError> {
        named!(
            "mfa.name_user",
            sqlx::query!("select set_config('app.mfa_user', $1, true)", user.to_string())
                .fetch_one(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The second factor of a user; `None` when there is none and none was begun.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn status(&mut self, user: UserId) -> Result<Option<MfaStatus>, DbError> {
        self.name_user(user).await?;
        let row = named!(
            "mfa.status",
            sqlx::query!(
                r#"select created_at, confirmed_at, throttled_until,
                          (select count(*) from unnest(backup_codes) as code where length(code) = $2) as "backup_codes!"
                     from mfa_enrolments where user_id = $1"#,
                user.stored(),
                i32::try_from(BACKUP_CODE_HASH_BYTES).unwrap_or(i32::MAX)
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(|row| {
            Ok(MfaStatus {
                created_at: row.created_at,
                confirmed_at: row.confirmed_at,
                backup_codes: column("backup_codes").count(row.backup_codes)?,
                throttled_until: row.throttled_until,
            })
        })
        .transpose()
    }

    /// Begins an enrolment with this secret, in place of one that was begun and not confirmed. False, and nothing changed, when the user
    /// has a second factor.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn begin(&mut self, user: UserId, secret: &SealedSecret, now: OffsetDateTime) -> Result<bool, DbError> {
        self.name_user(user).await?;
        let done = named!(
            "mfa.begin",
            sqlx::query!(
                "insert into mfa_enrolments as known (user_id, secret, key_id, created_at) values ($1, $2, $3, $4)
                 on conflict (user_id) do update
                    set secret = excluded.secret, key_id = excluded.key_id, created_at = excluded.created_at
                  where known.confirmed_at is null",
                user.stored(),
                secret.bytes.as_slice(),
                secret.key_id,
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces all backup codes by these. False when the user has no second factor.
    ///
    /// # Errors
    /// When the database is unavailable, there are more than ten, or the secret cannot be decrypted.
    pub async fn replace_backup_codes(
        &mut self,
        cipher: &SecretCipher,
        user: UserId,
        codes: &[BackupCode],
    ) -> Result<bool, DbError> {
        let Some(stored) = self.lock(user, true).await? else {
            return Ok(false);
        };
        let totp = opened(cipher, user, &stored.secret)?;
        let hashes: Vec<Vec<u8>> = codes.iter().map(|code| code.hash(user.get(), &totp)).collect();
        let done = named!(
            "mfa.replace_backup_codes",
            sqlx::query!(
                "update mfa_enrolments set backup_codes = $2, used_backup_codes = '{}'
                  where user_id = $1 and confirmed_at is not null",
                user.stored(),
                &hashes
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes the second factor of a user. False when there was none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn remove(&mut self, user: UserId) -> Result<bool, DbError> {
        self.name_user(user).await?;
        let done = named!(
            "mfa.remove",
            sqlx::query!("delete from mfa_enrolments where user_id = $1", user.stored()).execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores a secret that was encrypted by another key, unless the row changed since `old` was read. False when it did.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn reseal(&mut self, user: UserId, old: &SealedSecret, new: &SealedSecret) -> Result<bool, DbError> {
        self.name_user(user).await?;
        let done = named!(
            "mfa.reseal",
            sqlx::query!(
                "update mfa_enrolments set secret = $3, key_id = $4 where user_id = $1 and secret = $2",
                user.stored(),
                old.bytes.as_slice(),
                new.bytes.as_slice(),
                new.key_id
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() == 1)
    }
}

impl Admin {
    /// At most 100 secrets that another key than this one encrypted, for the rotation of the key.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn mfa_secrets_not_of(&self, key_id: &str) -> Result<Vec<(UserId, SealedSecret)>, DbError> {
        let mut connection = self.database().connection("mfa.secrets_not_of").await?;
        let rows = named!(
            "mfa.secrets_not_of",
            sqlx::query!(
                "select user_id, secret, key_id from mfa_enrolments where key_id <> $1 order by user_id limit 100",
                key_id
            )
            .fetch_all(&mut *connection)
        )?;
        connection.release();
        rows.into_iter()
            .map(|row| {
                let sealed = SealedSecret {
                    key_id: row.key_id,
                    bytes: row.secret,
                };
                Ok((column("user_id").user(row.user_id)?, sealed))
            })
            .collect()
    }
}
