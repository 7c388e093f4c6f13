//! The comparison of the database with the store: what is reported as a problem, and how a new version ends it.

use std::sync::Arc;

use arrakis_test_support::Process;
use arrakis_vault::store::{HookedStore, StoreHook, StoreOperation};
use arrakis_vault::{FolderStore, ObjectKey, ObjectStore, StoreError};
use arrakis_worker::configuration::ShadowStore;
use async_trait::async_trait;
use parking_lot::Mutex;

use super::setup::{Shadowed, WAIT, two_versions};
use crate::profile_import::setup::Setup;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_shadow_is_reported_everywhere_and_restored_by_a_new_version() {
    let shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let path = shadowed.object("1.json.gz");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problem_count, health.pending), (1, 0));
    let problem = &health.problems[0];
    assert_eq!(problem.server, "100");
    assert!(problem.problem.contains("1.json.gz is damaged"), "{problem:?}");
    let entries = tx.platform_audit_entries(10).await.unwrap();
    let mismatches: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "configuration.mismatch")
        .collect();
    assert_eq!((mismatches.len(), mismatches[0].subject.as_str()), (1, "100"));
    drop(tx);
    for arguments in [&["verify"][..], &["show", "100"], &["history", "100"]] {
        let (code, text) = shadowed.run(arguments).await;
        assert_eq!(code, 1, "{arguments:?}: {text}");
        assert!(text.contains("1.json.gz is damaged"), "{arguments:?}: {text}");
    }
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 2 is the newest"), "{text}");
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    assert_eq!(tx.shadow_health().await.unwrap().unwrap().problem_count, 0);
}

/// Runs `configurations record` between the read of the row and the response to the first read of the pointer.
#[derive(Debug)]
struct OtherRecord {
    environment: Mutex<Option<Vec<(&'static str, String)>>>,
}

#[async_trait]
impl StoreHook for OtherRecord {
    async fn before(
        &self,
        _store: &dyn ObjectStore,
        operation: StoreOperation,
        key: &ObjectKey,
    ) -> Result<(), StoreError> {
        let environment = match operation == StoreOperation::Read && key.as_str().ends_with("latest.json") {
            true => self.environment.lock().take(),
            false => None,
        };
        if let Some(environment) = environment {
            let program = std::path::Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
            let arguments = ["configurations", "record", "100", "--by", "liet"];
            let process = Process::start_at(program, &arguments, environment);
            let (status, text) = process.output(WAIT).await;
            assert!(status.success(), "{text}");
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_that_is_recorded_during_a_comparison_is_no_mismatch() {
    let mut shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let folder = shadowed.setup.path("store");
    let environment = vec![
        ("DATABASE_URL", shadowed.setup.test.app_url()),
        ("BACKUP_STORE", format!("file://{}", folder.display())),
    ];
    let hook = OtherRecord {
        environment: Mutex::new(Some(environment)),
    };
    let store = HookedStore::new(Arc::new(FolderStore::new(folder)), Arc::new(hook));
    shadowed.services.shadows = Some(ShadowStore::new(Arc::new(store)));
    shadowed.lead().await;
    assert!(shadowed.object("2.json.gz").exists(), "recorded during the comparison");
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problems, health.error), (Vec::new(), None));
}

/// A database that was restored from an older backup: the store has versions that it does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_older_than_the_store_is_a_problem_until_an_operator_decides() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    shadowed.lead().await;
    let (code, text) = setup
        .command(&["theme", "100", "basic", "--by", "liet"], Vec::new())
        .await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    setup
        .rows(&format!(
            "delete from configuration_versions where version = 2;
         update communities set theme = 'sietch', name = 'Restored' where community_id = '{}'",
            setup.community
        ))
        .await;
    shadowed.lead().await;
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 1, "{text}");
    let mut tx = setup.database.global().await.unwrap();
    assert_eq!(tx.shadow_health().await.unwrap().unwrap().problem_count, 1);
    drop(tx);
    let (code, text) = shadowed.run(&["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 3 is the newest"), "{text}");
    assert_eq!(
        shadowed.json(&["show", "100"]).await["configuration"]["name"],
        "Restored"
    );
    assert_eq!(shadowed.run(&["verify"]).await.0, 0);
}

/// Write access to the store is enough to create a version with the right checksums.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_without_a_trusted_signature_is_reported_and_not_rebuilt() {
    let (shadowed, forger) = (Shadowed::signed().await, Shadowed::create().await);
    two_versions(&shadowed).await;
    two_versions(&forger).await;
    let (code, text) = shadowed.run_signed_on(&shadowed.setup, &["verify"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("were not verified"), "{text}");
    let (code, text) = shadowed.run(&["verify"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("BACKUP_SIGNING_KEY is not set: the signatures"), "{text}");

    std::fs::copy(forger.object("2.json.gz"), shadowed.object("2.json.gz")).unwrap();
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!(health.problem_count, 1);
    let problem = &health.problems[0].problem;
    assert!(
        problem.contains("2.json.gz is damaged: it has no signature"),
        "{problem}"
    );
    drop(tx);
    let (code, text) = shadowed.run_signed_on(&shadowed.setup, &["verify"]).await;
    assert_eq!(code, 1, "{text}");

    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--dry-run", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 2"), "{text}");
    assert!(text.contains("BACKUP_SIGNING_KEY is not set: the signatures"), "{text}");
    let (code, text) = shadowed.run_signed_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 1"), "{text}");
    assert!(
        text.contains("not used: version 2: ") && text.contains("it has no signature"),
        "{text}"
    );
    assert!(!text.contains("BACKUP_SIGNING_KEY"), "{text}");

    // An operator decides for the database's configuration.
    let (code, text) = shadowed
        .run_signed_on(&shadowed.setup, &["record", "100", "--by", "liet"])
        .await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    let mut tx = shadowed.setup.database.global().await.unwrap();
    assert_eq!(tx.shadow_health().await.unwrap().unwrap().problem_count, 0);
}

/// Write access to the store is enough to choose the names of objects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_object_is_named_and_chooses_no_version() {
    let shadowed = Shadowed::signed().await;
    let setup = &shadowed.setup;
    two_versions(&shadowed).await;
    let foreign = ["2147483646.json.gz", "4294967295.json.gz", "500.json.gz", "03.json.gz"];
    for name in foreign {
        std::fs::write(shadowed.object(name), "x").unwrap();
    }
    let (code, text) = shadowed.run_signed_on(setup, &["verify"]).await;
    assert_eq!(code, 1, "{text}");
    for name in foreign {
        let named = format!("{name} is a foreign object");
        assert!(text.contains(&named), "{name}: {text}");
    }
    assert!(text.contains("1 server compared, 4 problems"), "{text}");

    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_signed_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    let versions = lost.rows("select version from configuration_versions").await;
    assert_eq!(versions, ["2"]);

    let (code, text) = shadowed.run_signed_on(setup, &["record", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("version 3 is the newest"), "{text}");
    let change = ["theme", "100", "sietch", "--by", "liet"];
    let (code, text) = setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    for name in foreign {
        std::fs::remove_file(shadowed.object(name)).unwrap();
    }
    let (code, text) = shadowed.run_signed_on(setup, &["verify"]).await;
    assert_eq!(code, 0, "{text}");
    let newest = "select max(version) from configuration_versions";
    assert_eq!(setup.rows(newest).await, ["4"]);
}
