//! Members: who they are, when they came and went, their wallet, and the tier they were last found in.
//!
//! What they did lies in `activity`, what they hold in `leaderboard`. Every write is safe to repeat: Discord tells the same
//! thing twice, and not always in order.

use arrakis_domain::{Address, TierId};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::row::Column;
use crate::{CommunityId, DbError, TenantTx, UserId, measure::named};

/// The rule that a wallet is one member's; ask [`DbError::violates`] for it.
pub const WALLET_IS_ANOTHERS: &str = "profiles_wallet_is_one_members";

/// A member as the platform knows them. Serialised for the cache alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Discord user.
    pub user: UserId,
    /// Name in this community.
    pub display_name: String,
    /// Verified wallet.
    pub wallet: Option<Address>,
    /// When they came, by Discord's account; the latest coming for who has left before.
    pub joined_at: OffsetDateTime,
    /// When they left; `None` while they are here.
    pub left_at: Option<OffsetDateTime>,
    /// Tier as of the last evaluation.
    pub tier: Option<TierId>,
    /// Since when.
    pub tier_since: Option<OffsetDateTime>,
    /// Best tier ever held.
    pub highest_tier: Option<TierId>,
    /// Roles given by hand stay as they are.
    pub protected: bool,
    /// When the name was put on the waitlist.
    pub waitlisted_at: Option<OffsetDateTime>,
    /// Commands ever used.
    pub commands: u64,
    /// Messages ever written, where chat is counted.
    pub messages: u64,
    /// Latest message or command.
    pub last_active_at: Option<OffsetDateTime>,
}

/// What [`Profiles::join`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Not known before.
    New,
    /// Known: back again, or told twice.
    Known,
    /// Told late: the member has left since.
    Stale,
}

/// Queries about the members of a community.
#[derive(Debug)]
pub struct Profiles<'a> {
    pub(crate) connection: &'a mut PgConnection,
    pub(crate) community: CommunityId,
}

impl TenantTx {
    /// The community's members.
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
    /// The member of this Discord user, here or gone.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
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

    /// The member with this wallet, here or gone.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
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

    /// Writes down that a member is here. `joined_at` is Discord's own time of joining, which tells a coming back from an
    /// event that arrives after the leave which followed it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn join(&mut self, user: UserId, display_name: &str, joined_at: OffsetDateTime) -> Result<Join, DbError> {
        self.join_told(user, display_name, joined_at, None).await
    }

    /// Writes down that a member has left. The row stays: wallet, history and badges come back with the member. True when the
    /// member was here.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Follows a change of name. True when it is one.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Links a wallet, or unlinks it with `None`. True when the member is known.
    ///
    /// # Errors
    /// A conflict with [`WALLET_IS_ANOTHERS`] when another member has it.
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

    /// Sets a member apart, so that roles given by hand stay, or no longer.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn protect(&mut self, user: UserId, protected: bool) -> Result<bool, DbError> {
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

    /// Puts a member on the waitlist, or takes them off with `None`. A second time keeps the first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn waitlist(&mut self, user: UserId, at: Option<OffsetDateTime>) -> Result<bool, DbError> {
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

    /// Writes down the outcome of an evaluation: the tier held now and the best one ever (the caller knows the ladder). A tier
    /// that is held for the first time is remembered for good. True when the tier has changed.
    ///
    /// # Errors
    /// When the database is away.
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
                     select community_id, user_id, $3, $4 from profiles where community_id = $1 and user_id = $2
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

    /// When each tier was first reached, the earliest first.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
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
