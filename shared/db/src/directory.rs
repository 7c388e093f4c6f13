//! The directory: present members by tier or badge, and the setting by which a member is not listed.

use std::collections::BTreeSet;

use arrakis_domain::{BadgeId, TierId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::column::Column;
use crate::{DbError, Profiles, TokenProfileId, UserId, named_query::named};

/// The members that a page of the directory is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryFilter {
    /// All members.
    All,
    /// Members with this tier, as of the last evaluation.
    Tier(TierId),
    /// Members who hold this badge.
    Badge(BadgeId),
}

impl DirectoryFilter {
    const fn tier(&self) -> Option<&TierId> {
        match self {
            Self::Tier(tier) => Some(tier),
            Self::All | Self::Badge(_) => None,
        }
    }

    const fn badge(&self) -> Option<&BadgeId> {
        match self {
            Self::Badge(badge) => Some(badge),
            Self::All | Self::Tier(_) => None,
        }
    }
}

/// An entry of the directory. Serialised for the cache only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// The member.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
    /// When the member joined, by Discord's time.
    pub joined_at: OffsetDateTime,
}

/// A page of the directory. Serialised for the cache only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryPage {
    /// Its entries.
    pub entries: Vec<DirectoryEntry>,
    /// Number of entries on all pages.
    pub total: u32,
}

impl Profiles<'_> {
    /// Entries of the directory from `offset` on (0 is the first): present members who do not hide, the ranked ones first, best
    /// rank first, then the others by name.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn directory(
        &mut self,
        token: &TokenProfileId,
        filter: &DirectoryFilter,
        offset: u32,
        limit: u32,
    ) -> Result<DirectoryPage, DbError> {
        let rows = named!(
            "directory.page",
            sqlx::query!(
                // One pass over the members gives page and count.
                r#"select user_id as "user_id!", display_name as "display_name!", tier as "tier?", joined_at as "joined_at!",
                          total as "total!"
                     from (select p.user_id, p.display_name, p.tier, p.joined_at, e.rank, count(*) over () as total
                             from profiles p
                             left join eligibility_current e on e.token_profile_id = $2 and e.address = p.wallet
                            where p.community_id = $1 and p.left_at is null and not p.hidden
                              and ($3::text is null or p.tier = $3)
                              and ($4::text is null
                                   or exists (select from badges b
                                               where b.community_id = p.community_id and b.user_id = p.user_id
                                                 and b.badge = $4 and b.revoked_at is null))
                            order by e.rank nulls last, p.display_name, p.user_id offset $5 limit $6) page
                    order by rank nulls last, display_name, user_id"#,
                self.community.uuid(),
                token.as_str(),
                filter.tier().map(TierId::as_str),
                filter.badge().map(BadgeId::as_str),
                i64::from(offset),
                i64::from(limit)
            )
            .fetch_all(&mut *self.connection)
        )?;
        let total = match rows.first() {
            Some(row) => row.total,
            None if offset == 0 => 0,
            // Behind the last entry: no row carries the count.
            None => self.listed(filter).await?,
        };
        let column = |name| Column("profiles", name);
        let entries: Result<Vec<_>, DbError> = rows
            .into_iter()
            .map(|row| {
                Ok(DirectoryEntry {
                    user: column("user_id").user(row.user_id)?,
                    display_name: row.display_name,
                    tier: column("tier").parse_some(row.tier.as_deref())?,
                    joined_at: row.joined_at,
                })
            })
            .collect();
        Ok(DirectoryPage {
            entries: entries?,
            total: column("count").count(total)?,
        })
    }

    /// Number of entries of the directory.
    async fn listed(&mut self, filter: &DirectoryFilter) -> Result<i64, DbError> {
        named!(
            "directory.total",
            sqlx::query_scalar!(
                r#"select count(*) as "total!" from profiles p
                    where p.community_id = $1 and p.left_at is null and not p.hidden
                      and ($2::text is null or p.tier = $2)
                      and ($3::text is null
                           or exists (select from badges b
                                       where b.community_id = p.community_id and b.user_id = p.user_id
                                         and b.badge = $3 and b.revoked_at is null))"#,
                self.community.uuid(),
                filter.tier().map(TierId::as_str),
                filter.badge().map(BadgeId::as_str)
            )
            .fetch_one(&mut *self.connection)
        )
    }

    /// Those of `users` who are present and do not hide now. A cached page is shown without the others.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn still_listed(&mut self, users: &[UserId]) -> Result<BTreeSet<UserId>, DbError> {
        let users: Vec<i64> = users.iter().map(|user| user.stored()).collect();
        let rows = named!(
            "directory.still_listed",
            sqlx::query_scalar!(
                "select user_id from profiles
                  where community_id = $1 and user_id = any($2) and left_at is null and not hidden",
                self.community.uuid(),
                &users
            )
            .fetch_all(&mut *self.connection)
        )?;
        let user = |id| Column("profiles", "user_id").user(id);
        rows.into_iter().map(user).collect()
    }

    /// Whether a present member hides from the directory; `None` for a user who is not a present member.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn is_hidden(&mut self, user: UserId) -> Result<Option<bool>, DbError> {
        named!(
            "directory.is_hidden",
            sqlx::query_scalar!(
                "select hidden from profiles where community_id = $1 and user_id = $2 and left_at is null",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// Sets whether a member hides from the directory. True when the member has a profile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_hidden(&mut self, user: UserId, hidden: bool) -> Result<bool, DbError> {
        let done = named!(
            "directory.set_hidden",
            sqlx::query!(
                "update profiles set hidden = $3, updated_at = now() where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                hidden
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }
}
