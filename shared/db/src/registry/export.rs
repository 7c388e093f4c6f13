//! Export of all identities in pages, so that memory and transactions stay small.

use uuid::Uuid;

use super::Registry;
use super::identity::{IdentityId, IdentityRecord};
use super::read::IdentityRow;
use crate::{CommunityId, DbError, named_query::named};

impl Registry<'_> {
    /// Identities in the order of their ids: those after `after`, at most `limit`; empty at the end. A caller that streams
    /// reads each page in a transaction of its own: a slow receiver then holds no connection. An identity that exists from
    /// the first page to the last one is exported exactly once. In a tenant transaction, only identities whose Discord
    /// account is a member of the community now. With wallets as [`Registry::overview`].
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn export(&mut self, after: Option<IdentityId>, limit: u32) -> Result<Vec<IdentityRecord>, DbError> {
        let rows = named!(
            "identity.export",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities i
                  where identity_id > $1
                    and ($2::uuid is null or exists (
                            select from profiles p
                              where p.community_id = $2 and p.user_id = i.discord_user_id and p.left_at is null))
                  order by identity_id limit $3",
                after.map_or(Uuid::nil(), IdentityId::uuid),
                self.community.map(CommunityId::uuid),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        self.overviews_of(rows).await
    }
}
