//! Rebuild of a lost database from the versions in the store.

use arrakis_db::{PostKind, RunningConfiguration, TenantTx};
use arrakis_domain::{GateKey, RoleId, RoleKey, TierId};
use arrakis_themes::Registry;
use arrakis_worker::synthesis::{Manifest, Structure};
use serde_json::json;

use super::setup::Shadowed;
use crate::profile_import::setup::{Setup, user};

async fn running(tx: &mut TenantTx) -> RunningConfiguration {
    let themes = Registry::load(None).unwrap();
    let record = tx.communities().get().await.unwrap().unwrap();
    let theme = themes.theme(record.theme.as_str()).unwrap();
    tx.running_configuration(&record, Some(theme)).await.unwrap()
}

/// Gives the community one of everything that its configuration has.
async fn configure(setup: &Setup) {
    let mut tx = setup.tenant().await;
    let gate = GateKey::new("leaderboard").unwrap();
    tx.feature_gates()
        .set(&gate, &TierId::new("usul").unwrap(), user(9))
        .await
        .unwrap();
    tx.communities()
        .bind_role(&RoleKey::new("naib").unwrap(), RoleId(77))
        .await
        .unwrap();
    tx.communities().set_welcome_channel(Some(88)).await.unwrap();
    tx.communities().take_over(user(9), "a stolen account").await.unwrap();
    tx.posts().set_enabled(PostKind::Digest, false).await.unwrap();
    let manifest = Manifest {
        theme: "sietch".to_owned(),
        rule_set: "balance".to_owned(),
        structure: Structure::Whole,
        roles: [("naib".to_owned(), 77)].into(),
    };
    tx.manifests().put(&manifest.to_value(), "liet").await.unwrap();
    tx.server_state()
        .restore(&json!({"lineage": "x", "serial": 7}))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_database_is_rebuilt_from_the_store() {
    let shadowed = Shadowed::create().await;
    configure(&shadowed.setup).await;
    shadowed.lead().await;
    let before = running(&mut shadowed.setup.tenant().await).await;
    let lost = Setup::empty().await;

    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--dry-run", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 1"), "{text}");
    assert_eq!(lost.count("guild_routes").await, 0);
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    let mut tx = lost.database.tenant(shadowed.setup.community).await.unwrap();
    assert_eq!(running(&mut tx).await, before);
    let record = tx.communities().get().await.unwrap().unwrap();
    assert_eq!(record.controlled_by, Some(user(9)));
    let job = format!("reconcile:rebuild:{}", shadowed.setup.community);
    assert!(tx.jobs().get(&job).await.unwrap().is_some());
    drop(tx);
    // The leader finds the version in the store, and no other one follows.
    shadowed.lead_on(&lost).await;
    let versions = format!(
        "select version, shadowed_at is not null from configuration_versions where community_id = '{}'",
        shadowed.setup.community
    );
    assert_eq!(lost.rows(&versions).await, ["1|t"]);
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: its community exists"), "{text}");
}

/// A leader that was killed between a version and the pointer, in a database that is then lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuild_from_a_version_that_the_pointer_does_not_name_is_no_mismatch() {
    let shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let pointer = std::fs::read(shadowed.object("latest.json")).unwrap();
    let change = ["theme", "100", "basic", "--by", "liet"];
    let (code, text) = shadowed.setup.command(&change, Vec::new()).await;
    assert_eq!(code, 0, "{text}");
    shadowed.lead().await;
    std::fs::write(shadowed.object("latest.json"), pointer).unwrap();
    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 2"), "{text}");
    shadowed.lead_on(&lost).await;
    let mut tx = lost.database.global().await.unwrap();
    let health = tx.shadow_health().await.unwrap().unwrap();
    assert_eq!((health.problems, health.pending), (Vec::new(), 0));
    drop(tx);
    assert_eq!(shadowed.json(&["show", "100"]).await["configuration"]["theme"], "basic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_newest_version_is_named_and_the_one_before_is_used() {
    let shadowed = Shadowed::create().await;
    let setup = &shadowed.setup;
    shadowed.lead().await;
    assert_eq!(
        setup
            .command(&["theme", "100", "basic", "--by", "liet"], Vec::new())
            .await
            .0,
        0
    );
    shadowed.lead().await;
    std::fs::write(shadowed.object("2.json.gz"), "nothing").unwrap();
    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "100", "--by", "liet"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("server 100: from version 1"), "{text}");
    assert!(text.contains("server 100: not used: version 2: "), "{text}");
    // The configuration is recorded above the damaged version: the database is not older than the store.
    shadowed.lead_on(&lost).await;
    let (code, text) = shadowed.run_on(&lost, &["verify"]).await;
    assert_eq!(code, 0, "{text}");
    let versions = lost.rows("select version, cause from configuration_versions").await;
    assert_eq!(versions, ["3|rebuild"]);
    std::fs::write(shadowed.object("3.json.gz"), "nothing").unwrap();
    std::fs::write(shadowed.object("1.json.gz"), "nothing").unwrap();
    let lost = Setup::empty().await;
    let (code, text) = shadowed.run_on(&lost, &["rebuild", "--by", "liet"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("server 100: failed: no version in the store is intact"),
        "{text}"
    );
    assert_eq!(lost.count("guild_routes").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_at_the_same_time_create_a_community_once() {
    let shadowed = Shadowed::create().await;
    shadowed.lead().await;
    let lost = Setup::empty().await;
    let store = format!("file://{}", shadowed.setup.path("store").display());
    let rebuild = async || {
        let variables = vec![
            ("BACKUP_STORE", store.clone()),
            ("ARRAKIS_FAIL_POINTS", "db.committing=sleep(2000)".to_owned()),
        ];
        let arguments = ["configurations", "rebuild", "--by", "liet"];
        lost.command(&arguments, variables).await
    };
    let (one, other) = tokio::join!(rebuild(), rebuild());
    assert_eq!((one.0, other.0), (0, 0), "{}\n{}", one.1, other.1);
    let created = [&one.1, &other.1];
    let created = created
        .iter()
        .filter(|text| text.contains("server 100: from version 1"));
    assert_eq!(created.count(), 1, "{}\n{}", one.1, other.1);
    assert_eq!(lost.count("communities").await, 1);
    assert_eq!(lost.count("configuration_versions").await, 1);
}
