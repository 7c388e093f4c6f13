//! The service as a process.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_test_support::{Process, TestVhost, TraceCollector, eventually};
use discord_emulator::{Emulator, Options};
use reqwest::{Client, StatusCode};
use serde_json::json;

use crate::world::{command, environment, now};

const PROGRAM: &str = env!("CARGO_BIN_EXE_arrakis-interactions");

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Starts the service with these variables as well; returns it and its address once it is ready.
async fn start(discord: &Emulator, vhost: &TestVhost, more: Vec<(&'static str, String)>) -> (Process, String) {
    let (health, listen) = (free_address(), free_address());
    let mut variables = environment(discord, &vhost.url());
    variables.push(("HEALTH_ADDR", health.clone()));
    variables.push(("INTERACTIONS_ADDR", listen.clone()));
    variables.extend(more);
    let mut process = Process::start_at(Path::new(PROGRAM), &[], variables);
    process.ready(&health).await;
    for endpoint in ["livez", "readyz"] {
        let checked = Process::start_at(
            Path::new(PROGRAM),
            &["healthcheck", endpoint],
            [("HEALTH_ADDR", health.clone())],
        );
        let (status, output) = checked.output(Duration::from_secs(20)).await;
        assert!(status.success(), "{endpoint}: {output}");
    }
    (process, listen)
}

/// Delivers a command; returns the status.
async fn deliver(discord: &Emulator, listen: &str) -> StatusCode {
    let (timestamp, body) = (now().to_string(), command(1).to_string());
    let signature = discord.app().interactions.sign(&timestamp, body.as_bytes());
    let delivered = Client::new()
        .post(format!("http://{listen}/interactions"))
        .header("x-signature-timestamp", timestamp)
        .header("x-signature-ed25519", signature)
        .body(body);
    delivered.send().await.unwrap().status()
}

#[tokio::test]
async fn process_serves_until_sigterm() {
    let discord = Emulator::start(Options::default()).await.unwrap();
    let vhost = TestVhost::create().await;
    let (mut process, listen) = start(&discord, &vhost, Vec::new()).await;
    assert_eq!(deliver(&discord, &listen).await, StatusCode::ACCEPTED);
    process.terminate();
    let status = process.ended(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
    discord.shutdown().await;
    vhost.finish_with(&["arrakis.interactions"]).await;
}

#[tokio::test]
async fn trace_of_an_interaction_begins_here() {
    let discord = Emulator::start(Options::default()).await.unwrap();
    let vhost = TestVhost::create().await;
    let collector = TraceCollector::start().await;
    let traces = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url().to_owned()),
        ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let (mut process, listen) = start(&discord, &vhost, traces).await;
    assert_eq!(deliver(&discord, &listen).await, StatusCode::ACCEPTED);
    let exported = async || {
        let spans = collector.spans();
        let found = spans.iter().find(|span| span.name == "interactions.event.publish");
        found.is_some_and(|span| span.service == "arrakis-interactions" && span.parent_span_id.is_empty())
    };
    eventually(exported, "the first span of the trace").await;
    process.terminate();
    let status = process.ended(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
    discord.shutdown().await;
    vhost.finish_with(&["arrakis.interactions"]).await;
}

/// It receives requests of anybody, so its user of the broker should have no other right.
#[tokio::test]
async fn user_that_may_only_publish_is_enough() {
    let discord = Emulator::start(Options::default()).await.unwrap();
    let vhost = TestVhost::create().await;
    // Declares the topology, as workers do.
    let (mut first, _) = start(&discord, &vhost, Vec::new()).await;
    first.terminate();
    assert!(first.ended(Duration::from_secs(20)).await.success());
    let publishing = json!({"configure": "^$", "write": "^arrakis\\.events$", "read": "^$"});
    vhost.permit(publishing).await.unwrap();
    let (mut process, listen) = start(&discord, &vhost, Vec::new()).await;
    assert_eq!(deliver(&discord, &listen).await, StatusCode::ACCEPTED);
    process.terminate();
    assert!(process.ended(Duration::from_secs(20)).await.success());
    discord.shutdown().await;
    vhost.finish_with(&["arrakis.interactions"]).await;
}

#[tokio::test]
async fn invalid_configuration_ends_the_process_with_78() {
    let process = Process::start_at(
        Path::new(PROGRAM),
        &[],
        [("AMQP_URL", "amqp://127.0.0.1:1"), ("DISCORD_PUBLIC_KEY", "no")],
    );
    let (status, output) = process.output(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(78), "{output}");
    assert!(
        output.contains("DISCORD_PUBLIC_KEY=no") && output.contains("64 hexadecimal digits"),
        "{output}"
    );
}
