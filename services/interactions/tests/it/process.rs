//! The service as a process.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use arrakis_test_support::{Process, TestVhost};
use discord_emulator::{Emulator, Options};
use reqwest::{Client, StatusCode};

use crate::world::{command, environment, now};

const PROGRAM: &str = env!("CARGO_BIN_EXE_arrakis-interactions");

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn process_serves_until_sigterm() {
    let discord = Emulator::start(Options::default()).await.unwrap();
    let vhost = TestVhost::create().await;
    let (health, listen) = (free_address(), free_address());
    let mut variables = environment(&discord, &vhost.url());
    variables.push(("HEALTH_ADDR", health.clone()));
    variables.push(("INTERACTIONS_ADDR", listen.clone()));
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
    let (timestamp, body) = (now().to_string(), command(1).to_string());
    let signature = discord.app().interactions.sign(&timestamp, body.as_bytes());
    let delivered = Client::new()
        .post(format!("http://{listen}/interactions"))
        .header("x-signature-timestamp", timestamp)
        .header("x-signature-ed25519", signature)
        .body(body);
    assert_eq!(delivered.send().await.unwrap().status(), StatusCode::ACCEPTED);
    process.terminate();
    let status = process.ended(Duration::from_secs(20)).await;
    assert!(status.success(), "{status}");
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
