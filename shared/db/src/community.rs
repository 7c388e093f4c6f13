//! The community itself: its settings, and which Discord role stands for which of its roles.

use arrakis_domain::{Plan, RoleBindings, RoleId, RoleKey, RuleSetId, ThemeId};
use sqlx::FromRow as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::pool::{Lease, Words};
use crate::row::Column;
use crate::{CommunityId, DbError, GuildId, TenantTx, TokenFace, TokenProfileId, measure::named, statements};

/// A community as it is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Community {
    /// Its id.
    pub id: CommunityId,
    /// Its Discord server.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Theme that it wears.
    pub theme: ThemeId,
    /// Rule set of the theme by which members are measured.
    pub rule_set: RuleSetId,
    /// What it pays for.
    pub plan: Plan,
    /// What counts as holding.
    pub token_profile: TokenProfileId,
    /// What answers show of it.
    pub token: TokenFace,
    /// Since when and why synthesis and role changes stop; `None` when they do not.
    pub frozen: Option<Frozen>,
    /// When it was set up.
    pub onboarded_at: OffsetDateTime,
}

impl Community {
    /// Reads a row of [`statements::CURRENT_COMMUNITY`].
    pub(crate) fn read(row: &PgRow) -> Result<Self, DbError> {
        let column = |name| Column("communities", name);
        let row = Row::from_row(row).map_err(|error| DbError::new("community.get", error))?;
        let guild = GuildId::try_from(row.guild_id).map_err(|why| column("guild_id").corrupt(row.guild_id, why))?;
        let at = |name, us: Option<i64>| us.map(|us| column(name).moment(us)).transpose();
        Ok(Self {
            id: CommunityId::from_uuid(row.community_id),
            guild,
            name: row.name,
            theme: column("theme").parse(&row.theme)?,
            rule_set: column("rule_set").parse(&row.rule_set)?,
            plan: parse_plan(&row.plan)?,
            token_profile: column("token_profile_id").parse(&row.token_profile_id)?,
            token: TokenFace {
                symbol: row.symbol,
                last_success_at: at("last_success_at", row.last_success_us)?,
            },
            frozen: at("frozen_at", row.frozen_us)?
                .zip(row.frozen_reason)
                .map(|(at, reason)| Frozen { at, reason }),
            onboarded_at: column("onboarded_at").moment(row.onboarded_us)?,
        })
    }
}

/// A row as the statement gives it.
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
    symbol: String,
    last_success_us: Option<i64>,
}

/// A freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Since when.
    pub at: OffsetDateTime,
    /// Why, in the words of who did it.
    pub reason: String,
}

/// What a community is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommunity {
    /// Its Discord server.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Theme.
    pub theme: ThemeId,
    /// Rule set of the theme.
    pub rule_set: RuleSetId,
    /// Plan.
    pub plan: Plan,
    /// What counts as holding; must exist.
    pub token_profile: TokenProfileId,
}

/// Queries about the community of a transaction.
#[derive(Debug)]
pub struct Communities<'a> {
    connection: &'a mut Lease,
    community: CommunityId,
}

impl TenantTx {
    /// The community itself.
    pub fn communities(&mut self) -> Communities<'_> {
        Communities {
            community: self.community,
            connection: &mut self.transaction,
        }
    }
}

impl Communities<'_> {
    /// The community; `None` when it is not set up.
    ///
    /// # Errors
    /// When the database is away or the row is corrupt.
    pub async fn get(&mut self) -> Result<Option<Community>, DbError> {
        let row = named!(
            "community.get",
            self.connection.say(Words::Executing(statements::CURRENT_COMMUNITY))
        )?;
        row.as_ref().map(Community::read).transpose()
    }

    /// Sets the community of this transaction up, with the route from its server. To be called in a transaction for an id that
    /// is new ([`CommunityId::new`]).
    ///
    /// # Errors
    /// A conflict with `guild_routes_pkey` when the server belongs to a community already.
    pub async fn create(&mut self, new: &NewCommunity) -> Result<(), DbError> {
        named!(
            "community.create",
            sqlx::query!(
                "insert into communities (community_id, guild_id, name, theme, rule_set, plan, token_profile_id)
                 values ($1, $2, $3, $4, $5, $6, $7)",
                self.community.uuid(),
                new.guild.stored(),
                new.name,
                new.theme.as_str(),
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

    /// Changes by which rules members are measured. What follows for members is a tier sync's work.
    ///
    /// # Errors
    /// When the database is away, or the community is gone.
    pub async fn set_theme(&mut self, theme: &ThemeId, rule_set: &RuleSetId) -> Result<(), DbError> {
        let done = named!(
            "community.set_theme",
            sqlx::query!(
                "update communities set theme = $2, rule_set = $3, updated_at = now() where community_id = $1",
                self.community.uuid(),
                theme.as_str(),
                rule_set.as_str()
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.set_theme", done.rows_affected())
    }

    /// Freezes the community, or thaws it with `None`. Freezing again changes the reason and keeps the time.
    ///
    /// # Errors
    /// When the database is away, or the community is gone: nothing is frozen then.
    pub async fn freeze(&mut self, reason: Option<&str>) -> Result<(), DbError> {
        let done = named!(
            "community.freeze",
            sqlx::query!(
                "update communities
                    set frozen_at = case when $2::text is null then null else coalesce(frozen_at, now()) end,
                        frozen_reason = $2, updated_at = now()
                  where community_id = $1",
                self.community.uuid(),
                reason
            )
            .execute(&mut **self.connection)
        )?;
        changed_one("community.freeze", done.rows_affected())
    }

    /// Which Discord role stands for which role of the theme.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn role_bindings(&mut self) -> Result<RoleBindings, DbError> {
        let rows = named!(
            "role_binding.list",
            sqlx::query!(
                "select role_key, discord_role_id from role_bindings where community_id = $1",
                self.community.uuid()
            )
            .fetch_all(&mut **self.connection)
        )?;
        rows.into_iter()
            .map(|row| {
                let key = Column("role_bindings", "role_key").parse(&row.role_key)?;
                Ok((key, RoleId(row.discord_role_id.unsigned_abs())))
            })
            .collect()
    }

    /// Binds a role of the theme to a role of the server, in place of the one it was bound to.
    ///
    /// # Errors
    /// A conflict when the server's role stands for another role of the theme.
    pub async fn bind_role(&mut self, key: &RoleKey, role: RoleId) -> Result<(), DbError> {
        named!(
            "role_binding.bind",
            sqlx::query!(
                "insert into role_bindings (community_id, role_key, discord_role_id) values ($1, $2, $3)
                 on conflict (community_id, role_key)
                 do update set discord_role_id = excluded.discord_role_id, bound_at = now()",
                self.community.uuid(),
                key.as_str(),
                role.0.cast_signed()
            )
            .execute(&mut **self.connection)
        )?;
        Ok(())
    }

    /// Forgets a role that the server has deleted. True when it stood for one of the theme's.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unbind_role(&mut self, role: RoleId) -> Result<bool, DbError> {
        let done = named!(
            "role_binding.unbind",
            sqlx::query!(
                "delete from role_bindings where community_id = $1 and discord_role_id = $2",
                self.community.uuid(),
                role.0.cast_signed()
            )
            .execute(&mut **self.connection)
        )?;
        Ok(done.rows_affected() > 0)
    }
}

/// An UPDATE of no row is no error to Postgres: whoever froze a community that is gone would believe it frozen.
fn changed_one(query: &'static str, rows: u64) -> Result<(), DbError> {
    if rows == 1 {
        Ok(())
    } else {
        Err(DbError::new(query, sqlx::Error::RowNotFound))
    }
}

fn parse_plan(text: &str) -> Result<Plan, DbError> {
    [Plan::Free, Plan::Premium]
        .into_iter()
        .find(|plan| plan.as_str() == text)
        .ok_or_else(|| Column("communities", "plan").corrupt(text, "no such plan"))
}
