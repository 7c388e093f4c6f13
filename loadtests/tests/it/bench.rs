//! The bench runs for a few seconds without thresholds; the report has to be complete.

use loadtests::bench::{self, Bench, Machine, Options, Profile, Report};
use serde_json::{Value, json};

fn options(folder: &std::path::Path) -> Options {
    Options {
        profile: Profile::Smoke,
        seed: 7,
        result: folder.join("latest.json"),
        baselines: folder.join("baselines"),
        keep: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_reports_ceiling_cpu_of_each_process_and_expired_interactions() {
    let folder = tempfile::tempdir().unwrap();
    let passed = bench::run(options(folder.path())).await.unwrap();
    assert!(passed, "a run without thresholds failed");
    let text = std::fs::read_to_string(folder.path().join("latest.json")).unwrap();
    let mut report: Value = serde_json::from_str(&text).unwrap();
    assert!(report["ceiling"]["per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(report["machine"]["build"], "debug");
    let section = &report["sections"][0];
    for process in [
        "emulator", "ingestor", "worker", "proxy", "rabbitmq", "postgres", "redis",
    ] {
        let usage = &section["processes"][process];
        assert!(
            usage["cpu_s"].as_f64().is_some_and(|cpu| cpu >= 0.0),
            "{process}: {usage}"
        );
        assert!(
            usage["resident_peak_bytes"]
                .as_u64()
                .is_some_and(|bytes| bytes > 1 << 20),
            "{process}: {usage}"
        );
    }
    let load = &section["load"][0];
    assert!(load["counts"]["answered"].as_u64().unwrap() > 0, "{load}");
    assert!(
        load["position"]["count"].as_u64().unwrap() > 0,
        "/position was answered: {load}"
    );
    assert_eq!(section["expired"], report["expired"]);
    assert!(!section["timeline"].as_array().unwrap().is_empty());
    let kept = std::fs::read_to_string(folder.path().join("baselines/smoke.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    for section in report["sections"].as_array_mut().unwrap() {
        section["timeline"] = json!([]);
    }
    assert_eq!(
        kept, report,
        "--keep writes the baseline without the second-by-second data"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_machine_is_measured_by_backups_snapshots_and_a_recovery() {
    arrakis_runtime::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        profile: Profile::SmokeVault,
        keep: false,
        ..options(folder.path())
    };
    let passed = bench::run(options).await.unwrap();
    assert!(passed, "a run without thresholds failed");
    let text = std::fs::read_to_string(folder.path().join("latest.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let figures = report["figures"].as_array().unwrap();
    let figure = |name: &str| {
        let found = figures.iter().find(|figure| figure["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no figure {name} in {report}"));
        found["value"].as_f64().unwrap()
    };
    for name in [
        "vault: backup create",
        "vault: backup restore",
        "vault: backup, object in the store",
        "vault: snapshot create",
        "vault: snapshot, all objects in the store",
        "vault: recovery, teardown → members have their roles",
    ] {
        assert!(figure(name) > 0.0, "{name}: {report}");
    }
    let share = figure("vault: recovery, share of Discord's limits");
    assert!((0.0..=100.0).contains(&share), "{share}");
    let sections = report["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 2, "{report}");
    for section in sections {
        assert!(section["events"].as_u64().unwrap() > 0, "{section}");
        for process in ["emulator", "proxy", "moto"] {
            assert!(
                section["processes"][process]["cpu_s"].is_number(),
                "{process}: {section}"
            );
        }
    }
    for process in ["ingestor", "worker", "api"] {
        assert!(
            sections[1]["processes"][process]["cpu_s"].is_number(),
            "{process}: {report}"
        );
    }
}

#[tokio::test]
async fn report_without_ceiling_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(options(folder.path()));
    let error = Report::assemble(Machine::describe().await, bench, std::time::Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("without its ceiling"), "{error}");
}
