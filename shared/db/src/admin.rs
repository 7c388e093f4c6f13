//! The few operations that span tenants, by a login of their own (BYPASSRLS). Read by tools, never by the running worker.

use arrakis_config::Secret;

use crate::login::Purpose;
use crate::{CommunityId, Database, DatabaseOptions, DbError, GuildId, TenantTx, measure::named};

/// The database by the admin login.
#[derive(Clone, Debug)]
pub struct Admin {
    database: Database,
}

/// A community in a list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunityLine {
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
    /// Connects and checks the schema and that the login really spans tenants (one that does not would see an empty platform)
    /// and is neither a superuser nor the owner.
    ///
    /// # Errors
    /// As [`Database::connect`], and when the login is not an admin's.
    pub async fn connect(url: &Secret, options: DatabaseOptions) -> Result<Self, DbError> {
        let database = Database::connect_as(Purpose::Admin, url, options).await?;
        Ok(Self { database })
    }

    /// Every community, by name.
    ///
    /// # Errors
    /// When the database is away or a row is corrupt.
    pub async fn communities(&self) -> Result<Vec<CommunityLine>, DbError> {
        let mut lease = self.database.lease("admin.communities").await?;
        let rows = named!(
            "admin.communities",
            sqlx::query!(
                r#"select community_id, guild_id, name, frozen_at is not null as "frozen!",
                          (select count(*) from profiles p
                            where p.community_id = c.community_id and p.left_at is null) as "members!"
                     from communities c order by name, community_id"#
            )
            .fetch_all(&mut *lease)
        )?;
        lease.done();
        rows.into_iter()
            .map(|row| {
                let guild = GuildId::try_from(row.guild_id)
                    .map_err(|why| DbError::corrupt("communities", "guild_id", row.guild_id, why))?;
                Ok(CommunityLine {
                    community: CommunityId::from_uuid(row.community_id),
                    guild,
                    name: row.name,
                    members: row.members.unsigned_abs(),
                    frozen: row.frozen,
                })
            })
            .collect()
    }

    /// A transaction for one community. This login passes row-level security by, so each query's own condition keeps to the
    /// tenant.
    ///
    /// # Errors
    /// When no connection comes free in time.
    pub async fn tenant(&self, community: CommunityId) -> Result<TenantTx, DbError> {
        self.database.tenant(community).await
    }

    /// What belongs to no tenant, by this login.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }
}
