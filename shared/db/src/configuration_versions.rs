//! Versions of the running configuration of a community, and their shadows in the object store.
//!
//! A version is recorded in the transaction of the change. Until the store has it, its row is also the request to write it: a worker that
//! dies loses none. The newest versions are kept here; the store has all.

use arrakis_domain::Theme;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::checksum::Checksum;
use crate::column::Column;
use crate::{Community, CommunityConfiguration, CommunityId, DbError, GlobalTx, GuildId, TenantTx, named_query::named};

/// Versions of a community that are kept in the database once the store has them.
pub const VERSIONS_KEPT: u32 = 20;
/// Largest number of a version. A larger one is of no version: with a change each second, it is reached after 31 years.
pub const MAX_VERSION: u32 = 1_000_000_000;
/// [`MAX_VERSION`] as the column stores it. Rows above it, which builds before recorded above foreign objects of the store, are not read.
const MAX_STORED: i32 = 1_000_000_000;
/// Problems of shadows that are stored by name.
pub const PROBLEMS_NAMED: usize = 20;

/// The running configuration of a community, with the state of its server: all that a lost database needs to manage the server again,
/// beside members and identities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningConfiguration {
    /// The Discord server.
    #[serde(with = "as_text")]
    pub server: GuildId,
    /// The community.
    pub community: CommunityId,
    /// Its plan.
    pub plan: String,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub onboarded_at: OffsetDateTime,
    /// Set while it is frozen.
    pub frozen: Option<FrozenConfiguration>,
    /// Its configuration.
    pub configuration: CommunityConfiguration,
    /// The state of its server as code; `None` before its first write.
    pub state: Option<Value>,
}

/// A freeze of a community.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenConfiguration {
    /// The reason.
    pub reason: String,
    /// Discord id of the admin who alone controls the community after a takeover.
    pub controlled_by: Option<String>,
}

impl RunningConfiguration {
    /// The configuration as JSON, the same for equal configurations.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Structs with text keys: serde_json cannot fail on them.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// The reason, when it is not JSON of this form.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// A version of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationVersion {
    /// Its number, from 1.
    pub version: u32,
    /// What changed the configuration: `theme`, `gates`, `apply`, …
    pub cause: String,
    /// The member, operator or part of the platform that changed it.
    pub recorded_by: String,
    /// When it was recorded, in whole microseconds.
    pub recorded_at: OffsetDateTime,
    /// The configuration, as [`RunningConfiguration::to_json`].
    pub content: String,
    /// Checksum of the content.
    pub checksum: Checksum,
    /// When the store had it; `None` before.
    pub shadowed_at: Option<OffsetDateTime>,
}

/// What a version is recorded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionCause<'a> {
    /// What changed the configuration, in lower case with dashes.
    pub cause: &'a str,
    /// Who changed it.
    pub by: &'a str,
    /// The present time.
    pub at: OffsetDateTime,
}

/// A shadow that is damaged or differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowProblem {
    /// The Discord server.
    pub server: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Result of a comparison of versions with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowHealth {
    /// When it was made.
    pub checked_at: OffsetDateTime,
    /// Versions that the store does not have.
    pub pending: u32,
    /// Shadows that are damaged or differ: the first [`PROBLEMS_NAMED`].
    pub problems: Vec<ShadowProblem>,
    /// Number of all of them.
    pub problem_count: u32,
    /// Why the store could not be used.
    pub error: Option<String>,
}

/// Queries about the versions of a community's configuration.
#[derive(Debug)]
pub struct ConfigurationVersions<'a> {
    connection: &'a mut PgConnection,
    community: CommunityId,
}

struct Row {
    version: i32,
    cause: String,
    recorded_by: String,
    recorded_at: OffsetDateTime,
    content: String,
    checksum: Vec<u8>,
    shadowed_at: Option<OffsetDateTime>,
}

impl TryFrom<Row> for ConfigurationVersion {
    type Error = DbError;

    fn try_from(row: Row) -> Result<Self, DbError> {
        let column = |name| Column("configuration_versions", name);
        let checksum = Checksum::stored(column("checksum"), &row.checksum)?;
        if Checksum::of_text(&row.content) != checksum {
            return Err(column("content").corrupt(&row.content, "it has another checksum than the row"));
        }
        Ok(Self {
            version: column("version").count(i64::from(row.version))?,
            cause: row.cause,
            recorded_by: row.recorded_by,
            recorded_at: row.recorded_at,
            content: row.content,
            checksum,
            shadowed_at: row.shadowed_at,
        })
    }
}

impl TenantTx {
    /// Queries about the versions of the community's configuration.
    pub fn configuration_versions(&mut self) -> ConfigurationVersions<'_> {
        ConfigurationVersions {
            community: self.community,
            connection: &mut self.transaction,
        }
    }

    /// Sets when the community was created, for one that is rebuilt.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn restore_onboarded_at(&mut self, at: OffsetDateTime) -> Result<(), DbError> {
        named!(
            "community.restore_onboarded_at",
            sqlx::query!(
                "update communities set onboarded_at = $2 where community_id = $1",
                self.community.uuid(),
                at
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The running configuration of the community `record`. `theme` is its theme, if it exists.
    ///
    /// # Errors
    /// When the database is unavailable or a row is corrupt.
    pub async fn running_configuration(
        &mut self,
        record: &Community,
        theme: Option<&Theme>,
    ) -> Result<RunningConfiguration, DbError> {
        let names = crate::ServerNames::default();
        Ok(RunningConfiguration {
            server: record.guild,
            community: record.id,
            plan: record.plan.as_str().to_owned(),
            onboarded_at: record.onboarded_at,
            frozen: record.frozen.as_ref().map(|frozen| FrozenConfiguration {
                reason: frozen.reason.clone(),
                controlled_by: record.controlled_by.map(|user| user.to_string()),
            }),
            configuration: self.configuration(record, theme, &names).await?,
            state: self.server_state().get().await?,
        })
    }
}

impl ConfigurationVersions<'_> {
    /// The newest version; `None` before the first one.
    ///
    /// # Errors
    /// When the database is unavailable, or the content does not have its checksum.
    pub async fn latest(&mut self) -> Result<Option<ConfigurationVersion>, DbError> {
        let row = self.latest_row().await?;
        row.map(ConfigurationVersion::try_from).transpose()
    }

    /// The number of the newest version, also of one whose content is damaged; 0 before the first one.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn newest(&mut self) -> Result<u32, DbError> {
        match self.latest_row().await? {
            Some(row) => Column("configuration_versions", "version").count(i64::from(row.version)),
            None => Ok(0),
        }
    }

    async fn latest_row(&mut self) -> Result<Option<Row>, DbError> {
        named!(
            "configuration_version.latest",
            sqlx::query_as!(
                Row,
                "select version, cause, recorded_by, recorded_at, content, checksum, shadowed_at
                   from configuration_versions where community_id = $1 and version <= $2 order by version desc limit 1",
                self.community.uuid(),
                MAX_STORED
            )
            .fetch_optional(&mut *self.connection)
        )
    }

    /// Records a configuration as the next version, unless it equals the newest one. With `above` it is always recorded, with a number
    /// greater than that. Returns the number of a new version. The caller holds the lock of the community
    /// ([`crate::Communities::lock`]).
    ///
    /// # Errors
    /// When the database is unavailable, or the number would be above [`MAX_VERSION`].
    pub async fn record(
        &mut self,
        configuration: &RunningConfiguration,
        cause: VersionCause<'_>,
        above: Option<u32>,
    ) -> Result<Option<u32>, DbError> {
        let content = configuration.to_json();
        let latest = self.latest_row().await?;
        let newest: u32 = match &latest {
            Some(row) => Column("configuration_versions", "version").count(i64::from(row.version))?,
            None => 0,
        };
        // A damaged row equals no configuration: the next version replaces it, and the change that records one does not fail.
        let latest = latest.and_then(|row| ConfigurationVersion::try_from(row).ok());
        if above.is_none() && latest.is_some_and(|latest| latest.content == content) {
            return Ok(None);
        }
        let version = newest.max(above.unwrap_or(0)).saturating_add(1);
        let new = ConfigurationVersion {
            version,
            cause: cause.cause.to_owned(),
            recorded_by: cause.by.chars().take(200).collect(),
            recorded_at: cause.at,
            checksum: Checksum::of_text(&content),
            content,
            shadowed_at: None,
        };
        self.put(&new).await?;
        Ok(Some(version))
    }

    /// Stores a version with its number.
    ///
    /// # Errors
    /// A conflict when there is a version of this number. A number above [`MAX_VERSION`] is refused.
    pub async fn put(&mut self, new: &ConfigurationVersion) -> Result<(), DbError> {
        let version = stored(new.version)?;
        named!(
            "configuration_version.put",
            sqlx::query!(
                "insert into configuration_versions (community_id, version, cause, recorded_by, recorded_at, content, checksum,
                                                     shadowed_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
                self.community.uuid(),
                version,
                new.cause,
                new.recorded_by,
                new.recorded_at,
                new.content,
                new.checksum.as_bytes(),
                new.shadowed_at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// The versions that the store does not have, the oldest first; at most `limit`.
    ///
    /// # Errors
    /// When the database is unavailable, or a content does not have its checksum.
    pub async fn to_shadow(&mut self, limit: u32) -> Result<Vec<ConfigurationVersion>, DbError> {
        let rows = named!(
            "configuration_version.to_shadow",
            sqlx::query_as!(
                Row,
                "select version, cause, recorded_by, recorded_at, content, checksum, shadowed_at
                   from configuration_versions
                  where community_id = $1 and shadowed_at is null and version <= $3 order by version limit $2",
                self.community.uuid(),
                i64::from(limit),
                MAX_STORED
            )
            .fetch_all(&mut *self.connection)
        )?;
        rows.into_iter().map(ConfigurationVersion::try_from).collect()
    }

    /// Records that the store has a version.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn mark_shadowed(&mut self, version: u32, at: OffsetDateTime) -> Result<(), DbError> {
        let version = stored(version)?;
        named!(
            "configuration_version.mark_shadowed",
            sqlx::query!(
                "update configuration_versions set shadowed_at = $3
                  where community_id = $1 and version = $2 and shadowed_at is null",
                self.community.uuid(),
                version,
                at
            )
            .execute(&mut *self.connection)
        )?;
        Ok(())
    }

    /// Deletes the versions that the store does not have: it has others of these numbers. Also rows above [`MAX_VERSION`], after which no number is
    /// left.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn delete_unshadowed(&mut self) -> Result<u64, DbError> {
        let done = named!(
            "configuration_version.delete_unshadowed",
            sqlx::query!(
                "delete from configuration_versions where community_id = $1 and (shadowed_at is null or version > $2)",
                self.community.uuid(),
                MAX_STORED
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }

    /// Deletes versions but the newest [`VERSIONS_KEPT`]; `only_shadowed`: of those that the store has.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn prune(&mut self, only_shadowed: bool) -> Result<u64, DbError> {
        let done = named!(
            "configuration_version.prune",
            sqlx::query!(
                "delete from configuration_versions
                  where community_id = $1 and (shadowed_at is not null or not $3)
                    and version <= (select max(version) from configuration_versions
                                     where community_id = $1 and version <= $4) - $2::integer",
                self.community.uuid(),
                i32::try_from(VERSIONS_KEPT).unwrap_or(i32::MAX),
                only_shadowed,
                MAX_STORED
            )
            .execute(&mut *self.connection)
        )?;
        Ok(done.rows_affected())
    }
}

impl GlobalTx {
    /// Stores the result of a comparison of versions with the store.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub async fn put_shadow_health(&mut self, health: &ShadowHealth) -> Result<(), DbError> {
        let problems = serde_json::to_value(&health.problems)
            .map_err(|error| DbError::new("configuration_shadow_health.put", sqlx::Error::Encode(error.into())))?;
        named!(
            "configuration_shadow_health.put",
            sqlx::query!(
                "insert into configuration_shadow_health (checked_at, pending, problems, problem_count, error)
                 values ($1, $2, $3, $4, $5)
                 on conflict (singleton) do update
                    set checked_at = excluded.checked_at, pending = excluded.pending, problems = excluded.problems,
                        problem_count = excluded.problem_count, error = excluded.error",
                health.checked_at,
                i32::try_from(health.pending).unwrap_or(i32::MAX),
                problems,
                i32::try_from(health.problem_count).unwrap_or(i32::MAX),
                health.error
            )
            .execute(&mut *self.transaction)
        )?;
        Ok(())
    }

    /// The result of the last comparison; `None` before the first one.
    ///
    /// # Errors
    /// When the database is unavailable or the row is corrupt.
    pub async fn shadow_health(&mut self) -> Result<Option<ShadowHealth>, DbError> {
        let row = named!(
            "configuration_shadow_health.get",
            sqlx::query!("select checked_at, pending, problems, problem_count, error from configuration_shadow_health")
                .fetch_optional(&mut *self.transaction)
        )?;
        let column = |name| Column("configuration_shadow_health", name);
        row.map(|row| {
            let problems = serde_json::from_value(row.problems);
            Ok(ShadowHealth {
                checked_at: row.checked_at,
                pending: column("pending").count(i64::from(row.pending))?,
                problems: problems.map_err(|why| column("problems").corrupt("an array", why))?,
                problem_count: column("problem_count").count(i64::from(row.problem_count))?,
                error: row.error,
            })
        })
        .transpose()
    }
}

/// The number of a version, as the column stores it.
fn stored(version: u32) -> Result<i32, DbError> {
    let number = i32::try_from(version).ok().filter(|number| *number <= MAX_STORED);
    number.ok_or_else(|| {
        let reason = format!("it is above {MAX_VERSION}, the largest number of a version");
        Column("configuration_versions", "version").corrupt(version, reason)
    })
}

/// An id as text: JSON's numbers have 53 bits in many readers.
mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::GuildId;

    pub(super) fn serialize<S: Serializer>(id: &GuildId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GuildId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
