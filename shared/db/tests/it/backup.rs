//! The procedure of `docs/backup.md`, with PostgreSQL's own programs.
//!
//! Logins of tests are created once for a server, so the login with BYPASSRLS is the admin's, which gets the right to read every table in
//! the test's database; `docs/backup.md` creates a login of its own.

use std::path::PathBuf;

use arrakis_config::Secret;
use arrakis_db::registry::{Account, Cause, EventSource, VerifiedWallet};
use arrakis_db::{Database, DatabaseOptions, migrate};
use arrakis_test_support::TestDatabase;
use sqlx::PgConnection;
use time::OffsetDateTime;
use tokio::process::Command;
use url::Url;
use uuid::Uuid;

use crate::fixtures::{TwoTenants, connect, run, user};

/// One of PostgreSQL's programs, of the newest version that is installed.
fn program(name: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = folders.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| name.into())
}

/// Runs a program; returns what it wrote to its error output when it fails.
async fn run_program(name: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program(name)).args(arguments).output().await.unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// An empty database on the server of the tests; dropped by its owner at the end.
struct EmptyDatabase {
    owner: Url,
    name: String,
}

impl EmptyDatabase {
    async fn create(test: &TestDatabase) -> Self {
        let owner: Url = test.owner_url().parse().unwrap();
        let seconds = OffsetDateTime::now_utc().unix_timestamp();
        // Databases of this prefix are dropped when a test leaves one behind.
        let name = format!("arrakis_test_{seconds}_{}", Uuid::new_v4().simple());
        run(&mut connect(owner.as_str()).await, &format!("create database {name}"))
            .await
            .unwrap();
        Self { owner, name }
    }

    fn with_login_of(&self, url: &str) -> String {
        let mut url: Url = url.parse().unwrap();
        url.set_path(&self.name);
        url.to_string()
    }

    fn owner_url(&self) -> String {
        self.with_login_of(self.owner.as_str())
    }

    async fn drop(self) {
        let sql = format!("drop database {} with (force)", self.name);
        run(&mut connect(self.owner.as_str()).await, &sql).await.unwrap();
    }
}

/// Events of three identities.
async fn fill_registry(database: &Database) {
    let cause = Cause {
        source: EventSource::DiscordVerification,
        at: OffsetDateTime::now_utc(),
    };
    let mut tx = database.global().await.unwrap();
    for id in 1..=3_u8 {
        let account = Account::Discord(user(id.into()));
        let identity = tx.registry().create(account, "Chani", cause).await.unwrap();
        let wallet = VerifiedWallet {
            address: arrakis_domain::Address::from_bytes([id; 20]),
            chain_id: 80094,
            signature: None,
            verified_at: cause.at,
        };
        tx.registry().verify_wallet(identity.id, &wallet, cause).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Every row of every table, as text.
async fn everything(admin: &mut PgConnection) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select oid::regclass::text from pg_class
          where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(&mut *admin)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let sql = format!("select '{table} ' || to_jsonb(t)::text from {table} t order by 1");
        let of_table: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut *admin)
            .await
            .unwrap();
        rows.extend(of_table);
    }
    rows
}

const READ_EVERYTHING: &str = "grant select on all tables in schema public to arrakis_admin";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dump_by_a_login_that_reads_every_row_is_restored_whole() {
    let two = TwoTenants::create().await;
    let source = &two.database;
    let database = source.database().await;
    fill_registry(&database).await;
    let folder = std::env::temp_dir().join(format!("arrakis-backup-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("arrakis.dump");
    let file = file.to_str().unwrap();
    let dump = async |url: &str| {
        run_program(
            "pg_dump",
            &["--format=custom", "--no-owner", "--file", file, "--dbname", url],
        )
        .await
    };

    // Neither the application nor the owner sees every row: each would write an incomplete file, and pg_dump refuses.
    for url in [source.app_url(), source.owner_url()] {
        let refused = dump(&url).await.unwrap_err();
        assert!(
            refused.contains("row-level security") || refused.contains("permission denied"),
            "{refused}"
        );
    }
    run(&mut connect(&source.owner_url()).await, READ_EVERYTHING)
        .await
        .unwrap();
    dump(&source.admin_url()).await.unwrap();
    let before = database.verify_registry().await.unwrap();
    assert_eq!((before.head.sequence, before.problem.clone()), (6, None));

    let target = EmptyDatabase::create(source).await;
    run_program(
        "pg_restore",
        &[
            "--no-owner",
            "--exit-on-error",
            "--single-transaction",
            "--dbname",
            &target.owner_url(),
            file,
        ],
    )
    .await
    .unwrap();
    // A new database has the rights of PUBLIC again; `migrate` revokes them, without which no service starts.
    let restored_url = Secret::new(target.with_login_of(&source.app_url()));
    assert!(
        Database::connect(&restored_url, DatabaseOptions::default())
            .await
            .is_err()
    );
    let summary = migrate(&target.owner_url()).await.unwrap();
    assert_eq!(summary.from, summary.to);

    let restored = Database::connect(&restored_url, DatabaseOptions::default())
        .await
        .unwrap();
    assert_eq!(restored.verify_registry().await.unwrap(), before);
    let mut old = connect(&source.admin_url()).await;
    let mut new = connect(&target.with_login_of(&source.admin_url())).await;
    assert_eq!(everything(&mut new).await, everything(&mut old).await);
    // Appends continue the restored chain.
    let cause = Cause {
        source: EventSource::DiscordVerification,
        at: OffsetDateTime::now_utc(),
    };
    let mut tx = restored.global().await.unwrap();
    tx.registry()
        .create(Account::Discord(user(9)), "Stilgar", cause)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let after = restored.verify_registry().await.unwrap();
    assert_eq!((after.head.sequence, after.problem), (7, None));

    restored.close();
    drop(new);
    target.drop().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_alone_cannot_be_restored_into_a_schema() {
    let source = TestDatabase::create().await;
    fill_registry(&source.database().await).await;
    run(&mut connect(&source.owner_url()).await, READ_EVERYTHING)
        .await
        .unwrap();
    let folder = std::env::temp_dir().join(format!("arrakis-backup-{}", Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("arrakis.dump");
    let file = file.to_str().unwrap();
    let arguments = ["--format=custom", "--file", file, "--dbname"];
    run_program("pg_dump", &[&arguments[..], &[&source.admin_url()]].concat())
        .await
        .unwrap();
    let empty = TestDatabase::create().await;
    let refused = run_program(
        "pg_restore",
        &[
            "--data-only",
            "--table=identity_events",
            "--exit-on-error",
            "--dbname",
            &empty.owner_url(),
            file,
        ],
    )
    .await
    .unwrap_err();
    assert!(refused.contains("identity_events"), "{refused}");
    let report = empty.database().await.verify_registry().await.unwrap();
    assert_eq!((report.events, report.problem), (0, None));
    std::fs::remove_dir_all(&folder).unwrap();
}
