//! Alerts, dashboards and runbooks: whatever one of them names exists, each alert has been seen to fire and to end, and each query of a
//! dashboard returns data of a running platform.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use arrakis_config::Secret;
use arrakis_test_support::{assert_accepted, eventually_within};
use loadtests::chaos::faults;
use loadtests::platform::{Platform, Replica};
use loadtests::seed;
use serde::Deserialize;
use serde_json::{Value, json};

/// Headings of a runbook.
const HEADINGS: [&str; 4] = [
    "## What it means",
    "## How to see it",
    "## What to do",
    "## How to know it is over",
];

/// Time limit for the data of a panel.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<RuleGroup>,
}

#[derive(Deserialize)]
struct RuleGroup {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    expr: String,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize, Default)]
struct Labels {
    severity: Option<String>,
}

#[derive(Deserialize, Default)]
struct Annotations {
    summary: Option<String>,
    runbook_url: Option<String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<RuleTest>,
}

#[derive(Deserialize)]
struct RuleTest {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Deserialize)]
struct ExpectedAlert {}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with this extension, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no .{extension} file", folder.display());
    files
}

fn rules() -> Vec<Rule> {
    let parsed = files("deploy/prometheus/rules", "yaml").into_iter().flat_map(|path| {
        let file: RuleFile = serde_saphyr::from_str(&read(&path)).unwrap();
        file.groups.into_iter().flat_map(|group| group.rules)
    });
    parsed.collect()
}

/// The alerts by name.
fn alerts() -> Vec<(String, Rule)> {
    let named = rules().into_iter().filter_map(|rule| Some((rule.alert.clone()?, rule)));
    named.collect()
}

/// The queries of all dashboards, each with the name of its panel.
fn panel_queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for path in files("deploy/grafana/dashboards", "json") {
        let dashboard: Value = serde_json::from_str(&read(&path)).unwrap();
        let title = dashboard["title"].as_str().unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let name = format!("{title}, {}", panel["title"].as_str().unwrap());
                queries.push((name, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    queries
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let output = Command::new("promtool").args(arguments).args(files).output();
    let output = output.expect("promtool is missing: apt-get install prometheus");
    assert!(
        output.status.success(),
        "promtool {}:\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn rules_pass_their_tests() {
    promtool(&["check", "rules"], &files("deploy/prometheus/rules", "yaml"));
    promtool(&["test", "rules"], &files("deploy/prometheus/tests", "yaml"));
    promtool(
        &["check", "config"],
        &[root().join("deploy/prometheus/prometheus.yaml")],
    );
}

#[test]
fn every_alert_is_tested_to_fire_and_to_end() {
    let tests: Vec<AlertTest> = files("deploy/prometheus/tests", "yaml")
        .into_iter()
        .flat_map(|path| {
            let file: TestFile = serde_saphyr::from_str(&read(&path)).unwrap();
            file.tests.into_iter().flat_map(|test| test.alert_rule_test)
        })
        .collect();
    let (mut names, mut untested) = (BTreeSet::new(), Vec::new());
    for (name, _) in alerts() {
        assert!(names.insert(name.clone()), "{name} exists twice");
        let of_alert = || tests.iter().filter(|test| test.alertname == name);
        let fires = of_alert().any(|test| !test.exp_alerts.is_empty());
        if !(fires && of_alert().any(|test| test.exp_alerts.is_empty())) {
            untested.push(name);
        }
    }
    assert!(
        untested.is_empty(),
        "alerts without a test that fires and ends: {untested:?}"
    );
    let unknown: Vec<_> = tests.iter().filter(|test| !names.contains(&test.alertname)).collect();
    assert!(unknown.is_empty(), "a test of an alert that does not exist");
}

#[test]
fn every_alert_links_to_its_runbook() {
    let index = read(&root().join("docs/runbooks/README.md"));
    for (name, rule) in alerts() {
        let severity = rule.labels.severity.unwrap_or_default();
        assert!(
            ["page", "ticket", "info"].contains(&severity.as_str()),
            "{name}: severity {severity}"
        );
        let summary = rule.annotations.summary.unwrap_or_default();
        let url = rule.annotations.runbook_url.unwrap_or_default();
        let wanted = format!("/docs/runbooks/{name}.md");
        assert!(url.ends_with(&wanted), "{name}: its runbook_url is {url}");
        assert_runbook(&root().join(format!("docs/runbooks/{name}.md")));
        let row = format!("| [`{name}`]({name}.md) | {severity} | {summary} |");
        assert!(index.contains(&row), "docs/runbooks/README.md lacks the row {row}");
    }
}

fn assert_runbook(path: &Path) {
    let page = read(path);
    for heading in HEADINGS {
        let (_, text) = page
            .split_once(&format!("{heading}\n\n"))
            .unwrap_or_else(|| panic!("{} has no heading {heading}", path.display()));
        let text = text.split("\n## ").next().unwrap_or_default();
        assert!(text.trim().len() > 20, "{}: {heading} is empty", path.display());
    }
}

#[test]
fn every_failed_call_has_a_runbook() {
    let (failures, index) = (
        read(&root().join("docs/failures.md")),
        read(&root().join("docs/runbooks/README.md")),
    );
    let (_, decisions) = failures.split_once("## Decisions").unwrap();
    let rows = decisions
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with("| "));
    let mut count = 0;
    for row in rows {
        let failure = row.trim_start_matches("| ").split(" | ").next().unwrap();
        let entry = index.lines().find(|line| line.starts_with(&format!("| {failure} | [")));
        let entry = entry.unwrap_or_else(|| panic!("docs/runbooks/README.md has no page for: {failure}"));
        let page = entry.rsplit_once("](").unwrap().1.trim_end_matches(") |");
        assert_runbook(&root().join("docs/runbooks").join(page));
        count += 1;
    }
    assert!(count > 8, "docs/failures.md has {count} failures");
}

/// Names of metrics in a text, without the suffixes of a histogram.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let names = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    let ours = names.filter(|name| name.starts_with("arrakis_") || name.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn every_metric_of_alerts_and_dashboards_exists() {
    let page = read(&root().join("docs/operations/metrics.md"));
    let rules = rules().into_iter().map(|rule| rule.expr);
    let queries: Vec<String> = rules
        .chain(panel_queries().into_iter().map(|(_, query)| query))
        .collect();
    assert!(queries.len() > 150, "{} queries", queries.len());
    for name in metrics_in(&queries.join("\n")) {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(&name);
        let exists = [name.as_str(), base]
            .iter()
            .any(|name| page.contains(&format!("| `{name}` |")));
        assert!(exists, "{name} is not in docs/operations/metrics.md");
    }
}

#[test]
fn alerts_of_chaos_scenarios_exist() {
    let names: BTreeSet<String> = alerts().into_iter().map(|(name, _)| name).collect();
    let mut covered = BTreeSet::new();
    for scenario in faults::all() {
        for alert in scenario.alerts {
            assert!(names.contains(*alert), "{scenario:?} names the alert {alert}");
            covered.insert(*alert);
        }
    }
    assert!(covered.len() > 35, "{covered:?}");
}

#[test]
fn dashboards_are_those_of_their_generator() {
    let output = Command::new("python3")
        .arg(root().join("deploy/grafana/build.py"))
        .arg("--check")
        .output()
        .expect("python3 is missing");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn cut_over_runs_its_phases_and_goes_back() {
    let output = Command::new("bash")
        .arg(root().join("deploy/dev/cut_over_test.sh"))
        .output()
        .expect("bash is missing");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn queries_of_dashboards_return_data_of_a_running_platform() {
    arrakis_runtime::install_crypto_provider();
    let mut platform = Platform::prepare().await.unwrap();
    platform.watch().await.unwrap();
    let admin_url = Secret::new(platform.database().admin_url());
    let plan = seed::run(&platform.discord, &admin_url, 1).await.unwrap();
    platform.start().await.unwrap();
    platform.start_api().await.unwrap();
    let server = &plan.servers[0];
    let view = platform.discord.guild(server.guild).await.unwrap();
    let channels = view["channels"].as_array().unwrap();
    let channel = channels.iter().find(|channel| channel["type"] == 0).unwrap();
    let place = (server.guild, channel["id"].as_str().unwrap().parse().unwrap());
    let command = platform
        .discord
        .command(place, server.members[1].user, "help", json!([]));
    platform.discord.answer(&command.await.unwrap()).await.unwrap();
    let response = reqwest::get(format!("{}/eligibility", platform.api_url()))
        .await
        .unwrap();
    assert!(!response.status().is_server_error(), "{}", response.status());

    for replica in platform.replicas() {
        assert_accepted(replica.name(), &metrics_of(replica).await);
    }
    let prometheus = platform.prometheus.as_ref().unwrap();
    for (panel, query) in panel_queries() {
        let query = query.replace("$__rate_interval", "10s");
        let query = query.as_str();
        let has_data = || async move { prometheus.query(query).await.is_ok_and(|series| !series.is_empty()) };
        eventually_within(LIMIT, has_data, format!("data of {panel}: {query}")).await;
    }
    platform.stop().await;
}

async fn metrics_of(replica: &Replica) -> String {
    let url = format!("http://{}/metrics", replica.health_addr());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}
