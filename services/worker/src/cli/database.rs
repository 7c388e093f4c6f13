//! The database with the application's login, for operators' tasks.

use anyhow::Context as _;
use arrakis_config::{Reader, Secret, variables};
use arrakis_db::{CommunityId, Database, DatabaseOptions, DbError, GuildId};

/// Connections of a task: it makes one query at a time.
const MAX_CONNECTIONS: u32 = 2;

/// Reads `DATABASE_URL`.
pub(super) fn database_url(reader: &mut Reader) -> Option<Secret> {
    reader.secret_url(&variables::DATABASE_URL, &["postgres", "postgresql"])
}

/// Connects, and checks the schema.
pub(super) async fn connect(url: &Secret) -> Result<Database, DbError> {
    let options = DatabaseOptions {
        application_name: "arrakis-worker tool",
        max_connections: MAX_CONNECTIONS,
        ..DatabaseOptions::default()
    };
    Database::connect(url, options).await
}

/// The community of a Discord server.
///
/// # Errors
/// If the server has none, or the database is unavailable.
pub(super) async fn community_of(database: &Database, guild: GuildId) -> anyhow::Result<CommunityId> {
    let community = database.route(guild).await?;
    community
        .with_context(|| format!("the server {guild} has no community; an admin of the server sets it up by /onboard"))
}
