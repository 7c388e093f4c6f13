//! The canary: a share of the servers is served by other workers, goes back when they end, and is raised and taken back by metrics.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_config::Secret;
use arrakis_contracts::names;
use arrakis_contracts::rollout::is_in_share;
use arrakis_db::{Admin, DatabaseOptions};
use arrakis_test_support::{Process, eventually};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::platform::{Platform, Worker};

const SHARE: &str = "arrakis_worker_canary_share_percent";
const HANDED_OVER: &str = "arrakis_worker_handed_over_total{outcome=\"handed_over\",queue=\"arrakis.interactions\"}";
const UNSERVED: &str = "arrakis_worker_handed_over_total{outcome=\"unserved\",queue=\"arrakis.interactions\"}";
const OF_CANARY: &str = "arrakis_worker_messages_total{queue=\"arrakis.canary.interactions\",verdict=\"done\"}";
/// Deliveries from the queue, also of messages that are handed over.
const WAITED: &str = "arrakis_worker_queue_wait_seconds_count{queue=\"arrakis.interactions\"}";
const LIMIT: Duration = Duration::from_secs(60);
/// Interactions of the load: one every 40 ms.
const INTERACTIONS: u64 = 200;
const PAUSE: Duration = Duration::from_millis(40);

async fn canary(platform: &Platform) -> Worker {
    let mut environment = platform.environment();
    environment.push(("WORKER_GROUP", "canary".to_owned()));
    let worker = Worker::start(&environment).await;
    let reports = async || platform.database.canary_share().await.unwrap().is_served;
    eventually(reports, "the canary worker to report").await;
    worker
}

async fn admin(platform: &Platform) -> Admin {
    Admin::connect(&Secret::new(platform.admin_url()), DatabaseOptions::default())
        .await
        .unwrap()
}

async fn set_share(platform: &Platform, percent: u8) {
    let mut tx = admin(platform).await.database().global().await.unwrap();
    tx.set_canary_share(percent, "stilgar", "the test").await.unwrap();
    tx.commit().await.unwrap();
}

/// A server whose point differs for every number.
const fn guild(number: u64) -> u64 {
    1_200_000_000_000_000_000 + (number << 22)
}

/// Interactions of many servers, one after another; returns their ids. The share goes by the label of the message, so the member's server is the
/// community's for all of them.
async fn load(platform: &Platform) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..INTERACTIONS {
        let id = platform.send_command("chani", "position", json!({})).await;
        let dispatch = platform.dispatch_of(&id).await;
        let mut labels = dispatch.labels();
        labels.guild = Some(guild(number));
        platform.publish_labelled(&dispatch, &labels).await;
        ids.push(id);
        tokio::time::sleep(PAUSE).await;
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_rises_falls_and_loses_its_worker_under_load_and_no_interaction_is_lost() {
    let (platform, stable) = Platform::with_worker().await;
    let first = canary(&platform).await;
    assert_eq!(first.metric("arrakis_worker_leader"), Some(0.0));
    let steps = async {
        for percent in [10, 50, 100, 0] {
            set_share(&platform, percent).await;
            stable.until_metric(SHARE, percent.into()).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        set_share(&platform, 100).await;
        stable.until_metric(SHARE, 100.0).await;
        let of_first = first.metric(OF_CANARY).unwrap_or_default();
        assert!(of_first > 0.0, "the canary served none");
        // The canary ends with messages in progress. The stable worker takes them, and all that are handed over until it sees that none serves.
        drop(first);
        stable.until_metric(SHARE, 0.0).await;
    };
    let (ids, ()) = tokio::join!(load(&platform), steps);
    for id in &ids {
        platform.control.answered(id).await;
    }
    let callbacks = platform.control.count("POST", "/callback", 204).await;
    assert_eq!(callbacks, ids.len(), "each is responded to once");
    for queue in [
        names::INTERACTIONS,
        &names::canary(names::INTERACTIONS),
        names::DEAD_LETTERS,
    ] {
        platform.until_messages(queue, 0).await;
    }
    assert!(
        stable.metric(OF_CANARY).unwrap_or_default() > 0.0,
        "none was taken back"
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_has_the_servers_of_its_points_and_no_others() {
    let (platform, stable) = Platform::with_worker().await;
    assert_eq!(
        (stable.metric(HANDED_OVER), stable.metric(UNSERVED)),
        (Some(0.0), Some(0.0))
    );
    let canary = canary(&platform).await;
    set_share(&platform, 50).await;
    stable.until_metric(SHARE, 50.0).await;
    let mut inside = 0;
    for number in 0..20 {
        let id = platform.send_command("chani", "position", json!({})).await;
        let dispatch = platform.dispatch_of(&id).await;
        let mut labels = dispatch.labels();
        labels.guild = Some(guild(number));
        platform.publish_labelled(&dispatch, &labels).await;
        platform.control.answered(&id).await;
        inside += u32::from(is_in_share(guild(number), 50));
    }
    // A message without a server is of no share.
    let id = platform.send_command("chani", "position", json!({})).await;
    let dispatch = platform.dispatch_of(&id).await;
    let mut labels = dispatch.labels();
    labels.guild = None;
    platform.publish_labelled(&dispatch, &labels).await;
    platform.control.answered(&id).await;
    canary.until_metric(OF_CANARY, inside.into()).await;
    // It hands nothing over, so that the largest share of all workers is that of the stable ones, also once it has changed.
    let second = self::canary(&platform).await;
    assert_eq!(second.metric(SHARE), Some(0.0));
    stable.until_metric(HANDED_OVER, inside.into()).await;
    // 20, and the one without a server.
    stable.until_metric(WAITED, 21.0).await;
    platform.vhost.finish().await;
}

/// A canary that has just ended, before the stable workers see that it does not report any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interaction_handed_over_to_no_worker_is_taken_back_at_once() {
    let (platform, stable) = Platform::with_worker().await;
    admin(&platform).await.database().report_canary().await.unwrap();
    set_share(&platform, 100).await;
    stable.until_metric(SHARE, 100.0).await;
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    assert_eq!(stable.metric("arrakis_worker_interactions_expired_total"), Some(0.0));
    platform.vhost.finish().await;
}

/// A Prometheus whose value for each query is decided here.
struct Prometheus {
    url: String,
    failed: Arc<Mutex<&'static str>>,
    kept: Arc<Mutex<&'static str>>,
    handled: Arc<Mutex<&'static str>>,
    of_share: Arc<Mutex<&'static str>>,
}

impl Prometheus {
    /// One canary worker, no failures.
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let [failed, kept, handled, of_share] = ["0", "0", "7", "7"].map(|value| Arc::new(Mutex::new(value)));
        let (value_of_failed, value_of_kept) = (failed.clone(), kept.clone());
        let (value_of_handled, value_of_share) = (handled.clone(), of_share.clone());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8_192];
                let length = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let value = if request.contains("query=sum%28arrakis_worker_group_info") {
                    "1"
                } else if request.contains("verdict") {
                    *value_of_failed.lock()
                } else if request.contains("kept") {
                    *value_of_kept.lock()
                } else if request.contains("query=sum%28increase%28arrakis_worker_messages_total") {
                    *value_of_handled.lock()
                } else if request.contains("query=sum%28increase%28arrakis_worker_handed_over_total") {
                    *value_of_share.lock()
                } else {
                    "NaN"
                };
                let body = json!({
                    "status": "success",
                    "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1_790_000_000.5, value]}]},
                });
                let body = body.to_string();
                let response = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        Self {
            url,
            failed,
            kept,
            handled,
            of_share,
        }
    }
}

fn script(platform: &Platform, prometheus: &str, options: &[&str]) -> Process {
    script_with(platform, prometheus, options, &[])
}

/// The script, whose steps end with their second check: no option permits less than 30 s.
fn script_with_short_steps(platform: &Platform, prometheus: &str, options: &[&str]) -> Process {
    let points = "worker.guard.canary_hold=skip".to_owned();
    script_with(platform, prometheus, options, &[("ARRAKIS_FAIL_POINTS", points)])
}

fn script_with(
    platform: &Platform,
    prometheus: &str,
    options: &[&str],
    variables: &[(&'static str, String)],
) -> Process {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/canary.sh"));
    let mut environment = vec![
        ("DATABASE_ADMIN_URL", platform.admin_url()),
        ("ARRAKIS_WORKER", env!("CARGO_BIN_EXE_arrakis-worker").to_owned()),
    ];
    environment.extend_from_slice(variables);
    Process::start_at(script, &[&[prometheus, "stilgar"][..], options].concat(), environment)
}

/// The shortest steps.
const FAST: [&str; 6] = ["--steps", "10,100", "--hold-seconds", "30", "--check-seconds", "1"];
/// One step.
const ONE: [&str; 6] = ["--steps", "100", "--hold-seconds", "30", "--check-seconds", "1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_raises_the_share_and_takes_it_back_when_a_threshold_is_crossed() {
    let platform = Platform::start().await;
    let prometheus = Prometheus::start().await;
    let (status, output) = script(&platform, &prometheus.url, &FAST).output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("no canary worker serves"), "{output}");
    let _canary = canary(&platform).await;
    let share = async || platform.database.canary_share().await.unwrap();

    let raising = script_with_short_steps(&platform, &prometheus.url, &FAST);
    let (status, output) = raising.output(LIMIT).await;
    assert_eq!(status.code(), Some(0), "{output}");
    assert_eq!(
        (share().await.percent, share().await.changed_by),
        (100, "stilgar".to_owned())
    );

    let slow = ["--steps", "10,100", "--hold-seconds", "60", "--check-seconds", "1"];
    let process = script(&platform, &prometheus.url, &slow);
    process.line("10 % for 60 s").await;
    *prometheus.failed.lock() = "5.5";
    let (status, output) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(
        output.contains("at 10 %: failed messages, percent: 5.50, above 1"),
        "{output}"
    );
    let after = share().await;
    assert_eq!(after.percent, 0);
    assert!(after.reason.contains("failed messages"), "{after:?}");
    let mut tx = admin(&platform).await.database().global().await.unwrap();
    let entries = tx.platform_audit_entries(10).await.unwrap();
    let shares: Vec<_> = entries.iter().filter(|entry| entry.action == "canary.share").collect();
    assert_eq!(shares.len(), 4, "10, 100, 10, 0: {entries:#?}");

    // The stable workers keep what they cannot hand over, so the canary looks well and serves nothing.
    *prometheus.failed.lock() = "0";
    *prometheus.kept.lock() = "100";
    let (status, output) = script(&platform, &prometheus.url, &FAST).output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("were not handed over, percent: 100.00"), "{output}");
    assert_eq!(share().await.percent, 0);
}

/// Every threshold holds, and the stable workers serve everyone: the build was tested by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_takes_the_share_back_when_the_canary_has_handled_nothing() {
    let platform = Platform::start().await;
    let _canary = canary(&platform).await;
    let prometheus = Prometheus::start().await;
    *prometheus.handled.lock() = "0";
    let percent = async || platform.database.canary_share().await.unwrap().percent;
    let began = Instant::now();
    let (status, output) = script(&platform, &prometheus.url, &ONE).output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(began.elapsed() >= Duration::from_secs(30), "the step was held");
    assert!(
        output.contains("at 100 %: the canary has handled none of the 7 messages of its servers"),
        "{output}"
    );
    assert_eq!(percent().await, 0);
    *prometheus.of_share.lock() = "NaN";
    let untested = script_with_short_steps(&platform, &prometheus.url, &ONE);
    let (status, output) = untested.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("this step has tested nothing"), "{output}");
    assert!(output.contains("no message in any step"), "{output}");
    assert_eq!(percent().await, 0);
    let short = ["--steps", "100", "--hold-seconds", "0"];
    let (status, output) = script(&platform, &prometheus.url, &short).output(LIMIT).await;
    assert_eq!(status.code(), Some(64), "{output}");
}

/// As with a canary worker that cannot reach PostgreSQL: Prometheus scrapes it, and nothing is handed over to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_takes_the_share_back_when_no_canary_worker_reports() {
    let (platform, stable) = Platform::with_worker().await;
    let canary = canary(&platform).await;
    let prometheus = Prometheus::start().await;
    let slow = ["--steps", "100", "--hold-seconds", "60", "--check-seconds", "1"];
    let process = script(&platform, &prometheus.url, &slow);
    process.line("100 % for 60 s").await;
    stable.until_metric(SHARE, 100.0).await;
    drop(canary);
    stable.until_metric(SHARE, 0.0).await;
    // The stable workers count what would have been the canary's.
    let id = platform.run_command("chani", "position", json!({})).await;
    platform.control.answered(&id).await;
    stable.until_metric(UNSERVED, 1.0).await;
    let (status, output) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("at 100 %: no canary worker reports"), "{output}");
    assert_eq!(platform.database.canary_share().await.unwrap().percent, 0);
}

/// An operator who has set the share to 0 has the last word: the script does not raise it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_stops_when_somebody_else_changes_the_share() {
    let platform = Platform::start().await;
    let _canary = canary(&platform).await;
    let prometheus = Prometheus::start().await;
    let process = script(&platform, &prometheus.url, &FAST);
    process.line("10 % for 30 s").await;
    let mut tx = admin(&platform).await.database().global().await.unwrap();
    tx.set_canary_share(0, "chani", "it answers wrongly").await.unwrap();
    tx.commit().await.unwrap();
    let (status, output) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(
        output.contains("it was changed meanwhile, to 0 % by chani: it answers wrongly"),
        "{output}"
    );
    let share = platform.database.canary_share().await.unwrap();
    assert_eq!((share.percent, share.changed_by.as_str()), (0, "chani"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn share_goes_back_without_metrics_and_when_the_script_is_ended() {
    let platform = Platform::start().await;
    let _canary = canary(&platform).await;
    let percent = async || platform.database.canary_share().await.unwrap().percent;
    let slow = ["--steps", "50", "--hold-seconds", "60", "--check-seconds", "1"];
    let (status, output) = script(&platform, "http://127.0.0.1:1", &slow).output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("at 50 %: the metrics cannot be read"), "{output}");
    assert_eq!(percent().await, 0);
    let prometheus = Prometheus::start().await;
    let process = script(&platform, &prometheus.url, &slow);
    process.line("50 % for 60 s").await;
    eventually(async || percent().await == 50, "the share to be 50 %").await;
    process.terminate();
    let (status, output) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert_eq!(percent().await, 0);
    let process = script(&platform, &prometheus.url, &slow);
    process.line("50 % for 60 s").await;
    process.hang_up();
    let (status, output) = process.output(LIMIT).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(
        output.contains("the share is 0 again: the terminal was closed"),
        "{output}"
    );
    assert_eq!(percent().await, 0);
}
