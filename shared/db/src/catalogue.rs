//! Checks in PostgreSQL's catalogue that row-level security protects every tenant table. A worker does not start when a
//! table with a column `community_id` is unprotected; tests check the same.

use std::fmt;

use sqlx::PgConnection;

use crate::{DbError, named_query::named};

/// A tenant table that row-level security does not fully protect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnprotectedTable {
    /// Its name.
    pub table: String,
    /// What is missing, as texts for an operator.
    pub lacks: Vec<String>,
}

impl fmt::Display for UnprotectedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.lacks.join(", "))
    }
}

/// The tenant condition, normalised by [`normalised`]: how PostgreSQL prints brackets and casts differs by version.
const CONDITION: &str = "community_id=selectnullifcurrent_setting'app.current_tenant',true,''::uuid";

fn normalised(expression: &str) -> String {
    let bare: String = expression
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    bare.replace("as\"nullif\"", "").replace("::text", "")
}

/// Tables that are readable without a tenant: the routes, which hold nothing else.
const READABLE_BY_ALL: [&str; 1] = ["guild_routes"];

/// Oid, name, kind; whether row-level security is enabled, forced; whether `community_id` is not null, a UUID, indexed.
type TableRow = (i64, String, String, bool, bool, bool, bool, bool);
/// Name, command, USING, WITH CHECK, whether the policy is permissive and for all roles.
type PolicyRow = (String, String, Option<String>, Option<String>, bool);

/// Every ordinary, partitioned or foreign table, view or materialised view with a column `community_id`, in any schema but
/// the system's, that is not fully protected.
///
/// # Errors
/// When the catalogue cannot be read.
pub async fn unprotected_tables(connection: &mut PgConnection) -> Result<Vec<UnprotectedTable>, DbError> {
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
            lacks.push("is not an ordinary table: it is read with its owner's rights".to_owned());
        }
        let checks = [
            (enabled, "row-level security is not enabled"),
            (forced, "row-level security is not forced"),
            (required, "community_id may be null"),
            (is_uuid, "community_id is not a UUID"),
            (indexed, "no index begins with community_id"),
        ];
        lacks.extend(
            checks
                .iter()
                .filter(|(held, _)| !held)
                .map(|(_, lack)| (*lack).to_owned()),
        );
        lacks.extend(policy_lacks(connection, oid, &table).await?);
        lacks.extend(references_without_tenant(connection, oid).await?);
        if !lacks.is_empty() {
            unprotected.push(UnprotectedTable { table, lacks });
        }
    }
    Ok(unprotected)
}

/// There must be one policy for all commands and roles with the tenant condition in USING and WITH CHECK, and no other:
/// permissive policies are combined with OR.
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
    let is_condition = |text: &Option<String>| text.as_deref().map(normalised).as_deref() == Some(CONDITION);
    let mut lacks = Vec::new();
    let mut has_tenant_policy = false;
    for (policy, command, using, check, for_all_roles) in policies {
        match command.as_str() {
            "*" if is_condition(&using) && is_condition(&check) && for_all_roles => has_tenant_policy = true,
            "r" if READABLE_BY_ALL.contains(&name) => {}
            _ => lacks.push(format!("policy {policy} lacks the tenant condition")),
        }
    }
    if !has_tenant_policy {
        lacks.push("no policy with the tenant condition in USING and WITH CHECK".to_owned());
    }
    Ok(lacks)
}

/// Foreign keys to tenant tables that do not include the tenant: row-level security does not apply to their checks.
async fn references_without_tenant(connection: &mut PgConnection, table: i64) -> Result<Vec<String>, DbError> {
    named!(
        "catalogue.references",
        sqlx::query_scalar(
            "select format('foreign key %s does not include the tenant', k.conname)
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
