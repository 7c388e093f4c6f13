use arrakis_config::Secret;
use arrakis_db::{Database, DatabaseOptions, DbError, migrate, newest_version};
use arrakis_test_support::TestDatabase;

use crate::fixtures::{connect, run};

/// A database that has had no migration.
async fn bare() -> TestDatabase {
    let test = TestDatabase::create().await;
    run(
        &mut connect(&test.owner_url()).await,
        "drop schema public cascade; create schema public",
    )
    .await
    .unwrap();
    test
}

async fn start(test: &TestDatabase) -> Result<Database, DbError> {
    Database::connect(&Secret::new(test.app_url()), DatabaseOptions::default()).await
}

#[tokio::test]
async fn a_database_without_the_schema_is_refused_with_what_to_do_and_migrated_once() {
    let test = bare().await;
    let refused = start(&test).await.unwrap_err().to_string();
    assert!(
        refused.contains("version 0") && refused.contains("run `arrakis-worker migrate`"),
        "{refused}"
    );

    let first = migrate(&test.owner_url()).await.unwrap();
    assert_eq!((first.from, first.to), (0, newest_version()));
    start(&test).await.unwrap();
    let again = migrate(&test.owner_url()).await.unwrap();
    assert_eq!((again.from, again.to), (newest_version(), newest_version()));
}

#[tokio::test]
async fn several_may_migrate_at_once() {
    let test = bare().await;
    let url = test.owner_url();
    let (one, two, three) = tokio::join!(migrate(&url), migrate(&url), migrate(&url));
    for done in [one, two, three] {
        assert_eq!(done.unwrap().to, newest_version());
    }
    start(&test).await.unwrap();
}

#[tokio::test]
async fn an_older_schema_is_refused_and_a_newer_one_is_served() {
    let test = TestDatabase::create().await;
    let mut owner = connect(&test.owner_url()).await;
    run(
        &mut owner,
        &format!("delete from _sqlx_migrations where version = {}", newest_version()),
    )
    .await
    .unwrap();
    let refused = start(&test).await.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("this build needs {}", newest_version())),
        "{refused}"
    );

    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (999999, 'from the future', true, '', 0)";
    run(&mut owner, newer).await.unwrap();
    start(&test).await.unwrap();
    let error = migrate(&test.owner_url()).await.unwrap_err().to_string();
    assert!(
        error.contains("migration 999999, which this build does not know"),
        "{error}"
    );
}

#[tokio::test]
async fn a_migration_that_was_edited_after_it_was_applied_is_named() {
    let test = TestDatabase::create().await;
    run(
        &mut connect(&test.owner_url()).await,
        "update _sqlx_migrations set checksum = '\\x00' where version = 3",
    )
    .await
    .unwrap();
    let error = migrate(&test.owner_url()).await.unwrap_err().to_string();
    assert!(error.contains("migration 3 was edited"), "{error}");
}

#[tokio::test]
async fn only_the_owner_migrates() {
    let test = bare().await;
    let error = migrate(&test.app_url()).await.unwrap_err();
    assert!(!error.is_passing(), "{error}");
}
