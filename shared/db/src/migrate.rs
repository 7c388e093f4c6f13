//! Migrations, and whether a database has had them. How to write the next one: `migrations/README.md`.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::login::{self, Purpose};
use crate::pool::Pool;
use crate::{DbError, catalogue, measure::named};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long a check at the start may wait for a connection.
pub(crate) const CHECK_WITHIN: Duration = Duration::from_secs(3);

/// Key of the advisory lock that one migrates under while others wait: "arrakis" in ASCII, so that whoever finds it in
/// `pg_locks` can read it.
const LOCK: i64 = 0x0061_7272_616b_6973;

/// What `migrate` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema before; 0 for an empty database.
    pub from: i64,
    /// Version of the schema now.
    pub to: i64,
}

/// Brings the database of `owner_url` up to this build's schema. Safe to run again, and by several at once: an advisory lock
/// lets one work while the others wait.
///
/// # Errors
/// When a login is missing, a migration fails (it is rolled back), or one that was applied has been edited since.
pub async fn migrate(owner_url: &str) -> Result<Migrated, DbError> {
    let options: PgConnectOptions = owner_url.parse().map_err(|e| DbError::new("schema.connect", e))?;
    migrate_with(&options.disable_statement_logging()).await
}

pub(crate) async fn migrate_with(options: &PgConnectOptions) -> Result<Migrated, DbError> {
    let mut owner = named!("schema.connect", options.connect())?;
    check_logins(&mut owner).await?;
    login::check(&mut owner, Purpose::Owner).await?;
    // Held until this connection ends. sqlx's own lock covers the migrations alone, and two grants on one table at one
    // moment fail as "tuple concurrently updated".
    named!(
        "schema.lock",
        sqlx::query("select pg_advisory_lock($1)")
            .bind(LOCK)
            .execute(&mut owner)
    )?;
    let from = latest_applied(&mut owner).await?;
    MIGRATOR.run(&mut owner).await.map_err(explain)?;
    // sqlx's own table is made before the first migration runs and belongs to none of them.
    named!(
        "schema.grant",
        sqlx::raw_sql("grant select on _sqlx_migrations to arrakis_app, arrakis_admin").execute(&mut owner)
    )?;
    close_database(&mut owner).await?;
    let to = latest_applied(&mut owner).await?;
    named!("schema.close", owner.close())?;
    Ok(Migrated { from, to })
}

/// Takes from everybody what Postgres gives everybody in a new database: temporary tables, which row-level security does not
/// reach and which fill the disk. Not a migration: a copy and a restored dump of a database have no privileges of the original.
pub(crate) async fn close_database(owner: &mut PgConnection) -> Result<(), DbError> {
    named!(
        "schema.close_database",
        sqlx::raw_sql(
            "do $$ begin
                execute format('revoke temporary, create on database %I from public', current_database());
             end $$"
        )
        .execute(&mut *owner)
    )?;
    // REVOKE by somebody who may not is a warning and no error.
    let open: bool = named!(
        "schema.is_closed",
        sqlx::query_scalar(
            "select has_database_privilege('arrakis_app', current_database(), 'temporary')
                 or has_database_privilege('arrakis_app', current_database(), 'create')"
        )
        .fetch_one(owner)
    )?;
    if open {
        return Err(DbError::Schema(
            "arrakis_app may still make temporary tables or schemas in this database, and the login of DATABASE_OWNER_URL cannot \
             take that right away, since it does not own the database: let its owner run `alter database … owner to arrakis_owner` \
             and migrate again"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Version of the newest migration of this build.
#[must_use]
pub fn newest_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// A short text that changes whenever a migration does: names the template of test databases.
#[must_use]
pub fn fingerprint() -> String {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a: stable across builds, and nothing rests on its strength.
    for byte in MIGRATOR.iter().flat_map(|migration| migration.checksum.iter()) {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{sum:016x}")
}

/// Refuses a database that this build cannot serve: not migrated far enough, or with a tenant table that row-level security
/// does not protect. A newer schema is accepted, since a migration comes before its deploy.
///
/// # Errors
/// [`DbError::Schema`] with what to do.
pub(crate) async fn check_schema(pool: &Pool) -> Result<(), DbError> {
    let mut connection = pool
        .acquire(CHECK_WITHIN)
        .await
        .map_err(|e| DbError::new("schema.connect", e))?;
    let applied = latest_applied(&mut connection).await?;
    let needed = newest_version();
    if applied < needed {
        return Err(DbError::Schema(format!(
            "the database is at version {applied} of its schema and this build needs {needed}: run `arrakis-worker migrate` \
             with DATABASE_OWNER_URL set"
        )));
    }
    let unprotected = catalogue::unprotected_tables(&mut connection).await?;
    if unprotected.is_empty() {
        connection.done();
        return Ok(());
    }
    let list = unprotected
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    Err(DbError::Schema(format!(
        "tenants are not kept apart in this database: {list}"
    )))
}

async fn latest_applied(connection: &mut PgConnection) -> Result<i64, DbError> {
    let known: bool = named!(
        "schema.known",
        sqlx::query_scalar(
            // Not to_regclass: before the first migration a login may lack the right to look into the schema.
            "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                             where n.nspname = 'public' and c.relname = '_sqlx_migrations')"
        )
        .fetch_one(&mut *connection)
    )?;
    if !known {
        return Ok(0);
    }
    named!(
        "schema.version",
        sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(connection)
    )
}

async fn check_logins(owner: &mut PgConnection) -> Result<(), DbError> {
    let missing: Vec<String> = named!(
        "schema.logins",
        sqlx::query_scalar(
            "select login from unnest(array['arrakis_app', 'arrakis_admin']) as login
              where not exists (select from pg_roles where rolname = login)"
        )
        .fetch_all(owner)
    )?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(DbError::Schema(format!(
        "the database server has no login {}: make the three logins first, as shared/db/migrations/README.md shows",
        missing.join(", ")
    )))
}

fn explain(error: MigrateError) -> DbError {
    match error {
        MigrateError::VersionMismatch(version) => DbError::Schema(format!(
            "migration {version} was edited after it had been applied here: restore its file and write a new migration"
        )),
        MigrateError::VersionMissing(version) => DbError::Schema(format!(
            "this database has had migration {version}, which this build does not know: use the build that brought it, or newer"
        )),
        MigrateError::Execute(source) => DbError::new("schema.migrate", source),
        MigrateError::ExecuteMigration(source, version) => {
            DbError::Schema(format!("migration {version} failed and was rolled back: {source}"))
        }
        other => DbError::Schema(format!("the database cannot be migrated: {other}")),
    }
}
