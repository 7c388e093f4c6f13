//! Rights that the three logins do not have.

use arrakis_config::Secret;
use arrakis_db::{Admin, Database, DatabaseOptions, DbError};
use arrakis_test_support::TestDatabase;
use sqlx::AssertSqlSafe;

use crate::fixtures::{TwoTenants, connect, is_refused, run, set_tenant};

#[tokio::test]
async fn app_login_cannot_truncate_disable_security_or_change_its_role() {
    let two = TwoTenants::create().await;
    let before = two.everything().await;
    let mut app = connect(&two.database.app_url()).await;
    set_tenant(&mut app, Some(two.b)).await;
    let all: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    assert!(all.len() > two.tables.len());
    for table in &all {
        for sql in [
            format!("truncate {table} cascade"),
            format!("alter table {table} disable trigger all"),
            format!("alter table {table} disable row level security"),
            format!("alter table {table} no force row level security"),
            format!("create policy mine on {table} using (true)"),
            format!("create trigger mine before insert on {table} for each row execute function refuse_change()"),
            format!("alter table {table} owner to arrakis_app"),
            format!("grant all on {table} to arrakis_app"),
            format!("drop table {table}"),
        ] {
            let outcome = run(&mut app, &sql).await;
            // A grant without the right to is a warning in Postgres, and changes nothing.
            assert!(
                is_refused(&outcome) || (sql.starts_with("grant") && outcome == Ok(0)),
                "{sql}: {outcome:?}"
            );
        }
        let rights: Vec<bool> = sqlx::query_scalar(AssertSqlSafe(format!(
            "select has_table_privilege('{table}', right_) from unnest(array['truncate', 'trigger', 'references']) as right_"
        )))
        .fetch_all(&mut app)
        .await
        .unwrap();
        assert_eq!(rights, [false; 3], "{table}");
    }
    for sql in [
        "set role arrakis_owner",
        "set role arrakis_admin",
        "set session authorization arrakis_admin",
        "set session_replication_role = replica",
        "alter role arrakis_app bypassrls",
        "create table mine (n int)",
        "create temporary table mine (n int)",
        "create schema mine",
        "delete from profiles",
        "delete from guild_routes",
        "create function mine() returns int language sql as 'select 1'",
        "select protect_tenant_table('inbox')",
        "delete from audit_log",
        "update audit_log set reason = 'rewritten'",
        "delete from communities",
    ] {
        let outcome = run(&mut app, sql).await;
        assert!(is_refused(&outcome), "{sql}: {outcome:?}");
    }
    assert_eq!(two.everything().await, before);
}

#[tokio::test]
async fn queries_fail_with_row_security_off() {
    let two = TwoTenants::create().await;
    let mut app = connect(&two.database.app_url()).await;
    run(&mut app, "set row_security = off").await.unwrap();
    for table in &two.tables {
        let outcome = run(&mut app, &format!("select * from {table}")).await;
        assert!(is_refused(&outcome), "{table}: {outcome:?}");
    }
}

#[tokio::test]
async fn app_login_owns_nothing_and_is_a_member_of_no_role() {
    let test = TestDatabase::create().await;
    let mut app = connect(&test.app_url()).await;
    let (special, memberships, owned): (bool, i64, i64) = sqlx::query_as(
        "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication,
                (select count(*) from pg_auth_members where member = me.oid),
                (select count(*) from pg_class where relowner = me.oid)
           from pg_roles me where rolname = current_user",
    )
    .fetch_one(&mut app)
    .await
    .unwrap();
    assert_eq!((special, memberships, owned), (false, 0, 0));
}

#[tokio::test]
async fn audit_logs_are_append_only_for_every_login() {
    let two = TwoTenants::create().await;
    let before = two.everything().await;
    for url in [
        two.database.app_url(),
        two.database.admin_url(),
        two.database.owner_url(),
    ] {
        let mut connection = connect(&url).await;
        set_tenant(&mut connection, Some(two.a)).await;
        let platform = "insert into platform_audit_log (entry_id, actor_kind, actor, action, subject)
                        values (gen_random_uuid(), 'operator', 'stilgar', 'platform.drill', 'all')";
        run(&mut connection, platform).await.unwrap();
        for table in ["audit_log", "platform_audit_log"] {
            for sql in [
                format!("update {table} set reason = 'rewritten'"),
                format!("delete from {table}"),
                format!("truncate {table}"),
            ] {
                let outcome = run(&mut connection, &sql).await;
                assert!(is_refused(&outcome), "{url}: {sql}: {outcome:?}");
            }
        }
    }
    assert_eq!(two.everything().await, before);
}

#[tokio::test]
async fn admin_login_spans_tenants_and_app_login_is_refused_as_admin() {
    let two = TwoTenants::create().await;
    let listed = two.database.admin().await.communities().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|line| line.members == 1 && !line.frozen));
    let refused = Admin::connect(&Secret::new(two.database.app_url()), DatabaseOptions::default())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("has no BYPASSRLS"), "{refused}");
}

/// Rights of the application's login, relation by relation: one letter for each right, as `\\dp` prints them. A new table
/// is added here with what its queries need.
const APP_RIGHTS: [(&str, &str); 70] = [
    ("_sqlx_migrations", "r"),
    ("alerts", "arw"),
    ("api_keys", "arw"),
    ("approval_events", "ar"),
    ("approval_messages", "arw"),
    ("approval_signatures", "ar"),
    ("approvals", "ar"),
    ("arrivals", "arwd"),
    ("audit_log", "ar"),
    ("backup_due", "ard"),
    ("backup_runs", "arw"),
    ("backup_uses", "ard"),
    ("badges", "arw"),
    ("bot_presence", "arw"),
    ("checkpoint_restores", "ar"),
    ("checkpoints", "ard"),
    ("communities", "arw"),
    ("configuration_shadow_health", "arw"),
    ("configuration_versions", "arwd"),
    ("eligibility_admin_overrides", "arw"),
    ("eligibility_burn_events", "arwd"),
    ("eligibility_changes", "ar"),
    ("eligibility_claim_events", "arwd"),
    ("eligibility_current", "arwd"),
    ("eligibility_health_status", "arw"),
    ("eligibility_holdings", "arwd"),
    ("eligibility_snapshots", "arwd"),
    ("eligibility_sync_blocks", "arwd"),
    ("eligibility_sync_cursors", "arw"),
    ("feature_gates", "arwd"),
    ("guild_routes", "ar"),
    ("identity_chain_head", "rw"),
    ("identity_events", "ar"),
    ("identity_events_as_json", "r"),
    ("identity_wallets", "r"),
    ("imported_tiers", "arwd"),
    ("inbox", "ard"),
    ("jobs", "arwd"),
    ("kill_switch_events", "ar"),
    ("kill_switch_steps", "r"),
    ("kill_switches", "r"),
    ("manifests", "ar"),
    ("mfa_enrolments", "arwd"),
    ("mfa_grants", "arwd"),
    ("notification_events", "arwd"),
    ("operator_notices", "arwd"),
    ("platform_api_keys", ""),
    ("platform_audit_log", "ar"),
    ("platform_inbox", "ard"),
    ("platform_jobs", "arwd"),
    ("posts", "arw"),
    ("profile_activity", "arwd"),
    ("profile_import_members", "r"),
    ("profile_imports", "r"),
    ("profiles", "arw"),
    ("reconcile_reports", "arwd"),
    ("role_bindings", "arwd"),
    ("rollout_reports", "rw"),
    ("rollouts", "r"),
    ("rule_changes", "arw"),
    ("shadow_states", "arw"),
    ("subscriptions", "arw"),
    ("synthesis_slots", "rw"),
    ("telegram_notices", "arwd"),
    ("tier_imports", "arwd"),
    ("tiers_reached", "ar"),
    ("token_profiles", "arw"),
    ("user_identities", "r"),
    ("verification_sessions", "arwd"),
    ("wallet_verifications", "arw"),
];

#[tokio::test]
async fn app_login_has_exactly_the_rights_of_its_queries() {
    let test = TestDatabase::create().await;
    let mut app = connect(&test.app_url()).await;
    let found: Vec<(String, String)> = sqlx::query_as(
        "select c.oid::regclass::text,
                concat_ws('', case when has_table_privilege(c.oid, 'insert') then 'a' end,
                              case when has_table_privilege(c.oid, 'select') then 'r' end,
                              case when has_table_privilege(c.oid, 'update') then 'w' end,
                              case when has_table_privilege(c.oid, 'delete') then 'd' end,
                              case when has_table_privilege(c.oid, 'truncate') then 'D' end,
                              case when has_table_privilege(c.oid, 'references') then 'x' end,
                              case when has_table_privilege(c.oid, 'trigger') then 't' end)
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
          order by 1",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    let wanted: Vec<(String, String)> = APP_RIGHTS
        .iter()
        .map(|(table, rights)| ((*table).to_owned(), (*rights).to_owned()))
        .collect();
    assert_eq!(found, wanted);
    // Beside tables: only to connect, to use the schema, and to read the time.
    let mut others: Vec<String> = sqlx::query_scalar(
        "select what from (values
             ('temporary tables', has_database_privilege(current_database(), 'temporary')),
             ('schemas', has_database_privilege(current_database(), 'create')),
             ('tables', has_schema_privilege('public', 'create'))) as known (what, may)
          where may
         union all
         select 'sequence ' || c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname !~ '^pg_' and case when c.relkind = 'S' then has_sequence_privilege(c.oid, 'usage') else false end
         union all
         select 'function ' || p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and has_function_privilege(p.oid, 'execute')
         union all
         select 'column ' || a.attrelid::regclass || '.' || a.attname from pg_attribute a
           join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
          where a.attacl is not null and n.nspname !~ '^pg_'
         union all
         select 'server ' || srvname from pg_foreign_server where has_server_privilege(oid, 'usage')
         union all
         select 'default privileges of ' || defaclrole::regrole from pg_default_acl",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    // The version of a step is not changed by a login.
    others.sort_unstable();
    let columns = ["changed_at", "proof", "state"].map(|column| format!("column kill_switch_steps.{column}"));
    assert_eq!(others, columns);
}

/// A login of one test, which removes it.
struct Login {
    name: String,
    owner: String,
    granted: Vec<String>,
}

impl Login {
    async fn create(two: &TwoTenants, options: &str) -> Self {
        let name = format!("arrakis_test_login_{}", uuid::Uuid::new_v4().simple());
        let mut login = Self {
            owner: two.database.owner_url(),
            granted: Vec::new(),
            name,
        };
        login
            .sql(&format!("create role {} login password 'secret' {options}", login.name))
            .await;
        for right in ["usage on schema public", "select on _sqlx_migrations"] {
            login.grant(right).await;
        }
        login
    }

    async fn sql(&self, sql: &str) {
        let mut owner = connect(&self.owner).await;
        run(&mut owner, sql).await.unwrap();
    }

    async fn grant(&mut self, right: &str) {
        self.sql(&format!("grant {right} to {}", self.name)).await;
        self.granted.push(right.to_owned());
    }

    fn url(&self, two: &TwoTenants) -> Secret {
        let mut url = url::Url::parse(&two.database.app_url()).unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some("secret")).unwrap();
        Secret::new(url.to_string())
    }

    async fn remove(self) {
        for right in &self.granted {
            self.sql(&format!("revoke {right} from {}", self.name)).await;
        }
        self.sql(&format!("drop role {}", self.name)).await;
    }
}

#[tokio::test]
async fn login_with_more_rights_than_the_apps_is_refused_with_the_reason() {
    let two = TwoTenants::create().await;
    let name = two.database.name();
    for (options, grants, reason) in [
        ("", "", ""),
        ("createrole", "", "CREATEROLE"),
        ("in role arrakis_owner", "", "owner"),
        ("", "truncate on profiles", "TRUNCATE profiles"),
        ("", "temporary on database {name}", "temporary tables"),
        ("", "create on schema public", "tables in the schema public"),
    ] {
        let mut login = Login::create(&two, options).await;
        if !grants.is_empty() {
            login.grant(&grants.replace("{name}", name)).await;
        }
        let connected = Database::connect(&login.url(&two), DatabaseOptions::default()).await;
        let message = connected.as_ref().err().map(ToString::to_string).unwrap_or_default();
        drop(connected);
        assert_eq!(message.is_empty(), reason.is_empty(), "{options} {grants}: {message}");
        assert!(message.contains(reason), "{options} {grants}: {message}");
        if !reason.is_empty() && grants.is_empty() {
            assert!(
                message.contains(&login.name) && message.contains("arrakis_app"),
                "{message}"
            );
        }
        login.remove().await;
    }
}

#[tokio::test]
async fn owner_and_admin_logins_are_refused_as_app() {
    let two = TwoTenants::create().await;
    for (url, login, reason) in [
        (two.database.owner_url(), "arrakis_owner", "CREATEROLE"),
        (two.database.admin_url(), "arrakis_admin", "BYPASSRLS"),
    ] {
        let refused = Database::connect(&Secret::new(url), DatabaseOptions::default())
            .await
            .unwrap_err();
        assert!(matches!(refused, DbError::Login(_)), "{refused}");
        let message = refused.to_string();
        assert!(
            message.contains(login) && message.contains(reason) && message.contains("DATABASE_URL"),
            "{message}"
        );
    }
    for url in [two.database.app_url(), two.database.admin_url()] {
        let refused = arrakis_db::migrate(&url).await.unwrap_err();
        assert!(matches!(refused, DbError::Login(_)), "{refused}");
    }
}

#[tokio::test]
async fn set_role_does_not_hide_the_login() {
    let two = TwoTenants::create().await;
    let login = Login::create(&two, "in role arrakis_owner").await;
    let mut url = url::Url::parse(login.url(&two).expose()).unwrap();
    url.query_pairs_mut().append_pair("options", "-c role=arrakis_owner");
    let refused = Database::connect(&Secret::new(url.to_string()), DatabaseOptions::default())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains(&login.name), "{refused}");
    login.remove().await;
}
