//! Checks that a login has the rights of its purpose and no others: row-level security must apply to the application's login.
//!
//! A superuser, a login with BYPASSRLS, an owner of the tables, and a member of any of their roles can read and write every
//! tenant's rows, or can grant themselves that right. So none of them is accepted as the application's login. The checks
//! cover the current role and the session's login: `RESET ROLE` undoes `SET ROLE`.

use sqlx::PgConnection;

use crate::pool::{Pool, STARTUP_CHECK_TIMEOUT};
use crate::{DbError, named_query::named};

/// Purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The application: row-level security must apply.
    App,
    /// Operations that span tenants: row-level security must not apply; the login has no other additional right.
    Admin,
    /// Migrations.
    Owner,
}

impl Purpose {
    /// The environment variable of the login's URL.
    fn variable(self) -> &'static str {
        match self {
            Self::App => "DATABASE_URL",
            Self::Admin => "DATABASE_ADMIN_URL",
            Self::Owner => "DATABASE_OWNER_URL",
        }
    }

    /// Description of the expected login.
    fn expected(self) -> &'static str {
        match self {
            Self::App => "the application's, arrakis_app (login, nobypassrls, owner of nothing)",
            Self::Admin => "the admin's, arrakis_admin (login, bypassrls, owner of nothing)",
            Self::Owner => "the owner's, arrakis_owner (login, owner of the database)",
        }
    }
}

/// Rights of a connection's current role and session login, from the catalogue.
#[derive(Debug, sqlx::FromRow)]
struct LoginRights {
    current_role: String,
    session_login: String,
    superuser: bool,
    bypasses_rls: bool,
    creates_roles: bool,
    replicates: bool,
    owns_database: bool,
    /// A table, view or sequence whose owner is the login or a role of which it is a member.
    owns: Option<String>,
    /// A role with more rights of which the login is a member.
    member_of: Option<String>,
    /// A table that the login may truncate: row-level security does not apply to TRUNCATE.
    truncates: Option<String>,
}

const LOGIN_RIGHTS: &str = r#"
with me as (select * from pg_roles where rolname in (current_user, session_user)),
     relation as (
        select c.oid, c.relowner, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f'))
select current_user::text as "current_role", session_user::text as session_login,
       (select bool_or(rolsuper) from me) as superuser,
       (select bool_or(rolbypassrls) from me) as bypasses_rls,
       (select bool_or(rolcreaterole) from me) as creates_roles,
       (select bool_or(rolreplication) from me) as replicates,
       (select bool_or(pg_has_role(me.oid, datdba, 'member')) from me, pg_database where datname = current_database())
           as owns_database,
       (select min(relation.oid::regclass::text) from me, relation where pg_has_role(me.oid, relowner, 'member')) as owns,
       (select min(other.rolname::text) from me, pg_roles other
         where other.oid not in (select oid from me) and pg_has_role(me.oid, other.oid, 'member')
           and (other.rolsuper or other.rolbypassrls or other.rolcreaterole or other.rolreplication
                or other.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program',
                                     'pg_read_server_files', 'pg_write_server_files', 'pg_maintain')))
           as member_of,
       (select min(relation.oid::regclass::text) from me, relation
         where relkind in ('r', 'p') and has_table_privilege(me.oid, relation.oid, 'truncate')) as truncates"#;

/// [`check`] with a connection of a pool.
pub(crate) async fn check_pool(pool: &Pool, purpose: Purpose) -> Result<(), DbError> {
    let connection = pool.acquire(STARTUP_CHECK_TIMEOUT).await;
    let mut connection = connection.map_err(|error| DbError::new("login.connect", error))?;
    check(&mut connection, purpose).await?;
    connection.release();
    Ok(())
}

/// Refuses a login that has more rights, or fewer, than its purpose needs.
///
/// # Errors
/// [`DbError::Login`] with the login, what is wrong with it, and which login is expected.
pub(crate) async fn check(connection: &mut PgConnection, purpose: Purpose) -> Result<(), DbError> {
    let rights: LoginRights = named!("login.rights", sqlx::query_as(LOGIN_RIGHTS).fetch_one(&mut *connection))?;
    match rights.violation(purpose) {
        None => Ok(()),
        Some(violation) => Err(DbError::Login(format!(
            "{} has the login {}, which {violation}; expected {}: see shared/db/migrations/README.md",
            purpose.variable(),
            rights.name(),
            purpose.expected(),
        ))),
    }
}

impl LoginRights {
    fn name(&self) -> String {
        if self.current_role == self.session_login {
            self.current_role.clone()
        } else {
            format!("{} (current role {})", self.session_login, self.current_role)
        }
    }

    fn violation(&self, purpose: Purpose) -> Option<String> {
        if self.superuser {
            return Some("is a superuser: row-level security does not apply to it".to_owned());
        }
        match purpose {
            Purpose::App => self.bypass_violation().or_else(|| self.excess_violation()),
            Purpose::Admin if !self.bypasses_rls => Some("has no BYPASSRLS: it reads no tenant's rows".to_owned()),
            Purpose::Admin => self.excess_violation(),
            Purpose::Owner if matches!(self.current_role.as_str(), "arrakis_app" | "arrakis_admin") => Some(
                "must not migrate: it would own the tables and could disable row-level security on them".to_owned(),
            ),
            Purpose::Owner => self.bypass_violation(),
        }
    }

    fn bypass_violation(&self) -> Option<String> {
        self.bypasses_rls
            .then(|| "has BYPASSRLS: row-level security does not apply to it".to_owned())
    }

    fn excess_violation(&self) -> Option<String> {
        if self.creates_roles {
            return Some("has CREATEROLE: it can make itself a member of other roles".to_owned());
        }
        if self.replicates {
            return Some("has REPLICATION: it can read every row of the server".to_owned());
        }
        if let Some(role) = &self.member_of {
            return Some(format!("is a member of {role}: SET ROLE gives it that role's rights"));
        }
        if let Some(owned) = &self.owns {
            return Some(format!(
                "owns {owned}, or is a member of its owner: an owner can disable row-level security"
            ));
        }
        if self.owns_database {
            return Some("owns the database: it can grant itself anything in it".to_owned());
        }
        let table = self.truncates.as_ref()?;
        Some(format!(
            "may TRUNCATE {table}, which deletes the rows of every tenant: row-level security does not apply to TRUNCATE"
        ))
    }
}

/// Refuses a database in which the application's login may create tables or schemas: a copy or a restored dump that was not
/// migrated.
///
/// # Errors
/// [`DbError::Login`] with these rights and the command that revokes them.
pub(crate) async fn check_database_rights(pool: &Pool, purpose: Purpose) -> Result<(), DbError> {
    if purpose != Purpose::App {
        return Ok(());
    }
    let connection = pool.acquire(STARTUP_CHECK_TIMEOUT).await;
    let mut connection = connection.map_err(|error| DbError::new("login.connect", error))?;
    let granted: Vec<String> = named!(
        "login.database_rights",
        sqlx::query_scalar(
            "select what from (values
                 ('temporary tables', has_database_privilege(current_database(), 'temporary')),
                 ('schemas', has_database_privilege(current_database(), 'create')),
                 ('tables in the schema public', has_schema_privilege('public', 'create'))) as known (what, open)
              where open"
        )
        .fetch_all(&mut *connection)
    )?;
    connection.release();
    if granted.is_empty() {
        return Ok(());
    }
    Err(DbError::Login(format!(
        "the login of DATABASE_URL may create {} in this database, as in a copy or a restored dump: run `arrakis-worker migrate` \
         with DATABASE_OWNER_URL set, which revokes these rights from PUBLIC",
        granted.join(", ")
    )))
}
