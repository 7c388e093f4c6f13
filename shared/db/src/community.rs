//! Communities: their settings and role bindings.

mod role_bindings;

use arrakis_domain::{FeatureGates, Plan, RuleSetId, ThemeId, TierRoles};
use sqlx::FromRow as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::column::Column;
use crate::pool::{PooledConnection, Statements};
use crate::{
    CommunityId, DbError, GuildId, TEARDOWN_FREEZE, TenantTx, TokenProfileId, TokenSummary, UserId, feature_gates,
    named_query::named, statements,
};

/// Name of the constraint that a community's plan includes its theme, for [`DbError::violates`].
pub const PLAN_CONSTRAINT: &str = "communities_theme_is_in_the_plan";

/// A community with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Community {
    /// Its id.
    pub id: CommunityId,
    /// Its Discord server.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Its theme.
    pub theme: ThemeId,
    /// Rule set of the theme by which members are evaluated.
    pub rule_set: RuleSetId,
    /// Its subscription plan.
    pub plan: Plan,
    /// The token whose holding decides the ranking.
    pub token_profile: TokenProfileId,
    /// The token as replies show it.
    pub token: TokenSummary,
    /// Set while role changes are stopped for this community.
    pub frozen: Option<Frozen>,
    /// The admin who alone controls the community after a takeover, until the freeze ends.
    pub controlled_by: Option<UserId>,
    /// Channel in which members who join without a verified wallet are welcomed; `None`: none are.
    pub welcome_channel: Option<u64>,
    /// The tiers from which commands and features can be used.
    pub gates: FeatureGates,
    /// The role policy that an admin chose; `None`: the theme's.
    pub tier_roles: Option<TierRoles>,
    /// Until when the community uses a theme that its plan does not include; `None`: the plan includes it.
    pub theme_grace_until: Option<OffsetDateTime>,
    /// When it was created.
    pub onboarded_at: OffsetDateTime,
}

impl Community {
    /// Whether it is frozen by a teardown of its server, whose freeze the restore of a checkpoint ends. A takeover never is: an admin chooses its
    /// reason.
    #[must_use]
    pub fn is_frozen_by_teardown(&self) -> bool {
        let frozen = self.frozen.as_ref();
        self.controlled_by.is_none() && frozen.is_some_and(|frozen| frozen.reason.starts_with(TEARDOWN_FREEZE))
    }

    /// Decodes a row of [`statements::CURRENT_COMMUNITY`].
    pub(crate) fn read(row: &PgRow) -> Result<Self, DbError> {
        let column = |name| Column("communities", name);
        let row = Row::from_row(row).map_err(|error| DbError::new("community.get", error))?;
        let guild = GuildId::try_from(row.guild_id).map_err(|why| column("guild_id").corrupt(row.guild_id, why))?;
        let at = |name, us: Option<i64>| us.map(|us| column(name).time(us)).transpose();
        Ok(Self {
            id: CommunityId::from_uuid(row.community_id),
            guild,
            name: row.name,
            theme: column("theme").parse(&row.theme)?,
            rule_set: column("rule_set").parse(&row.rule_set)?,
            plan: column("plan").parse(&row.plan)?,
            token_profile: column("token_profile_id").parse(&row.token_profile_id)?,
            token: TokenSummary {
                symbol: row.symbol,
                last_success_at: at("last_success_at", row.last_success_us)?,
            },
            frozen: at("frozen_at", row.frozen_us)?
                .zip(row.frozen_reason)
                .map(|(at, reason)| Frozen { at, reason }),
            controlled_by: row
                .controlled_by
                .map(|user| column("controlled_by").user(user))
                .transpose()?,
            welcome_channel: row.welcome_channel_id.map(i64::unsigned_abs),
            gates: feature_gates::parse(row.gates.as_deref())?,
            tier_roles: column("tier_roles").parse_some(row.tier_roles.as_deref())?,
            theme_grace_until: at("theme_grace_until", row.theme_grace_us)?,
            onboarded_at: column("onboarded_at").time(row.onboarded_us)?,
        })
    }
}

/// A row of [`statements::CURRENT_COMMUNITY`].
#[derive(sqlx::FromRow)]
struct Row {
    community_id: Uuid,
    guild_id: i64,
    name: String,
    theme: String,
    rule_set: String,
    plan: String,
    token_profile_id: String,
    frozen_us: Option<i64>,
    frozen_reason: Option<String>,
    onboarded_us: i64,
    welcome_channel_id: Option<i64>,
    symbol: String,
    last_success_us: Option<i64>,
    tier_roles: Option<String>,
    theme_grace_us: Option<i64>,
    controlled_by: Option<i64>,
    gates: Option<String>,
}

/// A freeze: role changes of a community are stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Since when.
    pub at: OffsetDateTime,
    /// The reason, as it was given.
    pub reason: String,
}

/// A community to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommunity {
    /// Its Discord server.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Its theme.
    pub theme: ThemeId,
    /// The least plan that includes the theme.
    pub theme_plan: Plan,
    /// Rule set of the theme.
    pub rule_set: RuleSetId,
    /// Its subscription plan.
    pub plan: Plan,
    /// The token whose holding decides the ranking; the token profile must exist.
    pub token_profile: TokenProfileId,
}

/// Queries about the community of a tenant transaction.
#[derive(Debug)]
pub struct Communities<'a> {
    connection: &'a mut PooledConnection,
    community: CommunityId,
}

impl TenantTx {
    /// Queries about the community itself.
    pub fn communities(&mut self) -> Communities<'_> {
        Communities {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl Communities<'_> {
    /// The community; `None` when it does not exist.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn get(&mut self) -> Result<Option<Community>, DbError> {
        let row = named!(
            "community.get",
            self.connection
                .run(Statements::UsingPrepared(statements::CURRENT_COMMUNITY))
        )?;
        row.as_ref().map(Community::read).transpose()
    }

    /// Locks the community against changes by others until this transaction ends. What was read of it before may have changed since. False
    /// when it does not exist.
    ///
    /// # Errors
    /// When the database is unavailable, or the wait exceeds the lock timeout.
    pub async fn lock(&mut self) -> Result<bool, DbError> {
        let found = named!(
            "community.lock",
            sqlx::query_scalar!(
                "select community_id from communities where community_id = $1 for no key update",
                self.community.uuid()
            )
            .fetch_optional(&mut **self.connection)
        )?;
        Ok(found.is_some())
    }

    /// Creates the community of this transaction and the route from its server. The transaction must be one for a new id
    /// ([`CommunityId::new`]).
    ///
    /// # Errors
    /// A conflict with `guild_routes_pkey` when the server has a community already; a violation of [`PLAN_CONSTRAINT`] when the plan
    /// does not include the theme.
    pub async fn create(&mut self, new: &NewCommunity) -> Result<(), DbError> {
        named!(
            "community.create",
            sqlx::query!(
                "insert into communities (community_id, guild_id, name, theme, theme_plan, rule_set, plan, token_profile_id)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
                self.community.uuid(),
                new.guild.stored(),
                new.name,
                new.theme.as_str(),
                new.theme_plan.as_str(),
                new.rule_set.as_str(),
                new.plan.as_str(),
                new.token_profile.as_str()
            )
            .execute(&mut **self.connection)
        )?;
        named!(
            "community.create_route",
            sqlx::query!(
                "insert into guild_routes (guild_id, community_id) values ($1, $2)",
                new.guild.stored(),
                self.community.uuid()
            )
            .execute(&mut **self.connection)
        )?;
        Ok(())
    }

    /// Changes the theme and the rule set, and ends a grace period of the plan. `theme_plan` is the least plan that includes the
    /// theme. A tier sync must follow, which evaluates the members again.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist; a violation of [`PLAN_CONSTRAINT`] when the plan does not
    /// include the theme.
    pub async fn set_theme(&mut self, theme: &ThemeId, theme_plan: Plan, rule_set: &RuleSetId) -> Result<(), DbError> {
        let done = named!(
            "community.set_theme",
            sqlx::query!(
                "update communities
                    set theme = $2, theme_plan = $3, rule_set = $4, theme_grace_until = null, updated_at = now()
                  where community_id = $1",
                self.community.uuid(),
                theme.as_str(),
                theme_plan.as_str(),
                rule_set.as_str()
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_theme", done.rows_affected())
    }

    /// Changes the rule set to another one of the theme. A tier sync must follow, which evaluates the members again.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist.
    pub async fn set_rule_set(&mut self, rule_set: &RuleSetId) -> Result<(), DbError> {
        let done = named!(
            "community.set_rule_set",
            sqlx::query!(
                "update communities set rule_set = $2, updated_at = now() where community_id = $1",
                self.community.uuid(),
                rule_set.as_str()
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_rule_set", done.rows_affected())
    }

    /// Changes the plan. `theme_plan` is the least plan that includes the community's theme, `theme_grace_until` the time until which
    /// a theme that the new plan does not include may be used.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist; a violation of [`PLAN_CONSTRAINT`] when the plan does not
    /// include the theme and there is no grace period.
    pub async fn set_plan(
        &mut self,
        plan: Plan,
        theme_plan: Plan,
        theme_grace_until: Option<OffsetDateTime>,
    ) -> Result<(), DbError> {
        let done = named!(
            "community.set_plan",
            sqlx::query!(
                "update communities
                    set plan = $2, theme_plan = $3, theme_grace_until = $4, updated_at = now()
                  where community_id = $1",
                self.community.uuid(),
                plan.as_str(),
                theme_plan.as_str(),
                theme_grace_until
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_plan", done.rows_affected())
    }

    /// Sets the role policy in place of the theme's, or the theme's with `None`. A tier sync must follow, which changes the members'
    /// roles.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist.
    pub async fn set_tier_roles(&mut self, policy: Option<TierRoles>) -> Result<(), DbError> {
        let done = named!(
            "community.set_tier_roles",
            sqlx::query!(
                "update communities set tier_roles = $2, updated_at = now() where community_id = $1",
                self.community.uuid(),
                policy.map(TierRoles::as_str)
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_tier_roles", done.rows_affected())
    }

    /// Changes the token whose holding decides the ranking. A tier sync must follow, which evaluates the members again.
    ///
    /// # Errors
    /// When the database is unavailable, the community does not exist, or the token profile does not.
    pub async fn set_token_profile(&mut self, token: &TokenProfileId) -> Result<(), DbError> {
        let done = named!(
            "community.set_token_profile",
            sqlx::query!(
                "update communities set token_profile_id = $2, updated_at = now() where community_id = $1",
                self.community.uuid(),
                token.as_str()
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_token_profile", done.rows_affected())
    }

    /// Freezes the community with a reason, or ends the freeze, and with it a takeover, with `None`. A second freeze changes the reason
    /// and keeps the time.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist: nothing is frozen then.
    pub async fn set_frozen(&mut self, reason: Option<&str>) -> Result<(), DbError> {
        let done = named!(
            "community.freeze",
            sqlx::query!(
                "update communities
                    set frozen_at = case when $2::text is null then null else coalesce(frozen_at, now()) end,
                        frozen_reason = $2, controlled_by = case when $2::text is null then null else controlled_by end,
                        updated_at = now()
                  where community_id = $1",
                self.community.uuid(),
                reason
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.freeze", done.rows_affected())
    }

    /// Freezes the community with a reason and gives the control of it to one admin, as [`Communities::set_frozen`]. The end of the
    /// freeze ends it.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist: nothing is changed then.
    pub async fn take_over(&mut self, admin: UserId, reason: &str) -> Result<(), DbError> {
        let done = named!(
            "community.take_over",
            sqlx::query!(
                "update communities
                    set frozen_at = coalesce(frozen_at, now()), frozen_reason = $3, controlled_by = $2, updated_at = now()
                  where community_id = $1",
                self.community.uuid(),
                admin.stored(),
                reason
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.take_over", done.rows_affected())
    }

    /// Sets the channel in which members who join without a verified wallet are welcomed, or ends the welcomes with `None`.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist.
    pub async fn set_welcome_channel(&mut self, channel: Option<u64>) -> Result<(), DbError> {
        let done = named!(
            "community.set_welcome_channel",
            sqlx::query!(
                "update communities set welcome_channel_id = $2, updated_at = now() where community_id = $1",
                self.community.uuid(),
                channel.map(u64::cast_signed)
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_welcome_channel", done.rows_affected())
    }
}

/// An error unless one row changed. An UPDATE of no row is no error in PostgreSQL: a freeze of a missing community would
/// seem to succeed.
fn changed_one(query: &'static str, rows: u64) -> Result<(), DbError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(DbError::new(query, sqlx::Error::RowNotFound))
    }
}
