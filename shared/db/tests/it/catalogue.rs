//! The check that keeps a table without protection out: on what is there it finds nothing, on each kind of slip it does.

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
async fn each_kind_of_slip_is_found() {
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
            "no policy with the tenant's USING and WITH CHECK",
        ),
        (
            format!("{table} {on} create policy p on slips using ({TENANT});"),
            "policy p is not the tenant's",
        ),
        (
            format!("{table} {on} create policy p on slips for select using ({TENANT});"),
            "policy p is not the tenant's",
        ),
        (
            format!("{whole} create policy q on slips using (true);"),
            "policy q is not the tenant's",
        ),
        (
            format!("{whole} create policy q on slips for select using (true);"),
            "policy q is not the tenant's",
        ),
        (
            format!(
                "{table} {on} create policy p on slips using ({0}) with check ({0});",
                TENANT.replace("nullif", "coalesce")
            ),
            "policy p is not the tenant's",
        ),
        (
            format!("{table} {on} create policy p on slips to arrakis_app using ({TENANT}) with check ({TENANT});"),
            "policy p is not the tenant's",
        ),
        (
            format!("{whole} create view slips_seen as select community_id from slips;"),
            "slips_seen: is no plain table",
        ),
        (
            "create table slips (n int, community_id text);".to_owned(),
            "community_id is no uuid",
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
            "leaves the tenant out",
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
        let said: Vec<_> = unprotected
            .iter()
            .map(ToString::to_string)
            .filter(|line| !line.starts_with("other_ids"))
            .collect();
        assert!(
            said.iter().any(|line| line.contains(found)),
            "{slip}\nshould be found to be: {found}\nsaid: {said:?}"
        );
        run(&mut owner, "rollback").await.unwrap();
    }
    // And with nothing wrong, nothing is found: the slips above are what the check sees.
    run(&mut owner, &whole).await.unwrap();
    assert_eq!(unprotected_tables(&mut owner).await.unwrap(), []);
}

#[tokio::test]
async fn a_service_does_not_start_on_a_database_that_does_not_keep_tenants_apart() {
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
        text.contains("tenants are not kept apart") && text.contains("forgotten"),
        "{text}"
    );
}
