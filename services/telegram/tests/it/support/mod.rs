//! The set-up of one test: a double of the Bot API, a running api, and the service.

mod api_proxy;
mod telegram;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use alloy::primitives::eip191_hash_message;
use arrakis_broker::{BrokerConnection, BrokerSettings, Priorities, Topology};
use arrakis_config::{Reader, Service, Source};
use arrakis_db::registry::{Account, Cause, EventSource, IdentityRecord, TelegramUserId, VerifiedWallet};
use arrakis_db::{Admin, ApiKeyScope, Database, NewApiKey, UserId};
use arrakis_domain::Address;
use arrakis_runtime::Runtime;
use arrakis_security::ApiKeySecret;
use arrakis_telegram::{Config, Tuning};
use arrakis_test_support::{Process, TestDatabase, TestRedis, TestVhost, eventually};
use k256::ecdsa::SigningKey;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) use self::api_proxy::ApiProxy;
pub(crate) use self::telegram::{BOT, Fault, Sent, TOKEN, Telegram, message};

/// Times of tests.
const TUNING: Tuning = Tuning {
    poll_wait: Duration::from_secs(1),
    notice_wait: Duration::from_secs(1),
    pause: Duration::from_millis(100),
    call_limit: Duration::from_secs(3),
    stalled: Duration::from_millis(1500),
    retry_limit: Duration::from_secs(5),
    max_pause: Duration::from_millis(200),
};

/// The set-up of one test.
pub(crate) struct Setup {
    pub(crate) telegram: Telegram,
    pub(crate) database: Database,
    pub(crate) api_url: String,
    pub(crate) redis: TestRedis,
    credential: String,
    api: Runtime,
    _vhost: TestVhost,
    test_database: TestDatabase,
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.api.shutdown.soft.cancel();
        self.api.shutdown.hard.cancel();
    }
}

/// The service in the test's process. Dropping it ends it.
pub(crate) struct Bot {
    pub(crate) runtime: Runtime,
    task: JoinHandle<()>,
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.runtime.shutdown.soft.cancel();
        self.runtime.shutdown.hard.cancel();
    }
}

impl Bot {
    /// Stops it in order.
    pub(crate) async fn stop(mut self) {
        self.runtime.shutdown.soft.cancel();
        let task = std::mem::replace(&mut self.task, tokio::spawn(async {}));
        task.await.unwrap();
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.runtime.metrics.render();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }

    /// Waits until a health component has this in its detail.
    pub(crate) async fn until_health(&self, component: &str, text: &str) {
        let document = || self.runtime.health.document("telegram", "0").to_string();
        eventually(
            || async { document().contains(component) && document().contains(text) },
            format!("{component} with {text:?} in {}", document()),
        )
        .await;
    }
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_arrakis-telegram"))
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

pub(crate) fn address_of(key: &SigningKey) -> Address {
    Address::from_bytes(alloy::primitives::Address::from_public_key(key.verifying_key()).0.0)
}

impl Setup {
    pub(crate) async fn start() -> Self {
        arrakis_runtime::install_crypto_provider();
        let (test_database, redis, vhost) = (
            TestDatabase::create().await,
            TestRedis::create(),
            TestVhost::create().await,
        );
        let connection = BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test");
        let topology = Topology::new(Priorities::Classic);
        topology.declare(&connection.current().await.unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let pairs = [
            ("AMQP_URL", vhost.url()),
            ("DATABASE_URL", test_database.app_url()),
            ("DATABASE_ADMIN_URL", test_database.admin_url()),
            ("REDIS_URL", redis.url()),
            ("VERIFY_BASE_URL", api_url.clone()),
        ];
        let config = Reader::load(Service::Api, Source::pairs(pairs), arrakis_api::Config::read).unwrap();
        let api = Runtime::for_test(Service::Api);
        tokio::spawn({
            let runtime = api.clone();
            async move { arrakis_api::serve_on(listener, config, runtime).await.unwrap() }
        });
        let credential = create_key(&test_database.admin().await, ApiKeyScope::Telegram).await;
        Self {
            telegram: Telegram::start().await,
            database: test_database.database().await,
            api_url,
            redis,
            credential,
            api,
            _vhost: vhost,
            test_database,
        }
    }

    /// The environment of the service.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TELEGRAM_BOT_TOKEN", TOKEN.to_owned()),
            ("TELEGRAM_API_BASE", self.telegram.base()),
            ("API_URL", self.api_url.clone()),
            ("API_CREDENTIAL", self.credential.clone()),
            ("REDIS_URL", self.redis.url()),
            ("VERIFY_BASE_URL", self.api_url.clone()),
        ]
    }

    /// The service, with changed variables, in this process.
    pub(crate) async fn bot_with(&self, changes: &[(&'static str, String)]) -> Bot {
        let mut pairs = self.environment();
        pairs.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        pairs.extend(changes.iter().cloned());
        let mut config = Reader::load(Service::Telegram, Source::pairs(pairs), Config::read).unwrap();
        config.tuning = TUNING;
        let runtime = Runtime::for_test(Service::Telegram);
        let task = tokio::spawn({
            let runtime = runtime.clone();
            async move { arrakis_telegram::serve(config, runtime).await.unwrap() }
        });
        Bot { runtime, task }
    }

    pub(crate) async fn bot(&self) -> Bot {
        self.bot_with(&[]).await
    }

    /// The service as a process, once it is ready.
    pub(crate) async fn process(&self, changes: &[(&'static str, String)]) -> Process {
        let health = free_address().to_string();
        let mut variables = self.environment();
        variables.push(("HEALTH_ADDR", health.clone()));
        variables.extend(changes.iter().cloned());
        let pairs: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut process = Process::start_at(program(), &[], pairs);
        process.ready(&health).await;
        process
    }

    /// The identity of a Telegram user.
    pub(crate) async fn identity(&self, user: i64) -> Option<IdentityRecord> {
        let account = Account::Telegram(TelegramUserId::new(user).unwrap());
        let mut tx = self.database.global().await.unwrap();
        tx.registry().by_account(account).await.unwrap()
    }

    /// A Discord account with the wallet of a key.
    pub(crate) async fn discord_holds(&self, user: u64, key: &SigningKey) {
        let now = OffsetDateTime::now_utc();
        let cause = Cause {
            source: EventSource::DiscordVerification,
            at: now,
        };
        let wallet = VerifiedWallet {
            address: address_of(key),
            chain_id: 1,
            signature: None,
            verified_at: now,
        };
        let account = Account::Discord(UserId::new(user).unwrap());
        let mut tx = self.database.global().await.unwrap();
        tx.registry().prove(account, "Chani", &wallet, cause).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The member signs on the wallet page; returns the state of the session.
    pub(crate) async fn sign(&self, token: &str, key: &SigningKey) -> String {
        let client = Client::new();
        let page = format!("{}/verify/{token}", self.api_url);
        let address = address_of(key).to_string();
        let request = client
            .post(format!("{page}/message"))
            .json(&json!({"address": address, "chain_id": 1}));
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        let text = body["message"].as_str().unwrap_or_else(|| panic!("{body}"));
        assert!(text.contains("Telegram"), "{text}");
        let hash = eip191_hash_message(text);
        let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        let signature = format!("0x{}{:02x}", hex::encode(signature.to_bytes()), 27 + recovery.to_byte());
        let request = client
            .post(format!("{page}/signature"))
            .json(&json!({"address": address, "message": text, "signature": signature}));
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        body["state"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    /// Waits until every notice was shown and deleted.
    pub(crate) async fn until_no_notice(&self) {
        let mut app = PgConnection::connect(&self.test_database.app_url()).await.unwrap();
        for _ in 0..200 {
            let count: i64 = sqlx::query_scalar("select count(*) from telegram_notices")
                .fetch_one(&mut app)
                .await
                .unwrap();
            if count == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("notices are left");
    }

    /// Ends the leases of notices, as time does.
    pub(crate) async fn end_leases(&self) {
        let mut app = PgConnection::connect(&self.test_database.app_url()).await.unwrap();
        let ended = sqlx::query("update telegram_notices set taken_until = now()")
            .execute(&mut app)
            .await
            .unwrap();
        assert_eq!(ended.rows_affected(), 1);
    }

    /// The holder of a wallet agrees to the request that its notice names, while the service is down.
    pub(crate) async fn consent(&self, holder: i64) {
        let mut app = PgConnection::connect(&self.test_database.app_url()).await.unwrap();
        let session: String = sqlx::query_scalar(
            "select payload->>'session' from telegram_notices where payload->>'kind' = 'consent' and telegram_user_id = $1",
        )
        .bind(holder)
        .fetch_one(&mut app)
        .await
        .unwrap();
        let request = Client::new()
            .post(format!("{}/internal/telegram/sessions/{session}/answer", self.api_url))
            .bearer_auth(&self.credential)
            .json(&json!({"telegram_user_id": holder, "consents": true}));
        let body: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(body["outcome"], "moved", "{body}");
    }

    /// The member requests the wallet that it has signed with from its holder.
    pub(crate) async fn request_move(&self, token: &str) {
        let path = format!("{}/verify/{token}/move", self.api_url);
        let response = Client::new().post(path).json(&json!({})).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
    }
}

/// A key with this scope, for all communities.
pub(crate) async fn create_key(admin: &Admin, scope: ApiKeyScope) -> String {
    let secret = ApiKeySecret::generate();
    let key = NewApiKey {
        id: Uuid::now_v7(),
        name: "telegram",
        prefix: secret.prefix(),
        hash: *secret.hash().as_bytes(),
        scopes: &[scope],
        created_by: "stilgar",
        user: None,
        expires_at: OffsetDateTime::now_utc() + time::Duration::days(1),
    };
    let mut tx = admin.database().global().await.unwrap();
    tx.create_platform_api_key(&key).await.unwrap();
    tx.commit().await.unwrap();
    secret.expose().to_owned()
}
