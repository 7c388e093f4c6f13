//! Databases for tests: each is a copy of a template to which the migrations were applied once. Only `arrakis-test-support`
//! uses this module; it is here because no other crate uses SQL.

use std::time::{Duration, SystemTime};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::{DbError, migrate, named_query::named};

/// Key of the advisory lock of the process that creates the template.
const TEMPLATE_LOCK: i64 = 0x6172_7261_6b69_7300;
/// Prefixes of database names. A template's name continues with the fingerprint of the schema, that of a test's database
/// with the time of its creation in seconds.
const TEMPLATE_PREFIX: &str = "arrakis_template_";
const TEST_PREFIX: &str = "arrakis_test_";
/// A test's database older than this was left by a test that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// Creates a database with this build's schema and no rows. Returns its name. The login of `owner_url` needs CREATEDB.
///
/// # Errors
/// When the server is unavailable or refuses.
pub async fn create(owner_url: &str) -> Result<String, DbError> {
    let options = parse(owner_url)?;
    let mut owner = connect(&options).await?;
    let template = format!("{TEMPLATE_PREFIX}{}", migrate::schema_fingerprint());
    if !exists(&mut owner, &template).await? {
        create_template(&mut owner, &options, &template).await?;
    }
    let name = format!("{TEST_PREFIX}{}_{}", seconds_now(), uuid::Uuid::new_v4().simple());
    // The names above hold only letters, digits and underscores. Copying files takes a fifth of the time of logging every
    // page.
    named!(
        "scratch.create",
        sqlx::raw_sql(AssertSqlSafe(format!(
            "create database {name} template {template} strategy file_copy"
        )))
        .execute(&mut owner)
    )?;
    // A copy does not have its template's privileges: see `migrate::revoke_public_rights`.
    named!(
        "scratch.revoke_public_rights",
        sqlx::raw_sql(AssertSqlSafe(format!(
            "revoke temporary, create on database {name} from public"
        )))
        .execute(&mut owner)
    )?;
    named!("scratch.close", owner.close())?;
    Ok(name)
}

/// Drops a database that [`create`] created. Ends the sessions that these logins still have in it: PostgreSQL permits each
/// login to end only its own.
///
/// # Errors
/// When the server is unavailable or refuses.
pub async fn drop(owner_url: &str, other_logins: &[&str], name: &str) -> Result<(), DbError> {
    let mut owner = connect(&parse(owner_url)?).await?;
    let connected: Vec<String> = named!(
        "scratch.sessions",
        sqlx::query_scalar(
            "select distinct usename::text from pg_stat_activity where datname = $1 and usename <> current_user"
        )
        .bind(name)
        .fetch_all(&mut owner)
    )?;
    for url in other_logins {
        let options = parse(url)?;
        if connected.iter().any(|login| login == options.get_username()) {
            end_sessions(&options, name).await?;
        }
    }
    drop_database(&mut owner, name).await?;
    named!("scratch.close", owner.close())
}

/// Ends the sessions of this login in a database and waits for their end.
async fn end_sessions(login: &PgConnectOptions, name: &str) -> Result<(), DbError> {
    let mut connection = connect(login).await?;
    named!(
        "scratch.end_sessions",
        sqlx::query(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity
              where datname = $1 and usename = current_user and pid <> pg_backend_pid()"
        )
        .bind(name)
        .execute(&mut connection)
    )?;
    named!("scratch.close", connection.close())
}

/// Creates the template in one process, while the others wait for the lock. The template gets its name last, so that an
/// incomplete one is never copied.
async fn create_template(owner: &mut PgConnection, options: &PgConnectOptions, template: &str) -> Result<(), DbError> {
    // Without a time limit: another process may be creating the template.
    let waiting = sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut *owner);
    waiting.await.map_err(|source| DbError::new("scratch.lock", source))?;
    if !exists(owner, template).await? {
        drop_abandoned(owner).await?;
        let unfinished = format!("{TEST_PREFIX}{}_template_{}", seconds_now(), std::process::id());
        named!(
            "scratch.create",
            sqlx::raw_sql(AssertSqlSafe(format!("create database {unfinished}"))).execute(&mut *owner)
        )?;
        migrate::migrate_with(&options.clone().database(&unfinished)).await?;
        named!(
            "scratch.rename",
            sqlx::raw_sql(AssertSqlSafe(format!(
                "alter database {unfinished} rename to {template}"
            )))
            .execute(&mut *owner)
        )?;
    }
    named!(
        "scratch.unlock",
        sqlx::query("select pg_advisory_unlock($1)")
            .bind(TEMPLATE_LOCK)
            .execute(&mut *owner)
    )?;
    Ok(())
}

/// Drops templates of other schemas and databases of tests that were killed.
async fn drop_abandoned(owner: &mut PgConnection) -> Result<(), DbError> {
    let names: Vec<String> = named!(
        "scratch.list",
        sqlx::query_scalar(
            "select datname from pg_database where starts_with(datname, $1) or starts_with(datname, $2)"
        )
        .bind(TEMPLATE_PREFIX)
        .bind(TEST_PREFIX)
        .fetch_all(&mut *owner)
    )?;
    let now = seconds_now();
    for name in names {
        let created_at = name
            .strip_prefix(TEST_PREFIX)
            .and_then(|rest| rest.split('_').next()?.parse::<u64>().ok());
        if created_at.is_none_or(|created_at| now.saturating_sub(created_at) > ABANDONED_AFTER.as_secs()) {
            drop_database(owner, &name).await?;
        }
    }
    Ok(())
}

async fn drop_database(owner: &mut PgConnection, name: &str) -> Result<(), DbError> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(DbError::Schema(format!("`{name}` is not the name of a test database")));
    }
    let sql = format!("drop database if exists {name} with (force)");
    named!("scratch.drop", sqlx::raw_sql(AssertSqlSafe(sql)).execute(owner))?;
    Ok(())
}

async fn exists(owner: &mut PgConnection, name: &str) -> Result<bool, DbError> {
    named!(
        "scratch.exists",
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(owner)
    )
}

fn parse(owner_url: &str) -> Result<PgConnectOptions, DbError> {
    let options: PgConnectOptions = owner_url.parse().map_err(|e| DbError::new("scratch.connect", e))?;
    Ok(options.disable_statement_logging())
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, DbError> {
    named!("scratch.connect", options.connect())
}

fn seconds_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
