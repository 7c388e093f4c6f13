//! An operator's overrides of the ranking.

use std::collections::BTreeMap;

use arrakis_domain::{Address, OverrideEffect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, TokenProfileId, named_query::named};

/// An override to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOverride<'a> {
    /// The wallet.
    pub address: Address,
    /// Whether the wallet is added to the ranking or removed from it.
    pub effect: OverrideEffect,
    /// Reason that the operator gave.
    pub reason: &'a str,
    /// Name of the operator (`--by`).
    pub created_by: &'a str,
    /// When it ends; `None`: it applies until it is revoked.
    pub expires_at: Option<OffsetDateTime>,
}

/// A stored override, which may have ended or been revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOverride {
    /// Id of the override.
    pub id: Uuid,
    /// The wallet.
    pub address: Address,
    /// Whether the wallet is added to the ranking or removed from it.
    pub effect: OverrideEffect,
    /// Reason that the operator gave.
    pub reason: String,
    /// Name of the operator (`--by`).
    pub created_by: String,
    /// When it was added.
    pub created_at: OffsetDateTime,
    /// When it ends; `None`: it applies until it is revoked.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked; `None` while it is not.
    pub revoked_at: Option<OffsetDateTime>,
}

impl StoredOverride {
    /// Whether it applies at this time.
    #[must_use]
    pub fn applies_at(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

fn effect(text: &str) -> Result<OverrideEffect, DbError> {
    let effects = [OverrideEffect::Add, OverrideEffect::Remove];
    let found = effects.into_iter().find(|effect| effect.as_str() == text);
    found.ok_or_else(|| Column("eligibility_admin_overrides", "effect").corrupt(text, "unknown effect"))
}

impl Eligibility<'_> {
    /// Adds an override, and revokes an expired one of this wallet. `None`, and nothing added, when another one applies to it.
    ///
    /// # Errors
    /// When the database is unavailable, or the profile does not exist (a conflict).
    pub async fn add_override(
        &mut self,
        token: &TokenProfileId,
        new: &NewOverride<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Uuid>, DbError> {
        let id = Uuid::now_v7();
        let address = new.address.to_string();
        named!(
            "eligibility_override.end_expired",
            sqlx::query!(
                "update eligibility_admin_overrides set revoked_at = expires_at
                  where token_profile_id = $1 and address = $2 and revoked_at is null and expires_at <= $3",
                token.as_str(),
                address,
                now
            )
            .execute(&mut *self.connection)
        )?;
        let added = named!(
            "eligibility_override.add",
            sqlx::query!(
                "insert into eligibility_admin_overrides
                        (token_profile_id, override_id, address, effect, reason, created_by, created_at, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)
                 on conflict (token_profile_id, address) where revoked_at is null do nothing",
                token.as_str(),
                id,
                address,
                new.effect.as_str(),
                new.reason,
                new.created_by,
                now,
                new.expires_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok((added.rows_affected() > 0).then_some(id))
    }

    /// Revokes the override of a wallet; false when there is none.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn revoke_override(
        &mut self,
        token: &TokenProfileId,
        address: Address,
        now: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let done = named!(
            "eligibility_override.revoke",
            sqlx::query!(
                "update eligibility_admin_overrides set revoked_at = $3
                  where token_profile_id = $1 and address = $2 and revoked_at is null",
                token.as_str(),
                address.to_string(),
                now
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// All overrides of a profile, also those that have ended; the latest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn overrides(&mut self, token: &TokenProfileId) -> Result<Vec<StoredOverride>, DbError> {
        let rows = named!(
            "eligibility_override.list",
            sqlx::query!(
                "select override_id, address, effect, reason, created_by, created_at, expires_at, revoked_at
                   from eligibility_admin_overrides where token_profile_id = $1 order by created_at desc, override_id desc",
                token.as_str()
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                Ok(StoredOverride {
                    id: row.override_id,
                    address: Column("eligibility_admin_overrides", "address").parse(&row.address)?,
                    effect: effect(&row.effect)?,
                    reason: row.reason,
                    created_by: row.created_by,
                    created_at: row.created_at,
                    expires_at: row.expires_at,
                    revoked_at: row.revoked_at,
                })
            })
            .collect()
    }

    /// The effects of the overrides that apply at this time, by wallet.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn active_overrides(
        &mut self,
        token: &TokenProfileId,
        now: OffsetDateTime,
    ) -> Result<BTreeMap<Address, OverrideEffect>, DbError> {
        let rows = named!(
            "eligibility_override.active",
            sqlx::query!(
                "select address, effect from eligibility_admin_overrides
                  where token_profile_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)",
                token.as_str(),
                now
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = Column("eligibility_admin_overrides", "address");
        rows.into_iter()
            .map(|row| Ok((column.parse(&row.address)?, effect(&row.effect)?)))
            .collect()
    }
}
