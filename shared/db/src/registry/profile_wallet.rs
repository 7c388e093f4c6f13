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
}
