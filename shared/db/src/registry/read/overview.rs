//! Identities for lists, exports and details: with the wallets that they hold, and of those that were removed the latest. What is read of
//! an identity does not grow with its history, which [`Registry::history`] has in pages.

use uuid::Uuid;

use super::{IdentityRow, WalletRow};
use crate::registry::Registry;
use crate::registry::identity::{IdentityId, IdentityRecord};
use crate::{DbError, named_query::named};

/// Removed wallets that are read of an identity: those that were verified last.
pub const REMOVED_WALLETS: i64 = 20;

impl Registry<'_> {
    /// The identity with this id, with the wallets that it holds and the latest [`REMOVED_WALLETS`] of the others.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn overview(&mut self, id: IdentityId) -> Result<Option<IdentityRecord>, DbError> {
        let row = self.row_by_id(id).await?;
        Ok(self.overviews_of(row.into_iter().collect()).await?.pop())
    }

    /// As [`Registry::overview`], of these identities, in the same order.
    pub(in crate::registry) async fn overviews_of(
        &mut self,
        rows: Vec<IdentityRow>,
    ) -> Result<Vec<IdentityRecord>, DbError> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.identity_id).collect();
        let mut records = rows
            .into_iter()
            .map(|row| {
                let identity = row.try_into()?;
                let wallets = Vec::new();
                Ok(IdentityRecord { identity, wallets })
            })
            .collect::<Result<Vec<_>, DbError>>()?;
        if ids.is_empty() {
            return Ok(records);
        }
        let wallets = named!(
            "identity.overview_wallets",
            sqlx::query_as!(
                WalletRow,
                r#"select verified_event as "verified_event!", removed_event, identity_id as "identity_id!", address as "address!",
                          chain_id as "chain_id!", is_primary as "is_primary!", source as "source!", signature_kind, signature_digest,
                          verified_at as "verified_at!", removed_at, removed_reason
                     from unnest($1::uuid[]) as listed (listed_id)
                    cross join lateral (
                          (select * from identity_wallets where identity_id = listed_id and removed_at is null)
                           union all
                          (select * from identity_wallets where identity_id = listed_id and removed_at is not null
                            order by verified_event desc limit $2)) as wallets
                    order by verified_event"#,
                &ids,
                REMOVED_WALLETS
            )
            .fetch_all(&mut *self.connection)
        )?;
        for row in wallets {
            let owner = ids.iter().position(|id| *id == row.identity_id);
            if let Some(record) = owner.and_then(|place| records.get_mut(place)) {
                record.wallets.push(row.try_into()?);
            }
        }
        Ok(records)
    }
}
