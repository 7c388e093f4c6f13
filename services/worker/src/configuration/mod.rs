//! The running configuration of a community: its versions in PostgreSQL and their shadows in the object store.
//!
//! | file | what |
//! |---|---|
//! | `shadow.rs` | a shadow: a version as an object, with its checksum |
//! | `store.rs` | [`ShadowStore`]: writes and reads shadows, with all checks |
//! | `drift.rs` | the comparison of three: the version, its shadow, the server |
//!
//! `record` adds a version in the transaction of a change; `leader/configurations.rs` writes what the store lacks, and compares. A change that
//! calls it nowhere is recorded by the leader within minutes.

mod drift;
mod shadow;
mod store;

use arrakis_db::{
    Actor, Community, CommunityId, ConfigurationVersion, Database, DbError, GuildId, TenantTx, VersionCause,
};
use arrakis_domain::Theme;
use arrakis_themes::Registry;

pub use self::drift::ConfigurationDrift;
pub(crate) use self::drift::{changed_settings, three_way};
pub(crate) use self::shadow::Shadow;
pub(crate) use self::store::ShadowError;
pub use self::store::ShadowStore;

/// Records the configuration of the transaction's community as a new version, unless it is that of the newest version. To be called at the end
/// of the transaction that changed it. Locks the community's row. Returns the number of a new version.
///
/// # Errors
/// If Postgres is unavailable.
pub(crate) async fn record(
    tx: &mut TenantTx,
    themes: &Registry,
    cause: VersionCause<'_>,
) -> Result<Option<u32>, DbError> {
    record_by(tx, themes, cause, None).await
}

/// As [`record`], always, with a number greater than `above`.
///
/// # Errors
/// As there.
pub(crate) async fn record_above(
    tx: &mut TenantTx,
    themes: &Registry,
    cause: VersionCause<'_>,
    above: u32,
) -> Result<Option<u32>, DbError> {
    record_by(tx, themes, cause, Some(above)).await
}

async fn record_by(
    tx: &mut TenantTx,
    themes: &Registry,
    cause: VersionCause<'_>,
    above: Option<u32>,
) -> Result<Option<u32>, DbError> {
    let Some(record) = locked(tx).await? else {
        return Ok(None);
    };
    let theme = themes.theme(record.theme.as_str()).ok();
    let running = tx.running_configuration(&record, theme.map(|theme| &**theme)).await?;
    tx.configuration_versions().record(&running, cause, above).await
}

/// As [`record`], of a community that has this theme.
///
/// # Errors
/// As there.
pub(crate) async fn record_with_theme(
    tx: &mut TenantTx,
    theme: &Theme,
    cause: VersionCause<'_>,
) -> Result<Option<u32>, DbError> {
    let Some(record) = locked(tx).await? else {
        return Ok(None);
    };
    let running = tx.running_configuration(&record, Some(theme)).await?;
    tx.configuration_versions().record(&running, cause, None).await
}

/// The community, whose row is locked: two versions at once would have one number.
async fn locked(tx: &mut TenantTx) -> Result<Option<Community>, DbError> {
    if !tx.communities().lock().await? {
        return Ok(None);
    }
    tx.communities().get().await
}

/// The name of an actor, as versions have it.
pub(crate) fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Member(user) => user.to_string(),
        Actor::Operator(name) | Actor::System(name) => name.clone(),
    }
}

/// Why a version and its shadow could not be compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// The row could not be read, or is corrupt.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ShadowError),
}

/// How often the row is read again because it has changed during the comparison.
const MAX_READS: u32 = 5;

/// Compares the newest version of a community with its shadow. `Ok(Some)` is what differs; a version that is to be written is no difference.
///
/// Row and store are not read at once: another process may record and write a version between them. A difference counts only if the row is
/// the same after it was found.
///
/// # Errors
/// If database or store cannot be used, or the row is corrupt.
pub(crate) async fn compare(
    database: &Database,
    store: &ShadowStore,
    server: GuildId,
    community: CommunityId,
) -> Result<Option<String>, CompareError> {
    let mut latest = latest_version(database, community).await?;
    for _ in 0..MAX_READS {
        let problem = match compare_shadow(store, server, latest.as_ref()).await {
            Ok(None) => return Ok(None),
            Ok(Some(problem)) => problem,
            Err(error) if error.is_of_store() => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        let present = latest_version(database, community).await?;
        if present == latest {
            return Ok(Some(problem));
        }
        latest = present;
    }
    // It changes all the time; the next comparison follows.
    Ok(None)
}

/// Objects of a server in the store that are no versions of its configuration.
///
/// # Errors
/// If database or store cannot be used.
pub(crate) async fn foreign_objects(
    database: &Database,
    store: &ShadowStore,
    server: GuildId,
    community: CommunityId,
) -> Result<Vec<String>, CompareError> {
    let mut tx = database.tenant(community).await?;
    let known = tx.configuration_versions().newest().await?;
    tx.commit().await?;
    Ok(store.foreign(server, known).await?)
}

async fn latest_version(database: &Database, community: CommunityId) -> Result<Option<ConfigurationVersion>, DbError> {
    let mut tx = database.tenant(community).await?;
    let latest = tx.configuration_versions().latest().await?;
    tx.commit().await?;
    Ok(latest)
}

async fn compare_shadow(
    store: &ShadowStore,
    server: GuildId,
    latest: Option<&ConfigurationVersion>,
) -> Result<Option<String>, ShadowError> {
    let number = latest.map_or(0, |latest| latest.version);
    let pointer = store.pointer(server).await?;
    let named = pointer.map_or(0, |pointer| pointer.version);
    if named > number {
        return Ok(Some(format!(
            "the store has version {named}, and the database {number}: the database is older than the store; `arrakis-worker configurations \
             record {server}` makes the database's configuration the newest"
        )));
    }
    if let (Some(pointer), Some(latest)) = (pointer, latest)
        && pointer.version == number
        && pointer.checksum != latest.checksum
    {
        return Ok(Some(format!(
            "version {number} has another configuration in the store than in the database; `arrakis-worker configurations record {server}` \
             makes the database's the newest"
        )));
    }
    if latest.is_none_or(|latest| latest.shadowed_at.is_none()) {
        return Ok(None);
    }
    if named < number {
        return Ok(Some(format!(
            "latest.json names version {named}, and {number} was written"
        )));
    }
    // The pointer names it: what is left is to read it.
    store.latest(server).await.map(|_| None)
}
