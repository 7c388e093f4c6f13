use std::path::Path;

use arrakis_config::Secret;
use arrakis_db::{Database, DatabaseOptions, DbError, migrate, newest_schema_version};
use arrakis_test_support::TestDatabase;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;

use crate::fixtures::{TwoTenants, connect, run, set_tenant};

/// A database without migrations.
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
async fn database_without_schema_is_refused_and_migrated_once() {
    let test = bare().await;
    let refused = start(&test).await.unwrap_err().to_string();
    assert!(
        refused.contains("version 0") && refused.contains("run `arrakis-worker migrate`"),
        "{refused}"
    );

    let first = migrate(&test.owner_url()).await.unwrap();
    assert_eq!((first.from, first.to), (0, newest_schema_version()));
    start(&test).await.unwrap();
    let again = migrate(&test.owner_url()).await.unwrap();
    assert_eq!(
        (again.from, again.to),
        (newest_schema_version(), newest_schema_version())
    );
}

#[tokio::test]
async fn concurrent_migrations_succeed() {
    let test = bare().await;
    let url = test.owner_url();
    let (one, two, three) = tokio::join!(migrate(&url), migrate(&url), migrate(&url));
    for done in [one, two, three] {
        assert_eq!(done.unwrap().to, newest_schema_version());
    }
    start(&test).await.unwrap();
}

#[tokio::test]
async fn older_schema_is_refused_and_newer_schema_is_accepted() {
    let test = TestDatabase::create().await;
    let mut owner = connect(&test.owner_url()).await;
    run(
        &mut owner,
        &format!(
            "delete from _sqlx_migrations where version = {}",
            newest_schema_version()
        ),
    )
    .await
    .unwrap();
    let refused = start(&test).await.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("this build needs {}", newest_schema_version())),
        "{refused}"
    );

    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (999999, 'from the future', true, '', 0)";
    run(&mut owner, newer).await.unwrap();
    start(&test).await.unwrap();
    let error = migrate(&test.owner_url()).await.unwrap_err().to_string();
    assert!(
        error.contains("migration 999999 was applied to this database and is not in this build"),
        "{error}"
    );
}

/// A database that has applied a migration refuses another text of it. The file keeps the SHA-256 of each; it only grows.
#[test]
fn migrations_are_not_edited() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    let present: Vec<_> = files
        .iter()
        .map(|path| {
            let number = path.file_name().unwrap().to_str().unwrap().get(..4).unwrap();
            format!("{number} {}", hex::encode(Sha256::digest(std::fs::read(path).unwrap())))
        })
        .collect();
    let kept = std::fs::read_to_string(folder.join("checksums.txt")).unwrap();
    let kept: Vec<_> = kept.lines().collect();
    for (present, kept) in present.iter().zip(&kept) {
        assert_eq!(
            present, kept,
            "an edited migration stops every deployment that has applied it: put the change into a new one"
        );
    }
    let missing = present.get(kept.len()..).unwrap_or_default();
    assert!(
        missing.is_empty() && kept.len() == present.len(),
        "add to migrations/checksums.txt:\n{}",
        missing.join("\n")
    );
}

#[tokio::test]
async fn migration_edited_after_it_was_applied_is_reported() {
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
async fn login_other_than_the_owner_does_not_migrate() {
    let test = bare().await;
    let error = migrate(&test.app_url()).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
}

/// Old and new columns of the fixture's one member.
async fn gateway_positions(connection: &mut PgConnection) -> [(Option<String>, Option<i64>); 2] {
    let (old_session, old_sequence, session, sequence) =
        sqlx::query_as("select told_session, told_seq, gateway_session, gateway_sequence from profiles")
            .fetch_one(connection)
            .await
            .unwrap();
    [(old_session, old_sequence), (session, sequence)]
}

/// During a deploy the previous build uses `told_session` and `told_seq`, this one `gateway_session` and `gateway_sequence`.
#[tokio::test]
async fn previous_build_and_this_build_write_the_same_gateway_position() {
    let two = TwoTenants::create().await;
    let mut app = connect(&two.database.app_url()).await;
    set_tenant(&mut app, Some(two.a)).await;
    let position = |session: &str, sequence| (Some(session.to_owned()), Some(sequence));
    for (sql, expected) in [
        ("update profiles set told_session = 'a', told_seq = 1", position("a", 1)),
        (
            "update profiles set gateway_session = 'b', gateway_sequence = 2",
            position("b", 2),
        ),
        ("update profiles set told_seq = 3", position("b", 3)),
        ("update profiles set gateway_sequence = 4", position("b", 4)),
        ("update profiles set commands = commands + 1", position("b", 4)),
        ("update profiles set told_session = null, told_seq = null", (None, None)),
        (
            "insert into profiles (community_id, user_id, display_name, joined_at, told_session, told_seq)
             select community_id, user_id, display_name, joined_at, 'c', 5 from profiles
             on conflict (community_id, user_id) do update
                set told_session = excluded.told_session, told_seq = excluded.told_seq",
            position("c", 5),
        ),
        (
            "insert into profiles (community_id, user_id, display_name, joined_at, gateway_session, gateway_sequence)
             select community_id, user_id, display_name, joined_at, 'd', 6 from profiles
             on conflict (community_id, user_id) do update
                set gateway_session = excluded.gateway_session, gateway_sequence = excluded.gateway_sequence",
            position("d", 6),
        ),
    ] {
        run(&mut app, sql).await.unwrap();
        assert_eq!(gateway_positions(&mut app).await, [expected.clone(), expected], "{sql}");
    }
}

#[tokio::test]
async fn gateway_positions_of_existing_rows_are_copied_in_each_community() {
    let two = TwoTenants::create().await;
    let mut owner = connect(&two.database.owner_url()).await;
    run(&mut owner, "alter table profiles disable trigger copy_gateway_position")
        .await
        .unwrap();
    for tenant in [two.a, two.b] {
        set_tenant(&mut owner, Some(tenant)).await;
        run(&mut owner, "update profiles set told_session = 's', told_seq = 7")
            .await
            .unwrap();
    }
    let copy = include_str!("../../migrations/0012_copy_gateway_positions_to_their_new_columns.sql");
    for _ in 0..2 {
        run(&mut owner, copy).await.unwrap();
        for tenant in [two.a, two.b] {
            set_tenant(&mut owner, Some(tenant)).await;
            let position = (Some("s".to_owned()), Some(7));
            assert_eq!(gateway_positions(&mut owner).await, [position.clone(), position]);
        }
    }
}
