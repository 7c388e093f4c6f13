//! Applies migrations and checks a database's schema version. How to write a migration: `migrations/README.md`.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::error::with_address;
use crate::login::{self, Purpose};
use crate::pool::{Pool, STARTUP_CHECK_TIMEOUT};
use crate::{DbError, catalogue, named_query::named};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Key of the advisory lock of the process that migrates: "arrakis" in ASCII, so that it is recognised in `pg_locks`.
const LOCK: i64 = 0x0061_7272_616b_6973;

/// Schema versions before and after [`migrate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationSummary {
    /// Version before; 0 for an empty database.
    pub from: i64,
    /// Version now.
    pub to: i64,
}

/// Applies the migrations that the database of `owner_url` lacks. Safe to repeat and to run concurrently: an advisory lock
/// makes all but one process wait.
///
/// # Errors
/// When a login is missing, a migration fails (it is rolled back), or one that was applied has been edited since.
pub async fn migrate(owner_url: &str) -> Result<MigrationSummary, DbError> {
    let options: PgConnectOptions = owner_url.parse().map_err(|e| DbError::new("schema.connect", e))?;
    migrate_with(&options.disable_statement_logging()).await
}

pub(crate) async fn migrate_with(options: &PgConnectOptions) -> Result<MigrationSummary, DbError> {
    let connect = async { options.connect().await.map_err(|error| with_address(options, error)) };
    let mut owner = named!("schema.connect", connect)?;
    check_logins(&mut owner).await?;
    login::check(&mut owner, Purpose::Owner).await?;
    // Held until this connection is closed. sqlx's own lock covers the migrations alone, and two concurrent grants on one
    // table fail with "tuple concurrently updated".
    named!(
        "schema.lock",
        sqlx::query("select pg_advisory_lock($1)")
            .bind(LOCK)
            .execute(&mut owner)
    )?;
    let from = latest_applied(&mut owner).await?;
    MIGRATOR.run(&mut owner).await.map_err(explain)?;
    // sqlx creates this table before the first migration, so no migration grants rights on it.
    named!(
        "schema.grant",
        sqlx::raw_sql("grant select on _sqlx_migrations to arrakis_app, arrakis_admin").execute(&mut owner)
    )?;
    revoke_public_rights(&mut owner).await?;
    let to = latest_applied(&mut owner).await?;
    named!("schema.close", owner.close())?;
    Ok(MigrationSummary { from, to })
}

/// Revokes from PUBLIC the right to create temporary tables and schemas, which PostgreSQL grants in a new database:
/// row-level security does not apply to temporary tables, and they fill the disk. Not a migration: a copy or a restored
/// dump of a database does not have the privileges of the original.
pub(crate) async fn revoke_public_rights(owner: &mut PgConnection) -> Result<(), DbError> {
    named!(
        "schema.revoke_public_rights",
        sqlx::raw_sql(
            "do $$ begin
                execute format('revoke temporary, create on database %I from public', current_database());
             end $$"
        )
        .execute(&mut *owner)
    )?;
    // REVOKE without the right to it is a warning and not an error.
    let granted: bool = named!(
        "schema.public_rights",
        sqlx::query_scalar(
            "select has_database_privilege('arrakis_app', current_database(), 'temporary')
                 or has_database_privilege('arrakis_app', current_database(), 'create')"
        )
        .fetch_one(owner)
    )?;
    if granted {
        return Err(DbError::Schema(
            "arrakis_app may create temporary tables or schemas in this database, and the login of DATABASE_OWNER_URL cannot revoke \
             that right because it does not own the database: run `alter database … owner to arrakis_owner` as its owner, then \
             migrate again"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Version of the newest migration of this build.
#[must_use]
pub fn newest_schema_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// A hash of all migrations in hex; it names the template of test databases.
#[must_use]
pub fn schema_fingerprint() -> String {
    // FNV-1a: stable across builds; it need not be cryptographic.
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in MIGRATOR.iter().flat_map(|migration| migration.checksum.iter()) {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{sum:016x}")
}

/// Refuses a database whose schema version is older than this build needs, or that has a tenant table which row-level
/// security does not protect. A newer schema is accepted: migrations are applied before a deploy.
///
/// # Errors
/// [`DbError::Schema`] with the remedy.
pub(crate) async fn check_schema(pool: &Pool) -> Result<(), DbError> {
    let mut connection = pool
        .acquire(STARTUP_CHECK_TIMEOUT)
        .await
        .map_err(|e| DbError::new("schema.connect", e))?;
    let applied = latest_applied(&mut connection).await?;
    let needed = newest_schema_version();
    if applied < needed {
        return Err(DbError::Schema(format!(
            "the database has schema version {applied} and this build needs {needed}: run `arrakis-worker migrate` with \
             DATABASE_OWNER_URL set"
        )));
    }
    let unprotected = catalogue::unprotected_tables(&mut connection).await?;
    if unprotected.is_empty() {
        connection.release();
        return Ok(());
    }
    let list = unprotected
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    Err(DbError::Schema(format!(
        "tenant tables are not protected in this database: {list}"
    )))
}

async fn latest_applied(connection: &mut PgConnection) -> Result<i64, DbError> {
    let has_migrations: bool = named!(
        "schema.has_migrations",
        sqlx::query_scalar(
            // Not to_regclass: before the first migration a login may lack the right to use the schema.
            "select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                             where n.nspname = 'public' and c.relname = '_sqlx_migrations')"
        )
        .fetch_one(&mut *connection)
    )?;
    if !has_migrations {
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
        "the database server has no login {}: create the three logins first, see shared/db/migrations/README.md",
        missing.join(", ")
    )))
}

fn explain(error: MigrateError) -> DbError {
    match error {
        MigrateError::VersionMismatch(version) => DbError::Schema(format!(
            "migration {version} was edited after it was applied here: restore its file and write a new migration"
        )),
        MigrateError::VersionMissing(version) => DbError::Schema(format!(
            "migration {version} was applied to this database and is not in this build: use the build that contains it, or a newer one"
        )),
        MigrateError::Execute(source) => DbError::new("schema.migrate", source),
        MigrateError::ExecuteMigration(source, version) => DbError::Schema(format!(
            "migration {version} failed and is repeated by the next run: {source}"
        )),
        other => DbError::Schema(format!("the database cannot be migrated: {other}")),
    }
}
