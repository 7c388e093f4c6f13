//! Search for operators.

use arrakis_domain::Address;

use super::Registry;
use super::identity::{IdentityRecord, TelegramUserId};
use super::read::IdentityRow;
use crate::{CommunityId, DbError, UserId, named_query::named};

/// What a search finds: identities that match every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentitySearch {
    /// With this Discord account.
    pub discord_user: Option<UserId>,
    /// With this Telegram account.
    pub telegram_user: Option<TelegramUserId>,
    /// With this text in the name, in any case.
    pub name: Option<String>,
    /// That hold this wallet or held it; in a tenant transaction, that have it as their primary wallet.
    pub address: Option<Address>,
}

/// A page of identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityPage {
    /// The identities of the page, newest first.
    pub identities: Vec<IdentityRecord>,
    /// Number of identities on all pages.
    pub total: u64,
}

impl Registry<'_> {
    /// Page `page`, counted from 1, of the identities that match. In a tenant transaction, only identities whose Discord
    /// account has a profile in the community. With wallets as [`Registry::overview`].
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn search(&mut self, search: &IdentitySearch, page: u32, limit: u32) -> Result<IdentityPage, DbError> {
        let offset = i64::from(page.saturating_sub(1)).saturating_mul(i64::from(limit));
        let rows = named!(
            "identity.search",
            sqlx::query_as!(
                IdentityRow,
                "select identity_id, discord_user_id, telegram_user_id, display_name, status, suspended_until, created_at,
                        updated_at
                   from user_identities i
                  where ($1::bigint is null or discord_user_id = $1) and ($2::bigint is null or telegram_user_id = $2)
                    and ($3::text is null or position(lower($3) in lower(display_name)) > 0)
                    and ($4::text is null or exists (
                            select from identity_wallets w
                              where w.address = $4 and w.identity_id = i.identity_id and ($5::uuid is null or w.is_primary)))
                    and ($5::uuid is null or exists (
                            select from profiles p
                              where p.community_id = $5 and p.user_id = i.discord_user_id and p.left_at is null))
                  order by created_at desc, identity_id desc limit $6 offset $7",
                search.discord_user.map(UserId::stored),
                search.telegram_user.map(TelegramUserId::get),
                search.name,
                search.address.map(|address| address.to_string()),
                self.community.map(CommunityId::uuid),
                i64::from(limit),
                offset
            )
            .fetch_all(&mut *self.connection)
        )?;
        let total = named!(
            "identity.search_total",
            sqlx::query_scalar!(
                r#"select count(*) as "total!"
                   from user_identities i
                  where ($1::bigint is null or discord_user_id = $1) and ($2::bigint is null or telegram_user_id = $2)
                    and ($3::text is null or position(lower($3) in lower(display_name)) > 0)
                    and ($4::text is null or exists (
                            select from identity_wallets w
                              where w.address = $4 and w.identity_id = i.identity_id and ($5::uuid is null or w.is_primary)))
                    and ($5::uuid is null or exists (
                            select from profiles p
                              where p.community_id = $5 and p.user_id = i.discord_user_id and p.left_at is null))"#,
                search.discord_user.map(UserId::stored),
                search.telegram_user.map(TelegramUserId::get),
                search.name,
                search.address.map(|address| address.to_string()),
                self.community.map(CommunityId::uuid)
            )
            .fetch_one(&mut *self.connection)
        )?;
        Ok(IdentityPage {
            identities: self.overviews_of(rows).await?,
            total: total.unsigned_abs(),
        })
    }
}
