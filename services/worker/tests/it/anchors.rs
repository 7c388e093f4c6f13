//! Anchors of the chain of identity events outside of the database, and rotation of the key that signs them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrakis_config::{Reader, Service, Source};
use arrakis_test_support::{AppRole, OpenBao, Process, TestDatabase, eventually_within};
use arrakis_worker::leader::{Anchored, anchor_chain};
use arrakis_worker::scheduled_backup::{BackupConfig, Backups};
use arrakis_worker::services::Services;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::commands::services;
use crate::registry::{seed, sql};

const LIMIT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(3600);

/// Removes the whole chain, its head, and what follows from it, as an owner of the database can.
const REMOVE_CHAIN: &str = "
    alter table identity_wallets disable trigger user;
    alter table user_identities disable trigger user;
    alter table identity_events disable trigger user;
    alter table identity_chain_head disable trigger user;
    delete from identity_wallets;
    delete from user_identities;
    delete from identity_events;
    update identity_chain_head set sequence = 0, hash = decode(repeat('00', 32), 'hex');";

/// A database with a chain of five events, and a folder with a store and a key.
struct Anchoring {
    database: TestDatabase,
    folder: TempDir,
    /// The signer's variables.
    signer: Vec<(&'static str, String)>,
}

impl Anchoring {
    async fn with(signer: impl FnOnce(&Path) -> Vec<(&'static str, String)>) -> Self {
        let database = TestDatabase::create().await;
        seed(&database).await;
        let folder = tempfile::tempdir().unwrap();
        let signer = signer(folder.path());
        Self {
            database,
            folder,
            signer,
        }
    }

    /// With a key in a file.
    async fn local() -> Self {
        let key = |folder: &Path| vec![("BACKUP_SIGNING_KEY", folder.join("key.pem").display().to_string())];
        Self::with(key).await
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.signer.clone();
        variables.push(("BACKUP_STORE", format!("file://{}", self.store().display())));
        variables
    }

    /// The services of a worker.
    async fn services(&self) -> Services {
        let read = Reader::load(Service::Worker, Source::pairs(self.variables()), BackupConfig::read);
        let backups = Backups::open(&read.unwrap().unwrap()).await.unwrap();
        Services {
            backups: Some(backups),
            ..services(self.database.database().await)
        }
    }

    /// Runs a task of an operator; returns the exit code and what it printed.
    async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let program = Path::new(env!("CARGO_BIN_EXE_arrakis-worker"));
        let mut environment = self.variables();
        environment.push(("DATABASE_URL", self.database.app_url()));
        let (status, text) = Process::start_at(program, arguments, environment).output(LIMIT).await;
        (status.code().unwrap(), text)
    }

    async fn remove_chain(&self) {
        sql(&self.database.owner_url(), REMOVE_CHAIN).await;
    }
}

/// A key in Transit, and the variables by which a worker uses it.
async fn transit() -> (OpenBao, AppRole, Vec<(&'static str, String)>) {
    let bao = OpenBao::start().await;
    bao.create_key("arrakis").await;
    let role = bao.create_role("worker", "arrakis", LONG, LONG).await;
    let variables = vec![
        ("SIGNER", "transit".to_owned()),
        ("VAULT_ADDR", bao.url().to_owned()),
        ("VAULT_ROLE_ID", role.role_id.clone()),
        ("VAULT_SECRET_ID_FILE", role.secret_id_file.display().to_string()),
    ];
    (bao, role, variables)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_anchors_the_head_once_and_finds_a_removed_tail() {
    let anchoring = Anchoring::local().await;
    let services = anchoring.services().await;
    let now = OffsetDateTime::now_utc();
    assert_eq!(anchor_chain(&services, now).await.unwrap(), Anchored::Written(5));
    assert_eq!(anchor_chain(&services, now).await.unwrap(), Anchored::Present(5));
    assert!(anchoring.store().join("signing/public-keys.json").is_file());
    anchoring.remove_chain().await;
    assert_eq!(anchor_chain(&services, now).await.unwrap(), Anchored::Differs(1));
    // Another worker, which becomes the leader.
    let other = anchoring.services().await;
    assert_eq!(anchor_chain(&other, now).await.unwrap(), Anchored::Differs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_compares_the_chain_with_anchors_in_the_store() {
    let anchoring = Anchoring::local().await;
    let (code, text) = anchoring.run(&["registry", "anchor"]).await;
    assert!(
        code == 0 && text.contains("event 5") && text.contains("is anchored"),
        "{text}"
    );
    let (code, text) = anchoring.run(&["registry", "anchor"]).await;
    assert!(code == 0 && text.contains("has an anchor"), "{text}");
    let (code, text) = anchoring.run(&["registry", "verify"]).await;
    assert!(code == 0 && text.contains("the chain agrees with 1 anchor"), "{text}");
    anchoring.remove_chain().await;
    let (code, text) = anchoring.run(&["registry", "verify"]).await;
    assert_eq!(code, 1, "{text}");
    // The chain itself is sound: the anchor shows what is missing.
    assert!(text.contains("the chain is complete: 0 events"), "{text}");
    assert!(
        text.contains("event 1: events were removed from the end of the chain"),
        "{text}"
    );
    assert!(
        text.contains("expected: event 5, hash ") && text.contains("the chain ends at event 0"),
        "{text}"
    );
    let (code, text) = anchoring.run(&["registry", "verify", "--json"]).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 1);
    assert_eq!(report["anchor_problem"]["problem"], "tail_removed");
    assert_eq!(
        (&report["problem"], &report["anchors"]),
        (&Value::Null, &Value::from(1))
    );
    let (code, text) = anchoring.run(&["registry", "anchor"]).await;
    assert!(code == 1 && text.contains("events were removed"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn printed_head_is_an_anchor_and_a_forged_one_is_refused() {
    let anchoring = Anchoring::local().await;
    let (code, text) = anchoring.run(&["registry", "head"]).await;
    assert_eq!(code, 0, "{text}");
    let document = text.lines().find(|line| line.starts_with('{')).unwrap();
    let file = anchoring.folder.path().join("anchor.json");
    std::fs::write(&file, document).unwrap();
    let path = file.display().to_string();
    let verify = ["registry", "verify", "--anchor", &path];
    let (code, text) = anchoring.run(&verify).await;
    assert!(code == 0 && text.contains("the chain agrees with 1 anchor"), "{text}");
    anchoring.remove_chain().await;
    let (code, text) = anchoring.run(&verify).await;
    assert!(code == 1 && text.contains("events were removed"), "{text}");
    // Without the signature of the key, anyone could write a document that the shortened chain satisfies.
    std::fs::write(&file, document.replace("\"sequence\":5", "\"sequence\":4")).unwrap();
    let (code, text) = anchoring.run(&verify).await;
    assert!(code == 1 && text.contains("anchor.json is damaged"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anchors_of_earlier_versions_are_verified_after_a_rotation_in_transit() {
    let (_bao, _role, variables) = transit().await;
    let anchoring = Anchoring::with(|_| variables).await;
    let services = anchoring.services().await;
    let now = OffsetDateTime::now_utc();
    assert_eq!(anchor_chain(&services, now).await.unwrap(), Anchored::Written(5));
    let (code, text) = anchoring.run(&["signing", "rotate", "--by", "stilgar"]).await;
    assert!(code == 0 && text.contains("version 2 signs"), "{text}");
    let (_, text) = anchoring.run(&["audit", "--platform"]).await;
    assert!(text.contains("operator stilgar  signing.rotate  version 2"), "{text}");
    let (code, text) = anchoring.run(&["signing", "keys"]).await;
    assert!(
        code == 0 && text.contains("arrakis version 1") && text.contains("arrakis version 2"),
        "{text}"
    );
    assert_eq!(anchor_chain(&services, now).await.unwrap(), Anchored::Present(5));
    let (code, text) = anchoring.run(&["registry", "verify"]).await;
    assert!(code == 0 && text.contains("the chain agrees with 1 anchor"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anchor_waits_while_transit_is_sealed() {
    let (bao, _role, variables) = transit().await;
    let anchoring = Anchoring::with(|_| variables).await;
    let services = anchoring.services().await;
    let now = OffsetDateTime::now_utc();
    bao.seal().await;
    let error = anchor_chain(&services, now).await.unwrap_err();
    assert!(error.to_string().contains("sealed"), "{error}");
    assert!(
        !anchoring.store().join("anchors").exists(),
        "nothing is signed by another key"
    );
    bao.unseal().await;
    let is_anchored = || async {
        anchor_chain(&services, now)
            .await
            .is_ok_and(|done| done == Anchored::Written(5))
    };
    eventually_within(LIMIT, is_anchored, "the anchor to be written").await;
}

/// As while the kill switch is on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chain_is_verified_while_the_service_refuses_the_key() {
    let (bao, _role, variables) = transit().await;
    let anchoring = Anchoring::with(|_| variables).await;
    let (code, text) = anchoring.run(&["registry", "anchor"]).await;
    assert_eq!(code, 0, "{text}");
    let (code, keys) = anchoring.run(&["signing", "keys"]).await;
    assert_eq!(code, 0, "{keys}");
    bao.forbid("worker").await;
    let (code, text) = anchoring.run(&["registry", "verify"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("the chain is complete: 5 events"), "{text}");
    assert!(
        text.contains("the chain was not compared with its anchors") && text.contains("BACKUP_TRUSTED_KEYS"),
        "{text}"
    );
    // One cause, one error.
    let (code, text) = anchoring.run(&["signing", "keys"]).await;
    assert!(code == 1 && text.matches("refuses this process").count() == 1, "{text}");
    let trusted = keys.split_whitespace().next().unwrap().to_owned();
    let mut trusting = anchoring;
    trusting.signer.push(("BACKUP_TRUSTED_KEYS", trusted));
    let (code, text) = trusting.run(&["registry", "verify"]).await;
    assert!(code == 0 && text.contains("the chain agrees with 1 anchor"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_rotation_names_the_permission_that_is_missing() {
    let (bao, _role, variables) = transit().await;
    let anchoring = Anchoring::with(|_| variables).await;
    // The policy of a service (docs/signing.md).
    let policy = "path \"transit/sign/arrakis\" { capabilities = [\"update\"] }\n\
                  path \"transit/keys/arrakis\" { capabilities = [\"read\"] }\n";
    let body = json!({"policy": policy});
    bao.root(reqwest::Method::PUT, "sys/policies/acl/worker", Some(&body))
        .await;
    let (code, text) = anchoring.run(&["signing", "rotate", "--by", "stilgar"]).await;
    assert!(
        code == 1 && text.contains("`update` on transit/keys/arrakis/rotate"),
        "{text}"
    );
    let (_, text) = anchoring.run(&["audit", "--platform"]).await;
    assert!(!text.contains("signing.rotate"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_of_public_keys_by_another_key_is_named_so() {
    let anchoring = Anchoring::local().await;
    let (code, text) = anchoring.run(&["signing", "rotate", "--by", "stilgar"]).await;
    assert_eq!(code, 0, "{text}");
    let mut other = anchoring;
    let key = other.folder.path().join("other.pem").display().to_string();
    other.signer = vec![("BACKUP_SIGNING_KEY", key)];
    let (code, text) = other.run(&["signing", "keys"]).await;
    assert!(
        code == 0 && text.contains("was signed by another key") && !text.contains("damaged"),
        "{text}"
    );
}
