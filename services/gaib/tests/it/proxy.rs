//! gaib without a token, through a real discord-proxy.

use std::net::SocketAddr;

use arrakis_config::{Reader, Service, Source};
use arrakis_discord_proxy as proxy;
use arrakis_runtime::Runtime;
use discord_emulator::{Emulator, Options};
use serde_json::json;
use tokio::net::TcpListener;

use crate::session::{GUILD, Session};

const CREDENTIAL: &str = "credential-of-gaib";

/// A proxy in this process, until it is dropped.
struct Replica {
    address: SocketAddr,
    runtime: Runtime,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.runtime.shutdown.soft.cancel();
        self.runtime.shutdown.hard.cancel();
    }
}

/// A single replica. Without Redis it sends one request in 1.1 s, so the tests send few.
async fn replica(emulator: &Emulator) -> Replica {
    arrakis_runtime::install_crypto_provider();
    let token = emulator.token();
    let pairs = [
        ("DISCORD_TOKEN", token.as_str()),
        ("DISCORD_API_BASE", &emulator.addresses().rest),
        ("PROXY_CREDENTIALS", "gaib=credential-of-gaib,api=credential-of-the-api"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
    ];
    let config = Reader::load(Service::DiscordProxy, Source::pairs(pairs), proxy::Config::read).unwrap();
    let runtime = Runtime::for_test(Service::DiscordProxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(proxy::serve_on(listener, config, runtime.clone()));
    Replica { address, runtime }
}

async fn behind_a_proxy() -> (Session, Replica) {
    let options = Options::default();
    let mut session = Session::over(options, json!({ "name": "Sietch Tabr", "community": true })).await;
    let replica = replica(&session.emulator).await;
    session.environment("DISCORD_TOKEN", None);
    // The first replica does not exist, and gaib uses the second one.
    let urls = format!("http://127.0.0.1:1,http://{}", replica.address);
    session.environment("DISCORD_PROXY_URL", Some(&urls));
    session.environment("DISCORD_PROXY_CREDENTIAL", Some(CREDENTIAL));
    (session, replica)
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_applied_and_destroyed_without_a_token() {
    let (mut session, _replica) = behind_a_proxy().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "roles:\n  guard: { name: Guard }\nchannels:\n  gate: { topic: Halt., overwrites: { guard: { allow: [VIEW_CHANNEL] } } }\n",
    );
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    let destroyed = session.gaib("server destroy --auto-approve").await;
    assert_eq!(destroyed.code, 0, "{}", destroyed.stderr);
    let stats = session.emulator.app().traffic.stats();
    assert!(!stats.limited.contains_key("global"), "{:?}", stats.limited);
    assert!(
        stats.most_requests_in_1100_ms <= 50,
        "{}",
        stats.most_requests_in_1100_ms
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_by_the_proxy_is_an_error_with_advice() {
    let (mut session, replica) = behind_a_proxy().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.environment("DISCORD_PROXY_CREDENTIAL", Some("another"));
    let unknown = session.gaib("server plan").await;
    assert!(
        unknown.code == 1 && unknown.stderr.contains("the proxy refuses DISCORD_PROXY_CREDENTIAL"),
        "{}",
        unknown.stderr
    );
    session.environment("DISCORD_PROXY_CREDENTIAL", Some("credential-of-the-api"));
    session.write("discord-server.yaml", "roles:\n  guard: { name: Guard }\n");
    let not_allowed = session.gaib("server apply --auto-approve").await;
    assert!(
        not_allowed.code == 1 && not_allowed.stderr.contains("use the credential of the caller gaib"),
        "{}",
        not_allowed.stderr
    );
    session.environment("DISCORD_PROXY_CREDENTIAL", None);
    let missing = session.gaib("server plan").await;
    assert!(
        missing.stderr.contains("DISCORD_PROXY_CREDENTIAL is not set"),
        "{}",
        missing.stderr
    );
    session.environment("DISCORD_PROXY_CREDENTIAL", Some(CREDENTIAL));
    let address = replica.address;
    drop(replica);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let unreachable = session.gaib("server plan").await;
    assert!(
        unreachable.code == 1
            && unreachable
                .stderr
                .contains(&format!("the discord-proxy at http://{address}/api/v10")),
        "{}",
        unreachable.stderr
    );
}
