//! An emulated Discord that signs, a virtual host, and an endpoint between them.

use std::time::{SystemTime, UNIX_EPOCH};

use arrakis_broker::{BrokerConnection, BrokerSettings};
use arrakis_config::{Reader, Service, Source};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{Labels, names};
use arrakis_interactions::Config;
use arrakis_runtime::{HealthStatus, Runtime};
use arrakis_test_support::{FaultProxy, TestVhost, eventually};
use discord_emulator::{Emulator, Options};
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, ShortString};
use reqwest::{Body, Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Discord, the broker behind a faulty network, and a serving endpoint.
pub(crate) struct World {
    pub(crate) discord: Emulator,
    pub(crate) vhost: TestVhost,
    /// Between the endpoint and the broker.
    pub(crate) network: FaultProxy,
    pub(crate) url: String,
    pub(crate) http: Client,
    runtime: Runtime,
    task: JoinHandle<anyhow::Result<()>>,
    connection: BrokerConnection,
}

/// A message of the queue of interactions.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) routing_key: String,
    pub(crate) priority: Option<u8>,
    pub(crate) labels: Labels,
    pub(crate) body: Vec<u8>,
    pub(crate) persistent: bool,
    pub(crate) app_id: Option<String>,
}

impl Got {
    fn read(delivery: Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
        let headers = properties.headers().as_ref().unwrap().inner().iter();
        let headers = headers.filter_map(|(name, value)| {
            let value = match value {
                AMQPValue::LongLongInt(number) => HeaderValue::Integer(*number),
                AMQPValue::LongString(text) => HeaderValue::Text(text.to_string()),
                _ => return None,
            };
            Some((name.to_string(), value))
        });
        let (id, kind) = (text(properties.message_id()), text(properties.kind()));
        Self {
            routing_key: delivery.routing_key.to_string(),
            priority: *properties.priority(),
            labels: Labels::read(id.as_deref(), kind.as_deref(), &headers.collect()).unwrap(),
            persistent: *properties.delivery_mode() == Some(2),
            app_id: text(properties.app_id()),
            body: delivery.data,
        }
    }
}

/// The environment of an endpoint.
pub(crate) fn environment(discord: &Emulator, amqp_url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DISCORD_PUBLIC_KEY", discord.app().interactions.public_key()),
        ("AMQP_URL", amqp_url.to_owned()),
    ]
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A command with this id.
pub(crate) fn command(id: u64) -> Value {
    json!({
        "id": id.to_string(), "application_id": "1", "type": 2, "token": "t", "version": 1, "guild_id": "7",
        "data": {"id": "3", "name": "position", "type": 1},
    })
}

impl World {
    /// All parts. The endpoint is connected to the broker.
    pub(crate) async fn new() -> Self {
        let world = Self::with_broker(true).await;
        world.until_health(HealthStatus::Up).await;
        world
    }

    /// The same, where the endpoint may be unable to connect to the broker.
    pub(crate) async fn with_broker(is_available: bool) -> Self {
        arrakis_runtime::install_crypto_provider();
        let discord = Emulator::start(Options::default()).await.unwrap();
        let vhost = TestVhost::create().await;
        let network = FaultProxy::start(&vhost.url()).await;
        network.refuse(!is_available);
        let pairs = environment(&discord, &network.proxied_url(&vhost.url()));
        let config = Reader::load(Service::Interactions, Source::pairs(pairs), Config::read).unwrap();
        let runtime = Runtime::for_test(Service::Interactions);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/interactions", listener.local_addr().unwrap());
        let task = tokio::spawn(arrakis_interactions::serve_on(listener, config, runtime.clone()));
        Self {
            connection: BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test"),
            http: Client::new(),
            discord,
            vhost,
            network,
            url,
            runtime,
            task,
        }
    }

    pub(crate) async fn until_health(&self, status: HealthStatus) {
        // The endpoint may not have started yet: a process without components is up.
        let reached = async || self.runtime.health.component_statuses() == [("broker", status)];
        eventually(reached, format!("the health to be {status:?}")).await;
    }

    /// A request with this signature.
    pub(crate) fn request(&self, timestamp: &str, signature: &str, body: impl Into<Body>) -> RequestBuilder {
        self.http
            .post(&self.url)
            .header("x-signature-timestamp", timestamp)
            .header("x-signature-ed25519", signature)
            .body(body)
    }

    /// A request that Discord has signed at this time.
    pub(crate) fn signed_at(&self, seconds: u64, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let (timestamp, body) = (seconds.to_string(), body.into());
        let signature = self.discord.app().interactions.sign(&timestamp, &body);
        self.request(&timestamp, &signature, body)
    }

    /// Delivers a body as Discord does. Returns the status and the body of the response.
    pub(crate) async fn deliver(&self, body: impl Into<Vec<u8>>) -> (StatusCode, String) {
        let response = self.signed_at(now(), body).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// Takes messages out of the queue of interactions until there are as many.
    pub(crate) async fn take(&self, count: usize) -> Vec<Got> {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        let mut all = Vec::new();
        while all.len() < count {
            let message = eventually(
                || async {
                    let options = BasicGetOptions { no_ack: true };
                    channel.basic_get(names::INTERACTIONS.into(), options).await.unwrap()
                },
                "a message in the queue of interactions",
            )
            .await;
            all.push(Got::read(message.delivery));
        }
        all
    }

    /// Deletes a queue, as an operator might.
    pub(crate) async fn delete_queue(&self, queue: &str) {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }

    /// The value of `arrakis_interactions_requests_total` for an outcome.
    pub(crate) fn counted(&self, outcome: &str) -> u64 {
        let prefix = format!("arrakis_interactions_requests_total{{outcome=\"{outcome}\"}} ");
        let text = self.runtime.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        value.unwrap().parse().unwrap()
    }

    /// Stops the endpoint as SIGTERM does, and checks that no message is left.
    pub(crate) async fn finish(self) {
        self.finish_with(&[]).await;
    }

    /// The same where messages are left in these queues.
    pub(crate) async fn finish_with(self, expected: &[&str]) {
        self.runtime.shutdown.soft.cancel();
        self.task.await.unwrap().unwrap();
        self.discord.shutdown().await;
        self.vhost.finish_with(expected).await;
    }
}
