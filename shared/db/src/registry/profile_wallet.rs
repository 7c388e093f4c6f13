//! Copies the primary wallet of an identity to its profile in a community.
//!
//! The registry is the truth. `profiles.wallet` is a copy for the queries of a community, which join it with the ranking.

use crate::column::Column;
use crate::{DbError, Profiles, UserId, named_query::named};

/// Result of [`Profiles::copy_wallet_from_registry`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalletCopy {
    /// Whether the member's wallet changed.
    pub changed: bool,
    /// The member whose profile had this wallet before: the roles of both depend on it.
    pub taken_from: Option<UserId>,
}

impl Profiles<'_> {
    /// Sets the wallet of a member's profile to the primary wallet of the member's identity, or to none. Another profile of
    /// the community that still has the wallet loses it. Safe to repeat. Changes nothing without a profile.
    ///
    /// A wallet whose signature a contract checked counts only in communities whose token is on a chain on which the identity has
    /// proved it: the same address may have other owners on another chain.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn copy_wallet_from_registry(&mut self, user: UserId) -> Result<WalletCopy, DbError> {
        let previous = named!(
            "profile.release_wallet",
            sqlx::query_scalar!(
                "update profiles set wallet = null, updated_at = now()
                  where community_id = $1 and user_id <> $2
                    and exists (select from profiles me where me.community_id = $1 and me.user_id = $2)
                    and wallet = (select w.address from identity_wallets w join user_identities i using (identity_id)
                                   where i.discord_user_id = $2 and w.is_primary
                                     and exists (
                                         select from identity_wallets held
                                          where held.identity_id = w.identity_id and held.address = w.address
                                            and held.removed_at is null
                                            and (coalesce(held.signature_kind, 'eip191') = 'eip191'
                                                 or held.chain_id = (select t.chain_id
                                                                       from communities c
                                                                       join token_profiles t using (token_profile_id)
                                                                      where c.community_id = $1))))
                 returning user_id",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        let changed = named!(
            "profile.copy_wallet",
            sqlx::query!(
                "update profiles p set wallet = registry.address, updated_at = now()
                   from (select (select w.address from identity_wallets w join user_identities i using (identity_id)
                                  where i.discord_user_id = $2 and w.is_primary
                                    and exists (
                                        select from identity_wallets held
                                         where held.identity_id = w.identity_id and held.address = w.address
                                           and held.removed_at is null
                                           and (coalesce(held.signature_kind, 'eip191') = 'eip191'
                                                or held.chain_id = (select t.chain_id
                                                                      from communities c
                                                                      join token_profiles t using (token_profile_id)
                                                                     where c.community_id = $1)))) as address) registry
                  where p.community_id = $1 and p.user_id = $2 and p.wallet is distinct from registry.address",
                self.community.uuid(),
                user.stored()
            )
            .execute(&mut *self.connection)
        )?;
        Ok(WalletCopy {
            changed: changed.rows_affected() > 0,
            taken_from: previous
                .map(|user| Column("profiles", "user_id").user(user))
                .transpose()?,
        })
    }

    /// As [`Profiles::copy_wallet_from_registry`], for many members at once. Returns the members whose wallet changed, also those who
    /// lost it to one of these.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn copy_wallets_from_registry(&mut self, users: &[UserId]) -> Result<Vec<UserId>, DbError> {
        let users: Vec<i64> = users.iter().map(|user| user.stored()).collect();
        let released = named!(
            "profile.release_wallets",
            sqlx::query_scalar!(
                "update profiles p set wallet = null, updated_at = now()
                   from identity_wallets w join user_identities i using (identity_id)
                  where p.community_id = $1 and i.discord_user_id = any($2) and p.user_id <> i.discord_user_id
                    and p.wallet = w.address and w.is_primary
                    and exists (select from profiles me where me.community_id = $1 and me.user_id = i.discord_user_id)
                    and exists (
                        select from identity_wallets held
                         where held.identity_id = w.identity_id and held.address = w.address and held.removed_at is null
                           and (coalesce(held.signature_kind, 'eip191') = 'eip191'
                                or held.chain_id = (select t.chain_id
                                                      from communities c join token_profiles t using (token_profile_id)
                                                     where c.community_id = $1)))
                 returning p.user_id",
                self.community.uuid(),
                &users
            )
            .fetch_all(&mut *self.connection)
        )?;
        let copied = named!(
            "profile.copy_wallets",
            sqlx::query_scalar!(
                r#"update profiles p set wallet = registry.address, updated_at = now()
                     from (select listed.user_id,
                                  (select w.address from identity_wallets w join user_identities i using (identity_id)
                                    where i.discord_user_id = listed.user_id and w.is_primary
                                      and exists (
                                          select from identity_wallets held
                                           where held.identity_id = w.identity_id and held.address = w.address
                                             and held.removed_at is null
                                             and (coalesce(held.signature_kind, 'eip191') = 'eip191'
                                                  or held.chain_id = (select t.chain_id
                                                                        from communities c
                                                                        join token_profiles t using (token_profile_id)
                                                                       where c.community_id = $1)))) as address
                             from unnest($2::bigint[]) as listed (user_id)) registry
                    where p.community_id = $1 and p.user_id = registry.user_id
                      and p.wallet is distinct from registry.address
                   returning p.user_id as "user_id!""#,
                self.community.uuid(),
                &users
            )
            .fetch_all(&mut *self.connection)
        )?;
        let mut changed = released
            .into_iter()
            .chain(copied)
            .map(|user| Column("profiles", "user_id").user(user))
            .collect::<Result<Vec<_>, DbError>>()?;
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }
}
