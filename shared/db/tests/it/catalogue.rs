//! The check of tenant tables: it finds nothing in the schema, and each kind of mistake that a migration could make.

use arrakis_config::Secret;
use arrakis_db::catalogue::unprotected_tables;
use arrakis_db::{Database, DatabaseOptions};
use arrakis_test_support::TestDatabase;

use crate::fixtures::{connect, run};

const TENANT: &str = "community_id = (select nullif(current_setting('app.current_tenant', true), '')::uuid)";

#[tokio::test]
async fn every_tenant_table_is_protected() {
    let test = TestDatabase::create().await;
    let unprotected = unprotected_tables(&mut connect(&test.owner_url()).await).await.unwrap();
    assert_eq!(unprotected, []);
}

#[tokio::test]
async fn each_kind_of_mistake_is_found() {
    let test = TestDatabase::create().await;
    let mut owner = connect(&test.owner_url()).await;
    let table =
        "create table slips (community_id uuid not null references communities, n int, primary key (community_id, n));";
    let both = format!("create policy p on slips using ({TENANT}) with check ({TENANT});");
    let on = "alter table slips enable row level security, force row level security;";
    let whole = format!("{table} {on} {both}");
    for (slip, found) in [
        (table.to_owned(), "row-level security is not enabled"),
        (
            format!("{table} alter table slips enable row level security; {both}"),
            "is not forced",
        ),
        (
            format!("{table} alter table slips force row level security; {both}"),
            "is not enabled",
        ),
        (
            format!("{table} {on}"),
            "no policy with the tenant condition in USING and WITH CHECK",
        ),
        (
            format!("{table} {on} create policy p on slips using ({TENANT});"),
            "policy p lacks the tenant condition",
        ),
        (
            format!("{table} {on} create policy p on slips for select using ({TENANT});"),
            "policy p lacks the tenant condition",
        ),
        (
            format!("{whole} create policy q on slips using (true);"),
            "policy q lacks the tenant condition",
        ),
        (
            format!("{whole} create policy q on slips for select using (true);"),
            "policy q lacks the tenant condition",
        ),
        (
            format!(
                "{table} {on} create policy p on slips using ({0}) with check ({0});",
                TENANT.replace("nullif", "coalesce")
            ),
            "policy p lacks the tenant condition",
        ),
        (
            format!("{table} {on} create policy p on slips to arrakis_app using ({TENANT}) with check ({TENANT});"),
            "policy p lacks the tenant condition",
        ),
        (
            format!("{whole} create view slips_seen as select community_id from slips;"),
            "slips_seen: is not an ordinary table",
        ),
        (
            "create table slips (n int, community_id text);".to_owned(),
            "community_id is not a UUID",
        ),
        (
            "create table slips (n int, community_id uuid);".to_owned(),
            "community_id may be null",
        ),
        (
            "create table slips (n int primary key, community_id uuid);".to_owned(),
            "no index begins with community_id",
        ),
        (
            format!("{whole} alter table slips add foreign key (n) references other_ids (id);"),
            "does not include the tenant",
        ),
        (
            format!("{whole} alter table profiles disable row level security;"),
            "profiles: row-level security is not enabled",
        ),
    ] {
        run(&mut owner, "begin").await.unwrap();
        run(
            &mut owner,
            "create table other_ids (community_id uuid not null, id int unique)",
        )
        .await
        .unwrap();
        run(&mut owner, &slip).await.unwrap();
        let unprotected = unprotected_tables(&mut owner).await.unwrap();
        let found_lacks: Vec<_> = unprotected
            .iter()
            .map(ToString::to_string)
            .filter(|line| !line.starts_with("other_ids"))
            .collect();
        assert!(
            found_lacks.iter().any(|line| line.contains(found)),
            "{slip}\nexpected: {found}\nfound: {found_lacks:?}"
        );
        run(&mut owner, "rollback").await.unwrap();
    }
    // A protected table passes: the check found the mistakes above and nothing else.
    run(&mut owner, &whole).await.unwrap();
    assert_eq!(unprotected_tables(&mut owner).await.unwrap(), []);
}

#[tokio::test]
async fn unprotected_tenant_table_is_refused_at_connect() {
    let test = TestDatabase::create().await;
    run(
        &mut connect(&test.owner_url()).await,
        "create table forgotten (community_id uuid)",
    )
    .await
    .unwrap();
    let refused = Database::connect(&Secret::new(test.app_url()), DatabaseOptions::default())
        .await
        .unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("tenant tables are not protected") && text.contains("forgotten"),
        "{text}"
    );
}
