//! The health endpoints and the limits of the HTTP server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod listeners;

use arrakis_config::Service;
use arrakis_runtime::{HttpLimits, Runtime, health_router};
use tokio_util::sync::CancellationToken;

async fn serve(runtime: &Runtime) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = runtime.http_server("health", HttpLimits::for_health());
    tokio::spawn(server.serve(listener, health_router(runtime.clone()), CancellationToken::new()));
    base
}

async fn get(url: String) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn down_component_is_named_and_livez_is_200() {
    let runtime = Runtime::for_test(Service::Worker);
    let broker = runtime.health.component("broker");
    let base = serve(&runtime).await;

    let (status, text) = get(format!("{base}/readyz")).await;
    assert_eq!((status, text.as_str()), (503, "broker: starting\n"));
    assert_eq!(get(format!("{base}/livez")).await.0, 200);

    broker.up();
    assert_eq!(get(format!("{base}/readyz")).await, (200, "ready\n".to_owned()));

    broker.degraded("slow");
    let (status, text) = get(format!("{base}/readyz")).await;
    assert_eq!((status, text.as_str()), (200, "ready\nbroker: slow\n"));

    broker.down("connection refused");
    let (status, text) = get(format!("{base}/health")).await;
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 503);
    assert_eq!(document["service"], "arrakis-worker");
    assert_eq!(document["components"]["broker"]["detail"], "connection refused");
    assert!(document["memory"]["resident_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn draining_process_is_not_ready() {
    let runtime = Runtime::for_test(Service::Ingestor);
    let base = serve(&runtime).await;
    assert_eq!(get(format!("{base}/readyz")).await.0, 200);
    runtime.shutdown.soft.cancel();
    assert_eq!(get(format!("{base}/readyz")).await, (503, "draining\n".to_owned()));
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let runtime = Runtime::for_test(Service::Ingestor);
    runtime.metrics.counter("arrakis_test_total", "A test.").inc();
    let base = serve(&runtime).await;
    let (status, text) = get(format!("{base}/metrics")).await;
    assert_eq!(status, 200);
    assert!(
        text.contains("# TYPE arrakis_test_total counter\narrakis_test_total 1"),
        "{text}"
    );
}

#[test]
fn reference_page_and_promtool_accept_the_metrics() {
    let runtime = Runtime::for_test(Service::Worker);
    runtime.health.component("broker").up();
    arrakis_test_support::assert_metrics("every service", &runtime.metrics);
    arrakis_test_support::assert_accepted("every service", &runtime.render_metrics());
}
