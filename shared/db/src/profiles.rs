//! Profiles: name, joining and leaving, wallet, and the tier of the last evaluation.
//!
//! Activity is in `activity`, holdings in `leaderboard`. Every write is safe to repeat: an event may be delivered twice and
//! out of order.

use arrakis_domain::{Address, TierId};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::column::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, named_query::named};

/// Name of the constraint that a wallet belongs to one member, for [`DbError::violates`].
pub const WALLET_UNIQUE_CONSTRAINT: &str = "profiles_wallet_is_one_members";

/// A member's profile. Serialised for the cache only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Discord user.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Verified wallet.
    pub wallet: Option<Address>,
    /// When the member joined, by Discord's time; the latest join of a member who had left.
    pub joined_at: OffsetDateTime,
    /// When the member left; `None` while present.
    pub left_at: Option<OffsetDateTime>,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
    /// When that tier was reached.
    pub tier_since: Option<OffsetDateTime>,
    /// Best tier ever held.
    pub highest_tier: Option<TierId>,
    /// Roles of this member are not changed by rules.
    pub protected: bool,
    /// When the member was put on the waitlist.
    pub waitlisted_at: Option<OffsetDateTime>,
    /// Total number of commands.
    pub commands: u64,
    /// Total number of messages, if messages are counted.
    pub messages: u64,
    /// Latest message or command.
    pub last_active_at: Option<OffsetDateTime>,
}

/// Result of [`Profiles::join`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinOutcome {
    /// The member had no profile.
    New,
    /// The member had a profile: a rejoin, or a repeated event.
    Known,
    /// The event is older than what the profile holds: nothing changed.
    Stale,
}

/// Queries about the profiles of a community.
#[derive(Debug)]
pub struct Profiles<'a> {
    pub(crate) connection: &'a mut PgConnection,
    pub(crate) community: CommunityId,
}

impl TenantTx {
    /// Queries about the community's profiles.
    pub fn profiles(&mut self) -> Profiles<'_> {
        Profiles {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

struct Row {
    user_id: i64,
    display_name: String,
    wallet: Option<String>,
    joined_at: OffsetDateTime,
    left_at: Option<OffsetDateTime>,
    tier: Option<String>,
    tier_since: Option<OffsetDateTime>,
    highest_tier: Option<String>,
    protected: bool,
    waitlisted_at: Option<OffsetDateTime>,
    commands: i64,
    messages: i64,
    last_active_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for Profile {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("profiles", name);
        Ok(Self {
            user: column("user_id").user(row.user_id)?,
            display_name: row.display_name,
            wallet: column("wallet").parse_some(row.wallet.as_deref())?,
            joined_at: row.joined_at,
            left_at: row.left_at,
            tier: column("tier").parse_some(row.tier.as_deref())?,
            tier_since: row.tier_since,
            highest_tier: column("highest_tier").parse_some(row.highest_tier.as_deref())?,
            protected: row.protected,
            waitlisted_at: row.waitlisted_at,
            commands: column("commands").count(row.commands)?,
            messages: column("messages").count(row.messages)?,
            last_active_at: row.last_active_at,
        })
    }
}

impl Profiles<'_> {
    /// The members who are in the server and have a wallet, with the wallet.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn wallets(&mut self) -> Result<Vec<(UserId, Address)>, DbError> {
        let rows = named!(
            "profile.wallets",
            sqlx::query!(
                r#"select user_id, wallet as "wallet!" from profiles
                    where community_id = $1 and wallet is not null and left_at is null order by user_id"#,
                self.community.uuid()
            )
            .fetch_all(&mut *self.connection)
        )?;
        let column = |name| Column("profiles", name);
        rows.into_iter()
            .map(|row| {
                Ok((
                    column("user_id").user(row.user_id)?,
                    column("wallet").parse(&row.wallet)?,
                ))
            })
            .collect()
    }

    /// The profile of this user, present or not.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn by_user(&mut self, user: UserId) -> Result<Option<Profile>, DbError> {
        let row = named!(
            "profile.by_user",
            sqlx::query_as!(
                Row,
                "select user_id, display_name, wallet, joined_at, left_at, tier, tier_since, highest_tier, protected,
                        waitlisted_at, commands, messages, last_active_at
                   from profiles where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(Profile::try_from).transpose()
    }

    /// The profile with this wallet, present or not.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn by_wallet(&mut self, wallet: Address) -> Result<Option<Profile>, DbError> {
        let row = named!(
            "profile.by_wallet",
            sqlx::query_as!(
                Row,
                "select user_id, display_name, wallet, joined_at, left_at, tier, tier_since, highest_tier, protected,
                        waitlisted_at, commands, messages, last_active_at
                   from profiles where community_id = $1 and wallet = $2",
                self.community.uuid(),
                wallet.to_string()
            )
            .fetch_optional(&mut *self.connection)
        )?;
        row.map(Profile::try_from).transpose()
    }

    /// Records that a member joined. `joined_at` is Discord's time of joining; it distinguishes a rejoin from a join event
    /// that is handled after the leave event which followed it.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn join(
        &mut self,
        user: UserId,
        display_name: &str,
        joined_at: OffsetDateTime,
    ) -> Result<JoinOutcome, DbError> {
        self.join_by_event(user, display_name, joined_at, None).await
    }

    /// Records that a member left. The row stays: a rejoin restores wallet, history and badges. True when the member was
    /// present.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn leave(&mut self, user: UserId, at: OffsetDateTime) -> Result<bool, DbError> {
        let done = named!(
            "profile.leave",
            sqlx::query!(
                "update profiles set left_at = $3, updated_at = now()
                  where community_id = $1 and user_id = $2 and left_at is null and joined_at <= $3",
                self.community.uuid(),
                user.stored(),
                at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Updates the display name. True when it changed.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn rename(&mut self, user: UserId, display_name: &str) -> Result<bool, DbError> {
        let done = named!(
            "profile.rename",
            sqlx::query!(
                "update profiles set display_name = $3, updated_at = now()
                  where community_id = $1 and user_id = $2 and display_name <> $3",
                self.community.uuid(),
                user.stored(),
                display_name
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Links a wallet, or unlinks it with `None`. True when the member has a profile.
    ///
    /// # Errors
    /// A conflict with [`WALLET_UNIQUE_CONSTRAINT`] when another member has it.
    pub async fn link_wallet(&mut self, user: UserId, wallet: Option<Address>) -> Result<bool, DbError> {
        let done = named!(
            "profile.link_wallet",
            sqlx::query!(
                "update profiles set wallet = $3, updated_at = now() where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                wallet.map(|wallet| wallet.to_string())
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Sets whether rules leave the member's roles unchanged. True when the member has a profile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_protected(&mut self, user: UserId, protected: bool) -> Result<bool, DbError> {
        let done = named!(
            "profile.protect",
            sqlx::query!(
                "update profiles set protected = $3, updated_at = now() where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                protected
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Puts a member on the waitlist, or removes the member with `None`. A repeated call keeps the first time. True when
    /// the member has a profile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn set_waitlisted(&mut self, user: UserId, at: Option<OffsetDateTime>) -> Result<bool, DbError> {
        let done = named!(
            "profile.waitlist",
            sqlx::query!(
                "update profiles
                    set waitlisted_at = case when $3::timestamptz is null then null else coalesce(waitlisted_at, $3) end,
                        updated_at = now()
                  where community_id = $1 and user_id = $2",
                self.community.uuid(),
                user.stored(),
                at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }

    /// Records the result of an evaluation: the current tier and the highest one ever held. A tier that is held for the
    /// first time is added to [`Profiles::tiers_reached`], unless it is that of an import. True when either tier changed.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_tier(
        &mut self,
        user: UserId,
        tier: Option<&TierId>,
        highest: Option<&TierId>,
        at: OffsetDateTime,
    ) -> Result<bool, DbError> {
        let changed = named!(
            "profile.record_tier",
            sqlx::query!(
                "update profiles
                    set tier = $3, tier_since = case when $3::text is null then null else $5::timestamptz end,
                        highest_tier = coalesce($4, highest_tier), updated_at = now()
                  where community_id = $1 and user_id = $2
                    and (tier is distinct from $3 or highest_tier is distinct from coalesce($4, highest_tier))",
                self.community.uuid(),
                user.stored(),
                tier.map(TierId::as_str),
                highest.map(TierId::as_str),
                at
            )
            .execute(&mut *self.connection)
        )?;
        if let Some(tier) = tier {
            named!(
                "tier.reach",
                sqlx::query!(
                    "insert into tiers_reached (community_id, user_id, tier, reached_at)
                     select p.community_id, p.user_id, $3, $4 from profiles p
                      where p.community_id = $1 and p.user_id = $2
                        -- The tier of an import is not reached: it counts only without a wallet.
                        and (p.wallet is not null
                             or not exists (select from imported_tiers i
                                             where i.community_id = p.community_id and i.user_id = p.user_id
                                               and i.expires_at > $4))
                     on conflict do nothing",
                    self.community.uuid(),
                    user.stored(),
                    tier.as_str(),
                    at
                )
                .execute(&mut *self.connection)
            )?;
        }
        Ok(changed.rows_affected() > 0)
    }

    /// When each tier was first reached, earliest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn tiers_reached(&mut self, user: UserId) -> Result<Vec<(TierId, OffsetDateTime)>, DbError> {
        let rows = named!(
            "tier.reached_by",
            sqlx::query!(
                "select tier, reached_at from tiers_reached where community_id = $1 and user_id = $2
                  order by reached_at, tier",
                self.community.uuid(),
                user.stored()
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter()
            .map(|row| Ok((Column("tiers_reached", "tier").parse(&row.tier)?, row.reached_at)))
            .collect()
    }
}
