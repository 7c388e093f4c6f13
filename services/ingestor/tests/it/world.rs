//! An emulated Discord, a virtual host, and ingestors between them.

use std::collections::HashSet;

use arrakis_broker::{BrokerConnection, BrokerSettings, Priorities, Topology};
use arrakis_config::{Reader, Service, Source};
use arrakis_contracts::{Labels, names};
use arrakis_ingestor::{Config, SessionLimits};
use arrakis_runtime::{Fatal, Runtime};
use arrakis_test_support::{FaultProxy, TestVhost, eventually};
use discord_emulator::gateway::{ConnectionCommand, ConnectionFilter};
use discord_emulator::model::Id;
use discord_emulator::seed::load;
use discord_emulator::world::State;
use discord_emulator::{Emulator, Options};
use lapin::options::{BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::task::JoinHandle;

/// Users who may join; the first of them is a member from the start.
const PEOPLE: u64 = 6_000;

pub(crate) struct World {
    pub(crate) discord: Emulator,
    pub(crate) vhost: TestVhost,
    /// Between the ingestors and the broker.
    pub(crate) proxy: FaultProxy,
    pub(crate) connection: BrokerConnection,
    next_person: std::sync::atomic::AtomicU64,
}

/// A message of a queue.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) routing_key: String,
    pub(crate) priority: Option<u8>,
    pub(crate) labels: Labels,
    pub(crate) body: Vec<u8>,
    pub(crate) persistent: bool,
    pub(crate) app_id: Option<String>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        arrakis_runtime::install_crypto_provider();
        if let Some(filter) = std::env::var("RUST_LOG").ok().and_then(|filter| filter.parse().ok()) {
            let _ = arrakis_telemetry::init_logs(arrakis_telemetry::LogFormat::Text, filter, None);
        }
        // Shards identify at the same time unless a test is about that: a bucket allows one IDENTIFY in five seconds.
        let mut options = Options {
            max_concurrency: 16,
            shards: Some(1),
            ..Options::default()
        };
        change(&mut options);
        let discord = Emulator::start(options).await.unwrap();
        discord.app().world.write(|state| {
            load::load(state, 4, 1);
            load::load(state, 0, PEOPLE);
        });
        let vhost = TestVhost::create().await;
        let proxy = FaultProxy::start(&vhost.url()).await;
        let connection = BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test");
        Self {
            discord,
            vhost,
            proxy,
            connection,
            next_person: 1.into(),
        }
    }

    /// The environment of an ingestor in this world.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DISCORD_TOKEN", self.discord.token()),
            ("DISCORD_API_BASE", self.discord.addresses().rest.clone()),
            ("AMQP_URL", self.proxy.proxied_url(&self.vhost.url())),
        ]
    }

    pub(crate) fn ingestor(&self) -> Ingestor {
        self.ingestor_with(&[])
    }

    pub(crate) fn ingestor_with(&self, changes: &[(&'static str, &str)]) -> Ingestor {
        Ingestor::start(self.config(changes))
    }

    /// An ingestor with these limits on attempts to resume a session.
    pub(crate) fn ingestor_with_limits(&self, limits: SessionLimits) -> Ingestor {
        let mut config = self.config(&[]);
        config.limits = limits;
        Ingestor::start(config)
    }

    fn config(&self, changes: &[(&'static str, &str)]) -> Config {
        let mut pairs = self.environment();
        pairs.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        pairs.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Reader::load(Service::Ingestor, Source::pairs(pairs), Config::read).unwrap()
    }

    pub(crate) fn guild(&self) -> Id {
        load::guild_id(0)
    }

    /// A new user joins the server with this number.
    pub(crate) fn join(&self, guild: u64) {
        let number = self.next_person.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let joined = |state: &mut State| state.join(load::guild_id(guild), load::person_id(number));
        assert!(self.discord.app().world.write(joined));
    }

    pub(crate) fn joins(&self, count: usize) {
        for _ in 0..count {
            self.join(0);
        }
    }

    /// Sends a command to every connection of the ingestors.
    pub(crate) fn order(&self, order: &ConnectionCommand) -> usize {
        self.discord.app().hub.command(&ConnectionFilter::default(), order)
    }

    pub(crate) fn stats(&self) -> discord_emulator::StatsReport {
        self.discord.app().traffic.stats()
    }

    /// Takes everything out of a queue until there are `count` different events in it, without those that an identify
    /// brings.
    pub(crate) async fn take(&self, queue: &str, count: usize) -> Vec<Got> {
        self.take_from(&[queue], count).await
    }

    /// [`World::take`] of several queues.
    pub(crate) async fn take_from(&self, queues: &[&str], count: usize) -> Vec<Got> {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        let mut all: Vec<Got> = Vec::new();
        let mut seen = HashSet::new();
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            for queue in queues {
                while let Ok(Some(got)) = channel
                    .basic_get((*queue).into(), BasicGetOptions { no_ack: true })
                    .await
                {
                    let got = Got::read(got.delivery);
                    if got.routing_key == "guild.available" {
                        continue;
                    }
                    seen.insert(got.labels.event_id.clone());
                    all.push(got);
                }
            }
            if seen.len() >= count {
                let _ = channel.close(200, "done".into()).await;
                return all;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} of {count} events in {queues:?}: {:?}",
                seen.len(),
                all.iter()
                    .map(|got| (&got.routing_key, got.labels.shard, got.labels.seq))
                    .collect::<Vec<_>>()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn take_events(&self, count: usize) -> Vec<Got> {
        self.take(names::EVENTS_GUILD, count).await
    }

    /// Deletes a queue, as an operator might.
    pub(crate) async fn delete_queue(&self, queue: &str) {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let _ = channel.close(200, "done".into()).await;
    }

    /// Number of messages that are ready in a queue; 0 if there is no such queue.
    pub(crate) async fn count(&self, queue: &str) -> u32 {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        let Ok(declared) = declared else { return 0 };
        let _ = channel.close(200, "done".into()).await;
        declared.message_count()
    }

    /// Ends the test: fails it when unexpected messages are left. Events of servers after an IDENTIFY are allowed.
    pub(crate) async fn finish(self, expected: &[&str]) {
        for queue in Topology::new(Priorities::Classic).queues {
            if !expected.contains(&queue.name.as_str()) && queue.name != names::EVENTS_GUILD {
                eventually(
                    async || self.count(&queue.name).await == 0,
                    format!("{} to be empty", queue.name),
                )
                .await;
            }
        }
        let left = self.take(names::EVENTS_GUILD, 0).await;
        assert!(
            left.is_empty() || expected.contains(&names::EVENTS_GUILD),
            "{} events are left",
            left.len()
        );
    }

    /// Waits until this many sessions are connected.
    pub(crate) async fn connected(&self, count: usize) {
        let connected = async || {
            self.discord
                .app()
                .hub
                .sessions()
                .iter()
                .filter(|session| session.connected)
                .count()
                == count
        };
        eventually(connected, format!("{count} connected sessions")).await;
    }
}

impl Got {
    fn read(delivery: lapin::message::Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
        let headers = properties.headers().as_ref().unwrap().inner().iter();
        let headers = headers.filter_map(|(name, value)| {
            use arrakis_contracts::labels::HeaderValue;
            let value = match value {
                lapin::types::AMQPValue::LongLongInt(number) => HeaderValue::Integer(*number),
                lapin::types::AMQPValue::LongString(text) => HeaderValue::Text(text.to_string()),
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

/// An ingestor in this process.
pub(crate) struct Ingestor {
    pub(crate) runtime: Runtime,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Ingestor {
    fn start(config: Config) -> Self {
        let runtime = Runtime::for_test(Service::Ingestor);
        let task = tokio::spawn(arrakis_ingestor::serve(config, runtime.clone()));
        Self { runtime, task }
    }

    pub(crate) fn document(&self) -> serde_json::Value {
        self.runtime.health.document("arrakis-ingestor", "test")
    }

    /// Waits until `/health` reports this role and healthy components.
    pub(crate) async fn healthy_as(&self, role: &str) {
        let healthy = async || {
            let document = self.document();
            // The memory of the test process is not checked.
            let up = |name: &str| document["components"][name]["status"] == "up";
            document["role"] == role && up("broker") && up("gateway")
        };
        eventually(healthy, format!("a healthy ingestor as {role}")).await;
    }

    /// The entry of a shard in `/health`.
    pub(crate) fn shard(&self, shard: usize) -> serde_json::Value {
        self.document()["shards"][shard].clone()
    }

    /// Waits until everything received is confirmed, at least up to `seq`.
    pub(crate) async fn confirmed(&self, shard: usize, seq: u64) {
        let confirmed = async || {
            let shard = self.shard(shard);
            shard["confirmed_seq"].as_u64() >= Some(seq) && shard["seq_lag"] == 0
        };
        eventually(confirmed, format!("sequence number {seq} to be confirmed")).await;
    }

    /// Stops the ingestor as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.runtime.shutdown.soft.cancel();
        tokio::time::timeout(std::time::Duration::from_secs(20), self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    /// Waits for it to end with a fatal error.
    pub(crate) async fn fatal_error(self) -> Fatal {
        let ended = tokio::time::timeout(std::time::Duration::from_secs(20), self.task)
            .await
            .unwrap()
            .unwrap();
        ended.unwrap_err().downcast_ref::<Fatal>().unwrap().clone()
    }
}

/// Sequence numbers without repetitions, in the order of their first occurrence.
pub(crate) fn seqs(got: &[Got]) -> Vec<u64> {
    let mut seen = HashSet::new();
    got.iter()
        .map(|got| got.labels.seq)
        .filter(|seq| seen.insert(*seq))
        .collect()
}

/// Whether the numbers are strictly ascending.
pub(crate) fn ascending(numbers: &[u64]) -> bool {
    numbers.is_sorted_by(|a, b| a < b)
}
