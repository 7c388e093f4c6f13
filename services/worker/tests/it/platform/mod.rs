//! The parts of one test: its own database, broker and Redis, an emulator, a proxy, a gateway client in place of the ingestor, and
//! workers.

mod admin;
mod assertions;
mod control;
mod gateway_client;
mod interactions_service;
mod seed;
mod test_consumer;
mod worker;

use std::net::SocketAddr;

use arrakis_broker::{BrokerConnection, BrokerSettings, Message, PublishOutcome, Publisher, Topology};
use arrakis_config::{Reader, Secret, Service, Source};
use arrakis_contracts::labels::Headers;
use arrakis_contracts::{EventId, Labels, names};
use arrakis_db::{Database, TenantTx};
use arrakis_discord::{Discord, DiscordConfig};
use arrakis_discord_proxy as proxy;
use arrakis_runtime::Runtime;
use arrakis_test_support::{TestDatabase, TestRedis, TestVhost, eventually};
use discord_emulator::{Emulator, Options};
use serde_json::Value;
use tokio::net::TcpListener;
use twilight_model::id::Id;

pub use self::admin::MANAGE_GUILD;
pub use self::assertions::{assert_description, assert_refusal, description, embed, follow_ups, is_ephemeral};
pub use self::control::Control;
pub use self::gateway_client::{Dispatch, GatewayClient};
pub use self::interactions_service::InteractionsService;
pub use self::seed::Community;
pub use self::test_consumer::{Behavior, TestCommand, eligibility_provider};
pub use self::worker::Worker;

const CREDENTIAL: &str = "the-workers-credential";
const SHADOW_CREDENTIAL: &str = "the-credential-of-the-shadow";
/// The credential of the kill switch at the proxy.
pub const KILL_SWITCH_CREDENTIAL: &str = "the-credential-of-the-kill-switch";
/// Address of the wallet page.
pub const VERIFY_BASE_URL: &str = "https://verify.example.org";

/// The parts of one test. Dropping it stops them.
pub struct Platform {
    pub control: Control,
    pub community: Community,
    pub database: Database,
    pub vhost: TestVhost,
    pub redis: TestRedis,
    pub publisher: Publisher,
    pub connection: BrokerConnection,
    pub emulator: Emulator,
    pub proxy: SocketAddr,
    test_database: TestDatabase,
    _proxy_runtime: StopOnDrop,
    gateway_client: GatewayClient,
    /// The endpoint by which interactions are published, if not directly.
    by_http: Option<InteractionsService>,
}

/// A shadow worker with its copies.
pub struct Shadow {
    pub worker: Worker,
    pub database: Database,
    _test_database: TestDatabase,
    _redis: TestRedis,
}

/// Stops a service of this process at the end of its test.
struct StopOnDrop(Runtime);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.shutdown.soft.cancel();
        self.0.shutdown.hard.cancel();
    }
}

impl Platform {
    /// All parts but a worker, with one onboarded server and one that is not onboarded.
    pub async fn start() -> Self {
        Self::start_with(whole_bodies(), |_| {}).await
    }

    /// The same with these options of the emulator, and with the proxy's tuning changed.
    pub async fn start_with(options: Options, tune: impl FnOnce(&mut proxy::Tuning)) -> Self {
        arrakis_runtime::install_crypto_provider();
        let (test_database, vhost, redis) = (
            TestDatabase::create().await,
            TestVhost::create().await,
            TestRedis::create(),
        );
        let emulator = Emulator::start(options).await.unwrap();
        let control = Control::new(emulator.addresses());
        let database = test_database.database().await;
        let community = seed::community(&control, &database).await;
        let connection = BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test");
        let topology = Topology::new(arrakis_broker::Priorities::Classic);
        topology.declare(&connection.current().await.unwrap()).await.unwrap();
        let base = emulator.addresses().rest.clone();
        let (proxy, proxy_runtime) = start_proxy(&emulator.token(), &base, &redis, tune).await;
        let gateway_client = GatewayClient::connect(emulator.addresses(), &emulator.token()).await;
        let by_http = match std::env::var(interactions_service::DELIVERY).as_deref() {
            Ok("http") => Some(InteractionsService::start(&emulator, &vhost.url()).await),
            _ => None,
        };
        Self {
            publisher: Publisher::new(connection.clone()),
            control,
            community,
            database,
            vhost,
            redis,
            connection,
            emulator,
            proxy,
            test_database,
            _proxy_runtime: proxy_runtime,
            gateway_client,
            by_http,
        }
    }

    /// All parts, with a worker that serves.
    pub async fn with_worker() -> (Self, Worker) {
        Self::start().await.serving().await
    }

    /// The same with an emulator without rate limits, for jobs that change many roles: Discord permits one change a second in a server.
    pub async fn with_worker_without_rate_limits() -> (Self, Worker) {
        let options = Options {
            rate_limits: false,
            ..whole_bodies()
        };
        Self::start_with(options, |_| {}).await.serving().await
    }

    /// Starts a worker and waits until it serves and has registered the commands.
    async fn serving(self) -> (Self, Worker) {
        let worker = self.worker().await;
        self.commands_registered().await;
        (self, worker)
    }

    /// Another worker that serves.
    pub async fn worker(&self) -> Worker {
        Worker::start(&self.environment()).await
    }

    /// The environment of a worker.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AMQP_URL", self.vhost.url()),
            ("DATABASE_URL", self.test_database.app_url()),
            ("REDIS_URL", self.redis.url()),
            ("DISCORD_PROXY_URL", format!("http://{}", self.proxy)),
            ("DISCORD_PROXY_CREDENTIAL", CREDENTIAL.to_owned()),
            (
                "DISCORD_APPLICATION_ID",
                self.emulator.app().options.application_id.to_string(),
            ),
            ("VERIFY_BASE_URL", VERIFY_BASE_URL.to_owned()),
            ("WORKER_GRACE_SECONDS", "5".to_owned()),
        ]
    }

    /// A shadow worker with a database and a Redis of its own.
    pub async fn shadow(&self) -> Shadow {
        let (test_database, redis) = (TestDatabase::create().await, TestRedis::create());
        let database = test_database.database().await;
        seed::copy(&database, &self.community).await;
        let mut environment = self.environment();
        for (name, value) in &mut environment {
            match *name {
                "DATABASE_URL" => *value = test_database.app_url(),
                "REDIS_URL" => *value = redis.url(),
                "DISCORD_PROXY_CREDENTIAL" => *value = SHADOW_CREDENTIAL.to_owned(),
                _ => {}
            }
        }
        environment.push(("WORKER_GROUP", "shadow".to_owned()));
        Shadow {
            worker: Worker::start(&environment).await,
            database,
            _test_database: test_database,
            _redis: redis,
        }
    }

    /// URL of the database's owner, for `migrate`.
    pub fn owner_url(&self) -> String {
        self.test_database.owner_url()
    }

    /// URL of the database's application login, for `DATABASE_URL`.
    pub fn app_url(&self) -> String {
        self.test_database.app_url()
    }

    /// URL of the database's admin login.
    pub fn admin_url(&self) -> String {
        self.test_database.admin_url()
    }

    pub async fn commands_registered(&self) {
        eventually(
            || async { !self.control.commands().await.unwrap().is_empty() },
            "the leader to register the commands",
        )
        .await;
    }

    /// A transaction on the community's rows.
    pub async fn tenant(&self) -> TenantTx {
        self.database.tenant(self.community.id).await.unwrap()
    }

    /// Publishes the next dispatch of this event.
    pub async fn deliver(&self, event: &str) -> Dispatch {
        let dispatch = self.gateway_client.next(event).await;
        self.publish(&dispatch).await;
        dispatch
    }

    /// The next dispatch of this event, which is not published.
    pub async fn dispatch(&self, event: &str) -> Dispatch {
        self.gateway_client.next(event).await
    }

    /// The dispatch of this interaction, which is not published.
    pub async fn dispatch_of(&self, interaction: &str) -> Dispatch {
        self.gateway_client.interaction(interaction).await
    }

    /// Publishes a dispatch as the ingestor does.
    pub async fn publish(&self, dispatch: &Dispatch) {
        match &self.by_http {
            Some(endpoint) if dispatch.event == "INTERACTION_CREATE" => {
                assert_eq!(endpoint.deliver(&self.emulator, &dispatch.body).await, 202);
            }
            _ => self.publish_labelled(dispatch, &dispatch.labels()).await,
        }
    }

    pub async fn publish_labelled(&self, dispatch: &Dispatch, labels: &Labels) {
        self.publish_raw(
            &dispatch.key(),
            labels.event_id.as_str(),
            &labels.event,
            labels.headers(),
            dispatch.body.clone(),
        )
        .await;
    }

    /// Publishes a message to the exchange of events.
    pub async fn publish_raw(&self, key: &str, id: &str, kind: &str, headers: Headers, body: Vec<u8>) {
        let mut message = Message::new(names::EVENTS, key, id, kind, body);
        message.headers = headers;
        assert_eq!(
            self.publisher.publish(&message).await.unwrap(),
            PublishOutcome::Confirmed
        );
    }

    /// Publishes the next interaction as that of a member with these permissions.
    pub async fn deliver_with_permissions(&self, permissions: &str) -> Dispatch {
        let mut dispatch = self.gateway_client.next("INTERACTION_CREATE").await;
        let mut body = dispatch.json();
        body["member"]["permissions"] = serde_json::json!(permissions);
        dispatch.body = serde_json::to_vec(&body).unwrap();
        self.publish(&dispatch).await;
        dispatch
    }

    /// A member runs a command, and its dispatch is published. Returns the interaction's id.
    pub async fn run_command(&self, user: &str, command: &str, options: Value) -> String {
        let id = self.send_command(user, command, options).await;
        self.deliver("INTERACTION_CREATE").await;
        id
    }

    /// A member runs a command, and its dispatch stays in the gateway client. Returns the interaction's id.
    pub async fn send_command(&self, user: &str, command: &str, options: Value) -> String {
        self.control.command(&self.community, user, command, options).await
    }

    /// The number of messages in a queue.
    pub async fn messages(&self, queue: &str) -> u64 {
        self.vhost.messages(queue).await
    }

    /// Waits until a queue has this number of messages.
    pub async fn until_messages(&self, queue: &str, count: u64) {
        eventually(
            || async { self.messages(queue).await == count },
            format!("{count} messages in {queue}"),
        )
        .await;
    }
}

/// Options of an emulator whose records have whole bodies: tests read them.
fn whole_bodies() -> Options {
    Options {
        ledger_bodies: 65_536,
        ..Options::default()
    }
}

/// Labels of an event, as the ingestor writes them.
pub fn labels(event: &str, id: &str, guild: Option<u64>) -> Labels {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Labels {
        event_id: EventId::from_message(id),
        event: event.to_owned(),
        shard: 0,
        shards: 1,
        session: "test".to_owned(),
        seq: 1,
        guild,
        received_us: u64::try_from(now.as_micros()).unwrap(),
        clock_offset_ms: 0,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    }
}

async fn start_proxy(
    token: &str,
    base: &str,
    redis: &TestRedis,
    tune: impl FnOnce(&mut proxy::Tuning),
) -> (SocketAddr, StopOnDrop) {
    let pairs = [
        ("DISCORD_TOKEN", token.to_owned()),
        ("DISCORD_API_BASE", base.to_owned()),
        (
            "PROXY_CREDENTIALS",
            format!("worker={CREDENTIAL},shadow={SHADOW_CREDENTIAL}"),
        ),
        ("REDIS_URL", redis.url()),
    ];
    let mut config = Reader::load(Service::DiscordProxy, Source::pairs(pairs), proxy::Config::read).unwrap();
    config.kill_switch_credential = Some(Secret::new(KILL_SWITCH_CREDENTIAL));
    tune(&mut config.tuning);
    let runtime = Runtime::for_test(Service::DiscordProxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(proxy::serve_on(listener, config, runtime.clone()));
    (address, StopOnDrop(runtime))
}

/// Another proxy with a Redis of its own, which does not share state with the first.
pub struct OtherProxy {
    pub address: SocketAddr,
    _runtime: StopOnDrop,
    _redis: TestRedis,
}

impl Platform {
    /// Starts another proxy for this API.
    pub async fn other_proxy(&self, base: &str, tune: impl FnOnce(&mut proxy::Tuning)) -> OtherProxy {
        let redis = TestRedis::create();
        let (address, runtime) = start_proxy(&self.emulator.token(), base, &redis, tune).await;
        // The listener exists before the proxy is built.
        let responds = async || reqwest::get(format!("http://{address}/")).await.is_ok();
        eventually(responds, "the proxy to respond").await;
        OtherProxy {
            address,
            _runtime: runtime,
            _redis: redis,
        }
    }

    /// A client of this proxy, as a worker has it.
    pub fn discord(&self, proxy: SocketAddr) -> Discord {
        Discord::new(&self.discord_config(proxy)).unwrap()
    }

    /// The configuration of such a client.
    pub fn discord_config(&self, proxy: SocketAddr) -> DiscordConfig {
        DiscordConfig {
            proxies: vec![format!("http://{proxy}").parse().unwrap()],
            credential: Secret::new(CREDENTIAL),
            application: Id::new(self.emulator.app().options.application_id.0),
        }
    }
}

/// A lock on a table, held by a connection of its own.
pub struct Lock(tokio::process::Child);

impl Lock {
    /// Releases the lock.
    pub async fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().await.unwrap();
    }
}

impl Platform {
    /// Locks a table against writers and readers.
    pub async fn lock(&self, table: &str) -> Lock {
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
        let mut psql = tokio::process::Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", &self.owner_url()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let statement = format!("begin; lock table {table} in access exclusive mode; select 'locked';\n");
        psql.stdin
            .as_mut()
            .unwrap()
            .write_all(statement.as_bytes())
            .await
            .unwrap();
        let mut lines = BufReader::new(psql.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("locked") {
                return Lock(psql);
            }
        }
        panic!("the table was not locked");
    }

    /// Waits until a connection to the database of the test waits for a lock.
    pub async fn lock_is_awaited(&self) {
        let statement = "do $$
            begin
                for attempt in 1..400 loop
                    perform pg_stat_clear_snapshot();
                    if exists (select from pg_locks l join pg_stat_activity a using (pid)
                                where not l.granted and a.datname = current_database()) then
                        return;
                    end if;
                    perform pg_sleep(0.025);
                end loop;
                raise exception 'no connection waits for a lock';
            end
            $$";
        self.sql(statement).await;
    }

    /// Runs SQL with the worker's login.
    pub async fn sql(&self, statement: &str) {
        let arguments = [
            "--no-psqlrc",
            "--quiet",
            "--command",
            statement,
            &self.test_database.app_url(),
        ];
        let done = tokio::process::Command::new("psql")
            .args(arguments)
            .output()
            .await
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Deletes the announcements of the worker's role changes from Redis.
    pub fn delete_announcements(&self) {
        self.delete_keys("cache:role-change:*");
    }

    /// Deletes the cached profiles from Redis.
    pub fn delete_cached_profiles(&self) {
        self.delete_keys("cache:profile:*");
    }

    /// Deletes the cooldowns from Redis.
    pub fn delete_cooldowns(&self) {
        self.delete_keys("cd:*");
    }

    /// Whether an event has a done marker in Redis.
    pub fn has_done_marker(&self, event: &str) -> bool {
        use deadpool_redis::redis;
        let mut connection = self.redis.connection();
        let key = format!("done:{event}");
        redis::cmd("EXISTS").arg(key).query(&mut connection).unwrap()
    }

    /// Deletes the sessions of dialogs from Redis.
    pub fn delete_sessions(&self) {
        self.delete_keys("sess:*");
    }

    /// Deletes the done markers from Redis.
    pub fn delete_done_markers(&self) {
        self.delete_keys("done:*");
    }

    fn delete_keys(&self, pattern: &str) {
        use deadpool_redis::redis;
        let mut connection = self.redis.connection();
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
        for key in keys {
            redis::cmd("DEL").arg(key).query::<()>(&mut connection).unwrap();
        }
    }

    /// Publishes the next dispatch of this event that is about this server.
    pub async fn deliver_for(&self, event: &str, guild: &str) -> Dispatch {
        loop {
            let dispatch = self.gateway_client.next(event).await;
            let body = dispatch.json();
            if body["guild_id"] == guild || body["id"] == guild {
                self.publish(&dispatch).await;
                return dispatch;
            }
        }
    }

    /// Replaces a queue by one with other arguments.
    pub async fn redeclare(&self, queue: &str) {
        use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let options = QueueDeclareOptions::durable();
        channel
            .queue_declare(queue.into(), options, lapin::types::FieldTable::default())
            .await
            .unwrap();
    }

    /// Waits until an interaction is in this state.
    pub async fn until_state(&self, id: &str, state: &str) {
        self.until(id, |view| view["state"] == state).await;
    }

    /// Waits until this holds for an interaction.
    pub async fn until(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(
            || async {
                let view = self.control.interaction(id).await;
                is(&view).then_some(view)
            },
            format!("interaction {id}"),
        )
        .await
    }

    /// Removes a message from a queue and returns it.
    pub async fn take(&self, queue: &str) -> TakenMessage {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        let got = eventually(
            || async {
                let options = lapin::options::BasicGetOptions { no_ack: true };
                channel.basic_get(queue.into(), options).await.unwrap()
            },
            format!("a message in {queue}"),
        )
        .await;
        let table = got.properties.headers().clone().unwrap_or_default();
        let headers = table
            .inner()
            .iter()
            .map(|(name, value)| (name.to_string(), header(value)))
            .collect();
        TakenMessage {
            id: got
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            headers,
            body: got.delivery.data,
        }
    }
}

/// A message that was removed from a queue.
#[derive(Debug)]
pub struct TakenMessage {
    pub id: String,
    pub headers: std::collections::BTreeMap<String, String>,
    pub body: Vec<u8>,
}

fn header(value: &lapin::types::AMQPValue) -> String {
    use lapin::types::AMQPValue;
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
