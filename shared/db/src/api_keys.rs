//! API keys of callers of the admin API, by hash. A key belongs to one community (`api_keys`, a tenant table) or to the platform
//! (`platform_api_keys`, which only the admin login reads and writes).
//!
//! How a key is created and hashed: `arrakis-security`. Keys are never deleted, so that audit entries name a row that exists.

use std::fmt;
use std::str::FromStr;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::column::Column;
use crate::{Admin, CommunityId, DbError, GlobalTx, TenantTx, UserId, named_query::named};

/// `last_used_at` is written at most once in this time for a key.
const LAST_USED_ACCURACY: Duration = Duration::hours(1);

/// What a key permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiKeyScope {
    /// List and read users.
    UsersRead,
    /// Suspend and restore users.
    UsersWrite,
    /// Export all users.
    UsersExport,
    /// Everything that `arrakis-telegram` requests for Telegram accounts.
    Telegram,
    /// Read the plan, the usage and the checkpoints of servers.
    ServersRead,
    /// Store and restore checkpoints, and count backups on request.
    ServersWrite,
    /// Set the plan of servers.
    PlansWrite,
    /// Submit and read approvals of plans of infrastructure.
    ApprovalsWrite,
    /// Turn the kill switch on, and with a second factor off.
    Emergency,
}

/// A text that is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope; the scopes are users:read, users:write, users:export, telegram, servers:read, servers:write, plans:write, \
     approvals:write, emergency"
)]
pub struct ApiKeyScopeError(String);

impl ApiKeyScope {
    /// Every scope.
    pub const ALL: [Self; 9] = [
        Self::UsersRead,
        Self::UsersWrite,
        Self::UsersExport,
        Self::Telegram,
        Self::ServersRead,
        Self::ServersWrite,
        Self::PlansWrite,
        Self::ApprovalsWrite,
        Self::Emergency,
    ];

    /// The scope as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::UsersExport => "users:export",
            Self::Telegram => "telegram",
            Self::ServersRead => "servers:read",
            Self::ServersWrite => "servers:write",
            Self::PlansWrite => "plans:write",
            Self::ApprovalsWrite => "approvals:write",
            Self::Emergency => "emergency",
        }
    }

    /// Whether only a key for all communities may have it. A suspension acts on an identity, which is the same in every community: a
    /// key of one community would change the others. A Telegram account belongs to no community. The plan of a community is set by the
    /// platform, not by the community. A plan of infrastructure is the platform's. The kill switch stops every community.
    #[must_use]
    pub const fn spans_communities(self) -> bool {
        matches!(
            self,
            Self::UsersWrite | Self::Telegram | Self::PlansWrite | Self::ApprovalsWrite | Self::Emergency
        )
    }
}

impl fmt::Display for ApiKeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApiKeyScope {
    type Err = ApiKeyScopeError;

    fn from_str(text: &str) -> Result<Self, ApiKeyScopeError> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| ApiKeyScopeError(text.chars().take(50).collect()))
    }
}

/// An API key to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey<'a> {
    /// Its id, which is not secret.
    pub id: Uuid,
    /// Name that its creator chose, for lists.
    pub name: &'a str,
    /// The first characters of the key, which lists show: `arrakis_` and 8 characters.
    pub prefix: &'a str,
    /// SHA-256 of the whole text of the key.
    pub hash: [u8; 32],
    /// Scopes: what the key permits.
    pub scopes: &'a [ApiKeyScope],
    /// Name of the operator who created it (`--by`).
    pub created_by: &'a str,
    /// The Discord user to whom it belongs, whose second factor protected operations need; `None`: it permits none of them.
    pub user: Option<UserId>,
    /// When it expires: from then on it is refused.
    pub expires_at: OffsetDateTime,
}

/// A stored API key, without its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, which is not secret.
    pub id: Uuid,
    /// The one community for which it is valid; `None` for all communities.
    pub community: Option<CommunityId>,
    /// Name that its creator chose, for lists.
    pub name: String,
    /// The first characters of the key, which lists show: `arrakis_` and 8 characters.
    pub prefix: String,
    /// Scopes: what the key permits.
    pub scopes: Vec<ApiKeyScope>,
    /// Name of the operator who created it (`--by`).
    pub created_by: String,
    /// The Discord user to whom it belongs.
    pub user: Option<UserId>,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it expires: from then on it is refused.
    pub expires_at: OffsetDateTime,
    /// When it was revoked; `None` while it is not.
    pub revoked_at: Option<OffsetDateTime>,
    /// When it was last used, accurate to an hour.
    pub last_used_at: Option<OffsetDateTime>,
}

impl ApiKey {
    /// Whether it is neither revoked nor expired.
    #[must_use]
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

struct Row {
    key_id: Uuid,
    community_id: Option<Uuid>,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    created_by: String,
    user_id: Option<i64>,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
    last_used_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for ApiKey {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = Column("api_keys", "scopes");
        let scopes = row.scopes.iter().map(|scope| column.parse(scope));
        Ok(Self {
            id: row.key_id,
            community: row.community_id.map(CommunityId::from_uuid),
            name: row.name,
            prefix: row.prefix,
            scopes: scopes.collect::<Result<_, _>>()?,
            created_by: row.created_by,
            user: row
                .user_id
                .map(|user| Column("api_keys", "user_id").user(user))
                .transpose()?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

fn scope_texts(scopes: &[ApiKeyScope]) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

impl TenantTx {
    /// Stores a key of this community.
    ///
    /// # Errors
    /// When the database is unavailable, or the community does not exist (a conflict).
    pub async fn create_api_key(&mut self, key: &NewApiKey<'_>) -> Result<(), DbError> {
        named!(
            "api_key.create",
            sqlx::query!(
                "insert into api_keys (community_id, key_id, name, prefix, secret_hash, scopes, created_by, expires_at, user_id)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                self.community.uuid(),
                key.id,
                key.name,
                key.prefix,
                key.hash.as_slice(),
                &scope_texts(key.scopes),
                key.created_by,
                key.expires_at,
                key.user.map(UserId::stored)
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The keys of this community, the newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn api_keys(&mut self) -> Result<Vec<ApiKey>, DbError> {
        let rows = named!(
            "api_key.list",
            sqlx::query_as!(
                Row,
                r#"select key_id, community_id as "community_id?", name, prefix, scopes, created_by, user_id, created_at, expires_at, revoked_at,
                          last_used_at
                     from api_keys where community_id = $1 order by created_at desc, key_id"#,
                self.community.uuid()
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Revokes a key of this community. False when it has no such key, or the key is revoked already.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn revoke_api_key(&mut self, id: Uuid, by: &str) -> Result<bool, DbError> {
        let done = named!(
            "api_key.revoke",
            sqlx::query!(
                "update api_keys set revoked_at = now(), revoked_by = $3
                  where community_id = $1 and key_id = $2 and revoked_at is null",
                self.community.uuid(),
                id,
                by
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() > 0)
    }
}

/// Keys of the platform. The transaction must have the admin login ([`Admin::database`]); PostgreSQL refuses the application's.
impl GlobalTx {
    /// Stores a key that is valid for all communities.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn create_platform_api_key(&mut self, key: &NewApiKey<'_>) -> Result<(), DbError> {
        named!(
            "platform_api_key.create",
            sqlx::query!(
                "insert into platform_api_keys (key_id, name, prefix, secret_hash, scopes, created_by, expires_at, user_id)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
                key.id,
                key.name,
                key.prefix,
                key.hash.as_slice(),
                &scope_texts(key.scopes),
                key.created_by,
                key.expires_at,
                key.user.map(UserId::stored)
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The keys that are valid for all communities, the newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn platform_api_keys(&mut self) -> Result<Vec<ApiKey>, DbError> {
        let rows = named!(
            "platform_api_key.list",
            sqlx::query_as!(
                Row,
                r#"select key_id, null::uuid as "community_id?", name, prefix, scopes, created_by, user_id, created_at, expires_at, revoked_at,
                          last_used_at
                     from platform_api_keys order by created_at desc, key_id"#
            )
            .fetch_all(&mut *self.transaction)
        )?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Revokes a key that is valid for all communities. False when there is no such key, or it is revoked already.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn revoke_platform_api_key(&mut self, id: Uuid, by: &str) -> Result<bool, DbError> {
        let done = named!(
            "platform_api_key.revoke",
            sqlx::query!(
                "update platform_api_keys set revoked_at = now(), revoked_by = $2 where key_id = $1 and revoked_at is null",
                id,
                by
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(done.rows_affected() > 0)
    }
}

impl GlobalTx {
    /// Revokes the keys that belong to this user, in every community and those for all communities; returns how many. Needs the admin login.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn revoke_api_keys_of(&mut self, user: UserId, by: &str) -> Result<u64, DbError> {
        let of_communities = named!(
            "api_key.revoke_of_user",
            sqlx::query!(
                "update api_keys set revoked_at = now(), revoked_by = $2 where user_id = $1 and revoked_at is null",
                user.stored(),
                by
            )
            .execute(&mut *self.transaction)
        )?;
        let of_platform = named!(
            "platform_api_key.revoke_of_user",
            sqlx::query!(
                "update platform_api_keys set revoked_at = now(), revoked_by = $2 where user_id = $1 and revoked_at is null",
                user.stored(),
                by
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(of_communities.rows_affected() + of_platform.rows_affected())
    }
}

impl Admin {
    /// The valid keys that belong to this user, in every community and those for all communities, the newest first.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, DbError> {
        let mut connection = self.database().connection("api_key.of_user").await?;
        let rows = named!(
            "api_key.of_user",
            sqlx::query_as!(
                Row,
                r#"select key_id as "key_id!", community_id as "community_id?", name as "name!", prefix as "prefix!", scopes as "scopes!",
                          created_by as "created_by!", user_id, created_at as "created_at!", expires_at as "expires_at!", revoked_at, last_used_at
                     from api_keys where user_id = $1 and revoked_at is null and expires_at > now()
                   union all
                   select key_id, null, name, prefix, scopes, created_by, user_id, created_at, expires_at, revoked_at, last_used_at
                     from platform_api_keys where user_id = $1 and revoked_at is null and expires_at > now()
                    order by 1 desc"#,
                user.stored()
            )
            .fetch_all(&mut *connection)
        )?;
        connection.release();
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// The key with this hash, valid or not.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn api_key_by_hash(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, DbError> {
        let mut connection = self.database().connection("api_key.by_hash").await?;
        let row = named!(
            "api_key.by_hash",
            sqlx::query_as!(
                Row,
                r#"select key_id as "key_id!", community_id as "community_id?", name as "name!", prefix as "prefix!", scopes as "scopes!",
                          created_by as "created_by!", user_id, created_at as "created_at!", expires_at as "expires_at!", revoked_at, last_used_at
                     from api_keys where secret_hash = $1
                   union all
                   select key_id, null, name, prefix, scopes, created_by, user_id, created_at, expires_at, revoked_at, last_used_at
                     from platform_api_keys where secret_hash = $1"#,
                hash.as_slice()
            )
            .fetch_optional(&mut *connection)
        )?;
        connection.release();
        row.map(ApiKey::try_from).transpose()
    }

    /// Whether a key that was read before is neither revoked nor expired now, by the clock of the database.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn api_key_is_valid(&self, key: &ApiKey) -> Result<bool, DbError> {
        let mut connection = self.database().connection("api_key.is_valid").await?;
        let valid = named!(
            "api_key.is_valid",
            sqlx::query_scalar!(
                r#"select exists (select from api_keys
                                   where community_id = $1 and key_id = $2 and revoked_at is null and expires_at > now())
                       or exists (select from platform_api_keys
                                   where $1::uuid is null and key_id = $2 and revoked_at is null and expires_at > now())
                       as "valid!""#,
                key.community.map(CommunityId::uuid),
                key.id
            )
            .fetch_one(&mut *connection)
        )?;
        connection.release();
        Ok(valid)
    }

    /// Records that a key was used, unless that was recorded within the last hour.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn record_api_key_use(&self, key: &ApiKey, now: OffsetDateTime) -> Result<(), DbError> {
        if key.last_used_at.is_some_and(|last| now < last + LAST_USED_ACCURACY) {
            return Ok(());
        }
        let mut connection = self.database().connection("api_key.record_use").await?;
        let community = key.community.map(CommunityId::uuid);
        named!(
            "api_key.record_use",
            sqlx::query!(
                "with used as (update api_keys set last_used_at = $3 where community_id = $1 and key_id = $2)
                 update platform_api_keys set last_used_at = $3 where $1::uuid is null and key_id = $2",
                community,
                key.id,
                now
            )
            .execute(&mut *connection)
        )?;
        connection.release();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_round_trip() {
        for scope in ApiKeyScope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert!("users:all".parse::<ApiKeyScope>().is_err());
    }
}
