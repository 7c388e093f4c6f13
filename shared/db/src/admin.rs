//! The few operations that span tenants, with a login of their own (BYPASSRLS). Tools and the api use it; the running worker never does.

use arrakis_config::Secret;

use crate::login::Purpose;
use crate::{CommunityId, Database, DatabaseOptions, DbError, GuildId, TenantTx, UserId, named_query::named};

/// The database with the admin login.
#[derive(Clone, Debug)]
pub struct Admin {
    database: Database,
}

/// A community in [`Admin::communities`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunitySummary {
    /// Its id.
    pub community: CommunityId,
    /// Its Discord server.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Members who have not left.
    pub members: u64,
    /// Whether it is frozen.
    pub frozen: bool,
}

impl Admin {
    /// Connects, and checks the schema and that the login has BYPASSRLS (without it no tenant's rows are visible) and is
    /// neither a superuser nor the owner.
    ///
    /// # Errors
    /// As [`Database::connect`], and when the login is not the admin's.
    pub async fn connect(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let database = Database::connect_as(Purpose::Admin, url, options).await?;
        Ok(Self { database })
    }

    /// All communities, ordered by name.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn communities(&self) -> Result<Vec<CommunitySummary>, DbError> {
        let mut connection = self.database.connection("admin.communities").await?;
        let rows = named!(
            "admin.communities",
            sqlx::query!(
                r#"select community_id, guild_id, name, frozen_at is not null as "frozen!",
                          (select count(*) from profiles p
                            where p.community_id = c.community_id and p.left_at is null) as "members!"
                     from communities c order by name, community_id"#
            )
            .fetch_all(&mut *connection)
        )?;
        connection.release();
        rows.into_iter()
            .map(|row| {
                let guild = GuildId::try_from(row.guild_id)
                    .map_err(|why| DbError::corrupt("communities", "guild_id", row.guild_id, why))?;
                Ok(CommunitySummary {
                    community: CommunityId::from_uuid(row.community_id),
                    guild,
                    name: row.name,
                    members: row.members.unsigned_abs(),
                    frozen: row.frozen,
                })
            })
            .collect()
    }

    /// The communities in which one of these users has a profile.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn communities_of(&self, users: &[UserId]) -> Result<Vec<CommunityId>, DbError> {
        let users: Vec<i64> = users.iter().map(|user| user.stored()).collect();
        let mut connection = self.database.connection("admin.communities_of").await?;
        let communities = named!(
            "admin.communities_of",
            sqlx::query_scalar!(
                "select distinct community_id from profiles where user_id = any($1) order by community_id",
                &users
            )
            .fetch_all(&mut *connection)
        )?;
        connection.release();
        Ok(communities.into_iter().map(CommunityId::from_uuid).collect())
    }

    /// A transaction for one community. Row-level security does not apply to this login; each query's own condition selects
    /// the tenant.
    ///
    /// # Errors
    /// When no connection is available in time.
    pub async fn tenant(&self, community: CommunityId) -> Result<TenantTx, DbError> {
        self.database.tenant(community).await
    }

    /// The database with this login, for tables without a tenant.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }
}
