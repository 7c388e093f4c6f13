//! Changes of the ranking with a snapshot.

use arrakis_domain::{Address, ChangeKind, Place, WalletChange, Zones};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rank_column;
use crate::column::Column;
use crate::eligibility::Eligibility;
use crate::{DbError, GlobalTx, TokenProfileId, named_query::named};

impl GlobalTx {
    /// Stores the kinds of these changes with the snapshot that caused them.
    ///
    /// # Errors
    /// When the database is unavailable, or there is no such snapshot (a conflict).
    pub async fn store_ranking_changes(
        &mut self,
        token: &TokenProfileId,
        snapshot: Uuid,
        changes: &[WalletChange],
        zones: Zones,
    ) -> Result<(), DbError> {
        let kinds = changes
            .iter()
            .flat_map(|change| change.kinds(zones).into_iter().map(move |kind| (change, kind)));
        let (mut addresses, mut names) = (Vec::new(), Vec::new());
        let (mut ranks_before, mut ranks_after) = (Vec::new(), Vec::new());
        let (mut held_before, mut held_after) = (Vec::new(), Vec::new());
        let rank = |place: Option<Place>| place.map(|place| rank_column(place.rank));
        let held = |place: Option<Place>| place.map(|place| place.held.units_text());
        for (change, kind) in kinds {
            addresses.push(change.address.to_string());
            names.push(kind.as_str().to_owned());
            ranks_before.push(rank(change.before));
            ranks_after.push(rank(change.after));
            held_before.push(held(change.before));
            held_after.push(held(change.after));
        }
        named!(
            "eligibility_change.store",
            sqlx::query!(
                "insert into eligibility_changes
                        (token_profile_id, snapshot_id, address, kind, rank_before, rank_after, held_before, held_after)
                 select $1, $2, address, kind, rank_before, rank_after, held_before::numeric, held_after::numeric
                   from unnest($3::text[], $4::text[], $5::int4[], $6::int4[], $7::text[], $8::text[])
                     as row (address, kind, rank_before, rank_after, held_before, held_after)",
                token.as_str(),
                snapshot,
                &addresses,
                &names,
                &ranks_before as &[Option<i32>],
                &ranks_after as &[Option<i32>],
                &held_before as &[Option<String>],
                &held_after as &[Option<String>]
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// Deletes snapshots that were taken before `before`, with their changes; the latest one stays. Returns how many.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune_snapshots(&mut self, token: &TokenProfileId, before: OffsetDateTime) -> Result<u64, DbError> {
        let done = named!(
            "eligibility_snapshot.prune",
            sqlx::query!(
                "delete from eligibility_snapshots
                  where token_profile_id = $1 and taken_at < $2
                    and snapshot_id <> (select snapshot_id from eligibility_snapshots
                                         where token_profile_id = $1 order by taken_at desc limit 1)",
                token.as_str(),
                before
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected())
    }
}

impl Eligibility<'_> {
    /// The kinds of changes of a snapshot, by wallet.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn ranking_changes(
        &mut self,
        token: &TokenProfileId,
        snapshot: Uuid,
    ) -> Result<Vec<(Address, ChangeKind)>, DbError> {
        let rows = named!(
            "eligibility_change.list",
            sqlx::query!(
                "select address, kind from eligibility_changes
                  where token_profile_id = $1 and snapshot_id = $2 order by address, kind",
                token.as_str(),
                snapshot
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("eligibility_changes", name);
        rows.into_iter()
            .map(|row| {
                let kind = ChangeKind::ALL.into_iter().find(|kind| kind.as_str() == row.kind);
                let kind = kind.ok_or_else(|| column("kind").corrupt(&row.kind, "unknown kind of change"))?;
                Ok((column("address").parse(&row.address)?, kind))
            })
            .collect()
    }

    /// Id and block of the latest snapshot.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn latest_snapshot(&mut self, token: &TokenProfileId) -> Result<Option<(Uuid, u64)>, DbError> {
        let row = named!(
            "eligibility_snapshot.latest",
            sqlx::query!(
                "select snapshot_id, block_number from eligibility_snapshots
                  where token_profile_id = $1 order by taken_at desc, snapshot_id desc limit 1",
                token.as_str()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let column = Column("eligibility_snapshots", "block_number");
        row.map(|row| Ok((row.snapshot_id, column.count(row.block_number)?)))
            .transpose()
    }
}
