//! What the live catalogue says about tenant tables. Asked at each start and by the tests: a table with a `community_id` that
//! is not protected keeps the worker from serving.

use std::fmt;

use sqlx::PgConnection;

use crate::{DbError, measure::named};

/// A tenant table that lacks protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprotected {
    /// Its name.
    pub table: String,
    /// What it lacks, in words.
    pub lacks: Vec<String>,
}

impl fmt::Display for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.lacks.join(", "))
    }
}

/// The tenant condition, stripped as [`stripped`] strips what Postgres prints: its brackets and casts differ by version.
const CONDITION: &str = "community_id=selectnullifcurrent_setting'app.current_tenant',true,''::uuid";

fn stripped(expression: &str) -> String {
    let bare: String = expression
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    bare.replace("as\"nullif\"", "").replace("::text", "")
}

/// Readable without a tenant: the routing table, which holds nothing but the route.
const READABLE_BY_ALL: [&str; 1] = ["guild_routes"];

/// Oid, name, kind; whether security is enabled, forced; whether `community_id` is required, a uuid, indexed.
type TableRow = (i64, String, String, bool, bool, bool, bool, bool);
/// Name, command, USING, WITH CHECK, whether it is permissive and everybody's.
type PolicyRow = (String, String, Option<String>, Option<String>, bool);

/// Every ordinary, partitioned or foreign table, view or materialised view with a column `community_id`, in any schema but
/// the system's, that is not wholly protected.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn unprotected_tables(connection: &mut PgConnection) -> Result<Vec<Unprotected>, DbError> {
    let tables: Vec<TableRow> = named!(
        "catalogue.tables",
        sqlx::query_as(
            "select c.oid::int8, c.oid::regclass::text, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity, a.attnotnull,
                    a.atttypid = 'uuid'::regtype,
                    exists (select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indpred is null
                                                     and i.indkey[0] = a.attnum)
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
               join pg_attribute a on a.attrelid = c.oid and a.attname = 'community_id' and not a.attisdropped
              where c.relkind in ('r', 'p', 'f', 'v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
              order by 2"
        )
        .fetch_all(&mut *connection)
    )?;
    let mut unprotected = Vec::new();
    for (oid, table, kind, enabled, forced, required, is_uuid, indexed) in tables {
        let mut lacks = Vec::new();
        if !matches!(kind.as_str(), "r" | "p") {
            lacks.push("is no plain table, and its reads go by its owner's rights".to_owned());
        }
        let checks = [
            (enabled, "row-level security is not enabled"),
            (forced, "row-level security is not forced"),
            (required, "community_id may be null"),
            (is_uuid, "community_id is no uuid"),
            (indexed, "no index begins with community_id"),
        ];
        lacks.extend(
            checks
                .iter()
                .filter(|(held, _)| !held)
                .map(|(_, lack)| (*lack).to_owned()),
        );
        lacks.extend(policy_lacks(connection, oid, &table).await?);
        lacks.extend(loose_references(connection, oid).await?);
        if !lacks.is_empty() {
            unprotected.push(Unprotected { table, lacks });
        }
    }
    Ok(unprotected)
}

/// One policy for everything and everybody with the tenant condition on both sides, and no other: permissive policies add up.
async fn policy_lacks(connection: &mut PgConnection, table: i64, name: &str) -> Result<Vec<String>, DbError> {
    let policies: Vec<PolicyRow> = named!(
        "catalogue.policies",
        sqlx::query_as(
            "select polname::text, polcmd::text, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid),
                    polpermissive and polroles = '{0}'
               from pg_policy where polrelid::int8 = $1 order by polname"
        )
        .bind(table)
        .fetch_all(connection)
    )?;
    let is_condition = |text: &Option<String>| text.as_deref().map(stripped).as_deref() == Some(CONDITION);
    let mut lacks = Vec::new();
    let mut whole = false;
    for (policy, command, using, check, for_everybody) in policies {
        match command.as_str() {
            "*" if is_condition(&using) && is_condition(&check) && for_everybody => whole = true,
            "r" if READABLE_BY_ALL.contains(&name) => {}
            _ => lacks.push(format!("policy {policy} is not the tenant's")),
        }
    }
    if !whole {
        lacks.push("no policy with the tenant's USING and WITH CHECK".to_owned());
    }
    Ok(lacks)
}

/// Foreign keys to tenant tables that leave the tenant out: their checks pass row-level security by.
async fn loose_references(connection: &mut PgConnection, table: i64) -> Result<Vec<String>, DbError> {
    named!(
        "catalogue.references",
        sqlx::query_scalar(
            "select format('foreign key %s leaves the tenant out', k.conname)
               from pg_constraint k
               join pg_attribute theirs on theirs.attrelid = k.confrelid and theirs.attname = 'community_id'
               join pg_attribute ours on ours.attrelid = k.conrelid and ours.attname = 'community_id'
              where k.contype = 'f' and k.conrelid::int8 = $1
                and not exists (select from unnest(k.conkey, k.confkey) as pair (mine, other)
                                 where mine = ours.attnum and other = theirs.attnum)"
        )
        .bind(table)
        .fetch_all(connection)
    )
}
