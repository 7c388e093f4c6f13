//! Drift in reconcile reports: the configuration, its shadow and the server are compared.

use std::collections::BTreeMap;

use arrakis_telemetry::Metrics;
use arrakis_test_support::{eventually, eventually_within};
use arrakis_worker::configuration::ConfigurationDrift;
use arrakis_worker::jobs::{self, reconcile};
use arrakis_worker::reconcile_report::ReconcileReport;
use arrakis_worker::synthesis::{Manifest, Structure};
use time::OffsetDateTime;

use super::setup::WAIT;
use crate::backups::setup::BackupFolder;
use crate::platform::{Platform, Worker};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconcile_compares_configuration_shadow_and_server() {
    let platform = Platform::start().await;
    let folder = BackupFolder::create();
    let environment = folder.environment(&platform);
    let _worker = Worker::start(&environment).await;
    let server = folder.store().join("manifests").join(&platform.community.guild);
    eventually(
        async || server.join("latest.json").exists(),
        "the first version in the store",
    )
    .await;
    // A setting that nothing records: the leader finds it within minutes.
    let mut tx = platform.tenant().await;
    tx.communities().set_welcome_channel(Some(88)).await.unwrap();
    tx.commit().await.unwrap();
    let services = platform.services(&Metrics::new());
    let request = reconcile::request("reconcile:drift");
    jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
    let report = || async {
        let stored = platform
            .tenant()
            .await
            .reconcile_reports()
            .get("reconcile:drift")
            .await
            .unwrap();
        stored.map(|stored| ReconcileReport::read(&stored.report).unwrap())
    };
    let report = eventually_within(WAIT, report, "the report").await;
    match report.drift {
        ConfigurationDrift::Compared { shadow, settings, .. } => {
            assert_eq!((shadow, settings), (1, vec!["welcome_channel".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shadow_with_a_theme_that_does_not_exist_fails_no_reconcile() {
    let platform = Platform::start().await;
    let folder = BackupFolder::create();
    let manifest = |theme: &str| Manifest {
        theme: theme.to_owned(),
        rule_set: "balance".to_owned(),
        structure: Structure::Whole,
        roles: BTreeMap::new(),
    };
    let put = async |theme: &str| {
        let mut tx = platform.tenant().await;
        tx.manifests().put(&manifest(theme).to_value(), "liet").await.unwrap();
        tx.commit().await.unwrap();
    };
    put("forgotten").await;
    let _worker = Worker::start(&folder.environment(&platform)).await;
    let server = folder.store().join("manifests").join(&platform.community.guild);
    eventually(
        async || server.join("latest.json").exists(),
        "the first version in the store",
    )
    .await;
    // The reconcile of the leader would repair the server, and the repair record another version.
    let has_ended = || async {
        let mut tx = platform.tenant().await;
        let id = reconcile::scheduled_id(OffsetDateTime::now_utc());
        tx.jobs()
            .get(&id)
            .await
            .unwrap()
            .is_some_and(|job| job.state.is_final())
    };
    eventually_within(WAIT, has_ended, "the reconcile of the leader to end").await;
    put("sietch").await;
    let services = platform.services(&Metrics::new());
    let request = reconcile::request_in_mode("reconcile:compare:drift".to_owned(), reconcile::Mode::Compare);
    jobs::enqueue(&services, platform.community.id, &request).await.unwrap();
    let report = || async {
        let stored = platform
            .tenant()
            .await
            .reconcile_reports()
            .get(&request.id)
            .await
            .unwrap();
        stored.map(|stored| ReconcileReport::read(&stored.report).unwrap())
    };
    let report = eventually_within(WAIT, report, "the report").await;
    match report.drift {
        ConfigurationDrift::NoShadow { reason } => assert!(reason.contains("forgotten"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
