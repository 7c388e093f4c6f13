//! API keys in URLs appear nowhere: not in errors, not in health, not in debug output, not in logs.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use arrakis_chain::{ChainSettings, Chains, ChainsConfig};
use arrakis_config::{Reader, Service, Source};
use arrakis_test_support::Anvil;
use parking_lot::Mutex;

use crate::support::{Answer, Faults, RpcProxy, client_with, settings};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn api_key_is_in_no_output() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let anvil = Anvil::start().await;
    let mut output = String::new();
    for answer in [
        Answer::Html,
        Answer::Status(401, "key SEKRET42 is invalid"),
        Answer::Error(-32600, "Must be authenticated! key SEKRET42"),
        Answer::Error(-32000, "no such thing at /v2/SEKRET42?apikey=HUNTER22"),
        Answer::Half,
    ] {
        let proxy = RpcProxy::start(
            anvil.url(),
            Faults {
                answer,
                ..Faults::default()
            },
        )
        .await;
        let url = format!("{}/v2/SEKRET42?apikey=HUNTER22", proxy.url());
        let dead = "http://user:passw0rd@127.0.0.1:1/SEKRET42";
        let settings = ChainSettings {
            call_patience: Duration::from_millis(300),
            ..settings()
        };
        let client = client_with(&[&url, dead], settings);
        let error = client.finalized().await.unwrap_err();
        output += &format!("{error} {error:?} {client:?} {:?}", client.endpoints());
        output += &serde_json::to_string(&client.endpoints()).unwrap();
    }
    output += &String::from_utf8_lossy(&log.0.lock());
    assert!(output.contains("127.0.0.1"), "{output}");
    for secret in ["SEKRET42", "HUNTER22", "passw0rd"] {
        let at = output.find(secret);
        assert!(
            at.is_none(),
            "{}",
            &output[at.unwrap_or(0).saturating_sub(300)..][..600.min(output.len())]
        );
    }
}

#[tokio::test]
async fn configuration_is_read_from_the_environment_and_printed_without_keys() {
    let pairs = [
        (
            "CHAIN_RPC_URLS",
            "80094=https://a.example/SEKRET42,https://a.example/OTHERKEY;1=https://b.example",
        ),
        ("CHAIN_FINALIZED_DEPTH", "9"),
    ];
    let config = Reader::load(Service::Worker, Source::pairs(pairs), ChainsConfig::read).unwrap();
    assert_eq!(config.settings.finalized_depth, 9);
    let chains = Chains::new(&config);
    assert!(!format!("{config:?} {chains:?}").contains("SEKRET42"));
    assert_eq!(
        chains.iter().map(|client| client.chain_id().0).collect::<Vec<_>>(),
        [1, 80094]
    );
    let labels: Vec<String> = chains
        .get(80094)
        .unwrap()
        .endpoints()
        .into_iter()
        .map(|health| health.endpoint)
        .collect();
    assert_eq!(labels, ["a.example", "a.example (2)"]);
    assert!(chains.get(5).is_none());

    let none = Reader::load(Service::Worker, Source::pairs([("X", "")]), ChainsConfig::read).unwrap();
    assert!(none.chains.is_empty());
    let wrong = Source::pairs([("CHAIN_RPC_URLS", "80094=http://a.example/SEKRET42")]);
    let error = Reader::load(Service::Worker, wrong, ChainsConfig::read)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("chain 80094, endpoint 1") && !error.contains("SEKRET42"),
        "{error}"
    );
}
