//! As tenant B: read, update, delete, insert and move tenant A's rows, in every tenant table of the catalogue. With the
//! application's login, and with the owner's, which has every right, so that only row-level security (FORCE) can refuse.

use arrakis_db::CommunityId;
use sqlx::PgConnection;

use crate::fixtures::{TwoTenants, connect, count, insert, is_refused, run, set_tenant};

/// The routes are readable without a tenant.
const READABLE_BY_ALL: &str = "guild_routes";

/// No row was changed, or the statement was refused.
fn changed_nothing(outcome: &Result<u64, String>) -> bool {
    *outcome == Ok(0) || is_refused(outcome)
}

#[tokio::test]
async fn tenant_cannot_access_rows_of_another_tenant_in_any_table() {
    let two = TwoTenants::create().await;
    let before = two.everything().await;
    for url in [two.database.app_url(), two.database.owner_url()] {
        let mut connection = connect(&url).await;
        set_tenant(&mut connection, Some(two.b)).await;
        for table in &two.tables {
            attack(&mut connection, table, two.a, two.b).await;
        }
    }
    assert_eq!(two.everything().await, before);
}

async fn attack(connection: &mut PgConnection, table: &str, a: CommunityId, b: CommunityId) {
    if table != READABLE_BY_ALL {
        assert_eq!(
            count(connection, table).await,
            1,
            "{table}: B sees its own row and no other"
        );
        assert_eq!(
            count(connection, &format!("{table} where community_id = '{a}'")).await,
            0,
            "{table}: read"
        );
    }
    let theirs = format!("where community_id = '{a}'");
    for sql in [
        format!("update {table} set community_id = community_id {theirs}"),
        format!("update {table} set community_id = '{b}' {theirs}"),
        format!("delete from {table} {theirs}"),
    ] {
        let outcome = run(connection, &sql).await;
        assert!(changed_nothing(&outcome), "{sql}: {outcome:?}");
    }
    // A duplicate must be refused by the policy, because a unique violation would reveal the row.
    let new = insert(table, a, 1);
    for sql in [
        new.clone(),
        format!("{new} on conflict do nothing"),
        format!("update {table} set community_id = '{a}' where community_id = '{b}'"),
    ] {
        let outcome = run(connection, &sql).await;
        assert!(is_refused(&outcome), "{sql}: {outcome:?}");
    }
}

#[tokio::test]
async fn without_a_tenant_no_rows_are_visible() {
    let two = TwoTenants::create().await;
    let before = two.everything().await;
    for url in [two.database.app_url(), two.database.owner_url()] {
        let mut connection = connect(&url).await;
        // Never set; then set in a transaction that has ended, which leaves ''; then ''.
        for round in 0..3 {
            for table in &two.tables {
                let seen = count(&mut connection, table).await;
                assert_eq!(
                    seen,
                    if table == READABLE_BY_ALL { 2 } else { 0 },
                    "{table}, round {round}"
                );
                let outcome = run(&mut connection, &format!("delete from {table}")).await;
                assert!(changed_nothing(&outcome), "{table}: {outcome:?}");
                let outcome = run(&mut connection, &insert(table, two.a, 1)).await;
                assert!(is_refused(&outcome), "{table}: {outcome:?}");
            }
            let local = format!(
                "begin; select set_config('app.current_tenant', '{}', true); commit",
                two.a
            );
            run(&mut connection, &local).await.unwrap();
        }
    }
    assert_eq!(two.everything().await, before);
}

#[tokio::test]
async fn row_of_a_tenant_cannot_reference_another_tenants_row() {
    let two = TwoTenants::create().await;
    let mut admin = connect(&two.database.admin_url()).await;
    // Row-level security does not apply to the admin, nor to checks of foreign keys: here only the keys refuse.
    run(
        &mut admin,
        &format!("delete from profiles where community_id = '{}'", two.b),
    )
    .await
    .unwrap();
    for table in [
        "profile_activity",
        "tiers_reached",
        "badges",
        "notification_events",
        "subscriptions",
        "alerts",
        "arrivals",
        "imported_tiers",
    ] {
        let outcome = run(&mut admin, &insert(table, two.b, 2)).await;
        assert!(
            outcome.as_ref().is_err_and(|why| why.starts_with("23503")),
            "{table}: {outcome:?}"
        );
    }
    let stolen = format!(
        "update guild_routes set community_id = '{}' where community_id = '{}'",
        two.b, two.a
    );
    let mut owner = connect(&two.database.owner_url()).await;
    set_tenant(&mut owner, Some(two.a)).await;
    assert!(is_refused(&run(&mut owner, &stolen).await));
}

#[tokio::test]
async fn policy_reads_the_tenant_once_for_each_query() {
    let two = TwoTenants::create().await;
    let mut app = connect(&two.database.app_url()).await;
    set_tenant(&mut app, Some(two.b)).await;
    for table in &two.tables {
        let explain = format!("explain (costs off) select * from {table}");
        let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
            .fetch_all(&mut app)
            .await
            .unwrap();
        let plan = lines.join("\n");
        assert!(!plan.contains("SubPlan"), "{table}: looked up for each row:\n{plan}");
        // A table that is readable by all needs no tenant.
        assert_eq!(plan.contains("InitPlan"), table != READABLE_BY_ALL, "{table}:\n{plan}");
    }
}
