//! What the three logins may not do.

use arrakis_config::Secret;
use arrakis_db::{Admin, DatabaseOptions};
use arrakis_test_support::TestDatabase;
use sqlx::AssertSqlSafe;

use crate::fixtures::{TwoTenants, connect, is_refused, run, set_tenant};

#[tokio::test]
async fn the_app_can_neither_truncate_nor_switch_off_nor_become_another() {
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
async fn with_row_security_switched_off_queries_fail_instead_of_telling() {
    let two = TwoTenants::create().await;
    let mut app = connect(&two.database.app_url()).await;
    run(&mut app, "set row_security = off").await.unwrap();
    for table in &two.tables {
        let outcome = run(&mut app, &format!("select * from {table}")).await;
        assert!(is_refused(&outcome), "{table}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_app_owns_nothing_and_belongs_to_no_role() {
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
async fn the_admin_spans_tenants_and_the_app_is_no_admin() {
    let two = TwoTenants::create().await;
    let listed = two.database.admin().await.communities().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|line| line.members == 1 && !line.frozen));
    let refused = Admin::connect(&Secret::new(two.database.app_url()), DatabaseOptions::default())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("does not span tenants"), "{refused}");
}
