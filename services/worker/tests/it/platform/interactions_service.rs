//! The interactions endpoint in this process: Discord delivers interactions to it by HTTP instead of the gateway.

use std::time::{SystemTime, UNIX_EPOCH};

use arrakis_config::{Reader, Service, Source};
use arrakis_runtime::Runtime;
use discord_emulator::Emulator;
use tokio::net::TcpListener;

use super::{Platform, StopOnDrop};

/// With the value `http`, every interaction of these tests is delivered by HTTP.
pub const DELIVERY: &str = "ARRAKIS_TEST_DELIVERY";

/// A running endpoint. Dropping it stops it.
pub struct InteractionsService {
    pub url: String,
    _runtime: StopOnDrop,
}

impl InteractionsService {
    /// Starts an endpoint with the key of this emulator's application.
    pub async fn start(emulator: &Emulator, amqp_url: &str) -> Self {
        let pairs = [
            ("DISCORD_PUBLIC_KEY", emulator.app().interactions.public_key()),
            ("AMQP_URL", amqp_url.to_owned()),
        ];
        let source = Source::pairs(pairs);
        let config = Reader::load(Service::Interactions, source, arrakis_interactions::Config::read).unwrap();
        let runtime = Runtime::for_test(Service::Interactions);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/interactions", listener.local_addr().unwrap());
        tokio::spawn(arrakis_interactions::serve_on(listener, config, runtime.clone()));
        Self {
            url,
            _runtime: StopOnDrop(runtime),
        }
    }

    /// Delivers this body as Discord does; returns the status of the response.
    pub async fn deliver(&self, emulator: &Emulator, body: &[u8]) -> u16 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let timestamp = now.as_secs().to_string();
        let signature = emulator.app().interactions.sign(&timestamp, body);
        let request = reqwest::Client::new()
            .post(&self.url)
            .header("x-signature-ed25519", signature)
            .header("x-signature-timestamp", timestamp)
            .body(body.to_vec());
        request.send().await.unwrap().status().as_u16()
    }
}

impl Platform {
    /// An endpoint to which the emulator delivers all interactions from now on.
    pub async fn interactions_service(&self) -> InteractionsService {
        let service = InteractionsService::start(&self.emulator, &self.vhost.url()).await;
        let set = self
            .control
            .set_interactions_endpoint(Some(&service.url))
            .await
            .unwrap();
        assert_eq!(set.url.as_deref(), Some(service.url.as_str()));
        service
    }
}
