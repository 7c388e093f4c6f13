//! Whether a login is the one that is meant: row-level security holds for the application's and for nobody stronger.
//!
//! A superuser, a login with BYPASSRLS, an owner of the tables and a member of any of their roles read and write every tenant's
//! rows, or can give themselves the right to. So none of them serves as the application's, however well everything works with
//! it. Checked for the role that is in force and for the one that logged in: `SET ROLE` can be undone by `RESET ROLE`.

use sqlx::PgConnection;

use crate::migrate::CHECK_WITHIN;
use crate::pool::Pool;
use crate::{DbError, measure::named};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Serving: row-level security must apply.
    App,
    /// The few operations that span tenants: it must not apply, and that is all the login may do more.
    Admin,
    /// Migrating.
    Owner,
}

impl Purpose {
    /// The variable that holds its URL.
    fn variable(self) -> &'static str {
        match self {
            Self::App => "DATABASE_URL",
            Self::Admin => "DATABASE_ADMIN_URL",
            Self::Owner => "DATABASE_OWNER_URL",
        }
    }

    /// The login that is meant.
    fn meant(self) -> &'static str {
        match self {
            Self::App => "the application's, arrakis_app (login, nobypassrls, owner of nothing)",
            Self::Admin => "the admin's, arrakis_admin (login, bypassrls, owner of nothing)",
            Self::Owner => "the owner's, arrakis_owner (login, owner of the database)",
        }
    }
}

/// What the catalogue says of a connection's login, over the role in force and the role that logged in.
#[derive(Debug, sqlx::FromRow)]
struct Found {
    in_force: String,
    logged_in: String,
    superuser: bool,
    bypasses: bool,
    creates_roles: bool,
    replicates: bool,
    owns_database: bool,
    /// A table, view or sequence that the login, or a role of which it is a member, owns.
    owns: Option<String>,
    /// A role with more rights, of which the login is a member.
    member_of: Option<String>,
    /// A table that the login may truncate: row-level security does not apply to TRUNCATE.
    truncates: Option<String>,
}

const FOUND: &str = "
with me as (select * from pg_roles where rolname in (current_user, session_user)),
     relation as (
        select c.oid, c.relowner, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f'))
select current_user::text as in_force, session_user::text as logged_in,
       (select bool_or(rolsuper) from me) as superuser,
       (select bool_or(rolbypassrls) from me) as bypasses,
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
         where relkind in ('r', 'p') and has_table_privilege(me.oid, relation.oid, 'truncate')) as truncates";

/// [`check`] by a connection of a pool.
pub(crate) async fn check_by(pool: &Pool, purpose: Purpose) -> Result<(), DbError> {
    let lease = pool.acquire(CHECK_WITHIN).await;
    let mut lease = lease.map_err(|error| DbError::new("login.connect", error))?;
    check(&mut lease, purpose).await?;
    lease.done();
    Ok(())
}

/// Refuses a login that may do more, or less, than its purpose needs.
///
/// # Errors
/// [`DbError::Login`] with the login that was found, what is wrong with it, and which one is meant.
pub(crate) async fn check(connection: &mut PgConnection, purpose: Purpose) -> Result<(), DbError> {
    let found: Found = named!("login.found", sqlx::query_as(FOUND).fetch_one(&mut *connection))?;
    match found.complaint(purpose) {
        None => Ok(()),
        Some(complaint) => Err(DbError::Login(format!(
            "{} is the login {}, which {complaint}; the login that is meant is {}: see shared/db/migrations/README.md",
            purpose.variable(),
            found.name(),
            purpose.meant(),
        ))),
    }
}

impl Found {
    fn name(&self) -> String {
        if self.in_force == self.logged_in {
            self.in_force.clone()
        } else {
            format!("{} (acting as {})", self.logged_in, self.in_force)
        }
    }

    fn complaint(&self, purpose: Purpose) -> Option<String> {
        if self.superuser {
            return Some("is a superuser: row-level security does not apply to it".to_owned());
        }
        match purpose {
            Purpose::App => self.bypass_complaint().or_else(|| self.stronger_complaint()),
            Purpose::Admin if !self.bypasses => {
                Some("does not span tenants (no BYPASSRLS) and would see an empty platform".to_owned())
            }
            Purpose::Admin => self.stronger_complaint(),
            Purpose::Owner if matches!(self.in_force.as_str(), "arrakis_app" | "arrakis_admin") => {
                Some("must own nothing: what it owns, it could open to itself".to_owned())
            }
            Purpose::Owner => self.bypass_complaint(),
        }
    }

    fn bypass_complaint(&self) -> Option<String> {
        self.bypasses
            .then(|| "has BYPASSRLS: row-level security does not apply to it".to_owned())
    }

    fn stronger_complaint(&self) -> Option<String> {
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
                "owns {owned}, or is a member of its owner: an owner can switch row-level security off"
            ));
        }
        if self.owns_database {
            return Some("owns the database: it can grant itself anything in it".to_owned());
        }
        let table = self.truncates.as_ref()?;
        Some(format!(
            "may TRUNCATE {table}, which empties it for every tenant: row-level security does not apply to TRUNCATE"
        ))
    }
}

/// Refuses a database that still lets the application's login make tables and schemas: a copy or a restored dump.
///
/// # Errors
/// [`DbError::Login`] with what is left open and the command that closes it.
pub(crate) async fn check_leftovers_by(pool: &Pool, purpose: Purpose) -> Result<(), DbError> {
    if purpose != Purpose::App {
        return Ok(());
    }
    let lease = pool.acquire(CHECK_WITHIN).await;
    let mut lease = lease.map_err(|error| DbError::new("login.connect", error))?;
    let open: Vec<String> = named!(
        "login.leftovers",
        sqlx::query_scalar(
            "select what from (values
                 ('temporary tables', has_database_privilege(current_database(), 'temporary')),
                 ('schemas', has_database_privilege(current_database(), 'create')),
                 ('tables in the schema public', has_schema_privilege('public', 'create'))) as known (what, open)
              where open"
        )
        .fetch_all(&mut *lease)
    )?;
    lease.done();
    if open.is_empty() {
        return Ok(());
    }
    Err(DbError::Login(format!(
        "the login of DATABASE_URL may make {} in this database, as in a copy or a restored dump: run `arrakis-worker migrate` \
         with DATABASE_OWNER_URL set, which takes these rights from everybody",
        open.join(", ")
    )))
}
