//! The set-up of one test: its own database, Redis and vhost, and the api.

pub(crate) mod browser;
mod document;
mod seed;
pub(crate) mod slack;

use std::net::SocketAddr;
use std::sync::Arc;

use arrakis_api::{Config, serve_on};
use arrakis_broker::{BrokerConnection, BrokerSettings, Priorities, Topology};
use arrakis_config::{Reader, Service, Source};
use arrakis_db::{Admin, Database};
use arrakis_runtime::Runtime;
use arrakis_test_support::{TestDatabase, TestRedis, TestVhost};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) use self::document::Document;
pub(crate) use self::seed::{address, holder};

/// The api of one test. Dropping it stops it.
pub(crate) struct TestApi {
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    pub(crate) database: Database,
    pub(crate) admin: Admin,
    pub(crate) vhost: TestVhost,
    redis: TestRedis,
    pub(crate) test_database: TestDatabase,
    document: Arc<Document>,
    client: Client,
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.runtime.shutdown.soft.cancel();
        self.runtime.shutdown.hard.cancel();
    }
}

/// The environment of an api.
pub(crate) fn environment(database: &TestDatabase, redis: &str, vhost: &TestVhost) -> Vec<(&'static str, String)> {
    vec![
        ("AMQP_URL", vhost.url()),
        ("DATABASE_URL", database.app_url()),
        ("DATABASE_ADMIN_URL", database.admin_url()),
        ("REDIS_URL", redis.to_owned()),
        ("VERIFY_BASE_URL", "https://verify.example.org".to_owned()),
        ("MFA_ENCRYPTION_KEY", seed::MFA_KEY.to_owned()),
    ]
}

impl TestApi {
    /// An api with the figures of production.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// An api with a changed configuration.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(|config, _| change(config)).await
    }

    /// An api whose public address is the one at which it listens, for a browser.
    pub(crate) async fn start_for_browser(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(|config, address| {
            config.public_address = format!("http://{address}").parse().unwrap();
            change(config);
        })
        .await
    }

    async fn start_at(change: impl FnOnce(&mut Config, SocketAddr)) -> Self {
        arrakis_runtime::install_crypto_provider();
        let (test_database, redis, vhost) = (
            TestDatabase::create().await,
            TestRedis::create(),
            TestVhost::create().await,
        );
        let connection = BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test");
        let topology = Topology::new(Priorities::Classic);
        topology.declare(&connection.current().await.unwrap()).await.unwrap();
        let pairs = environment(&test_database, &redis.url(), &vhost);
        let mut config = Reader::load(Service::Api, Source::pairs(pairs), Config::read).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        change(&mut config, address);
        let runtime = Runtime::for_test(Service::Api);
        tokio::spawn({
            let runtime = runtime.clone();
            async move { serve_on(listener, config, runtime).await.unwrap() }
        });
        // No connection is kept, since each test has its own runtime.
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy().build().unwrap();
        let (database, admin) = (test_database.database().await, test_database.admin().await);
        let document = client
            .get(format!("http://{address}/openapi.json"))
            .send()
            .await
            .unwrap();
        let document = Arc::new(Document::new(document.json().await.unwrap()));
        Self {
            address,
            runtime,
            database,
            admin,
            vhost,
            redis,
            test_database,
            document,
            client,
        }
    }

    /// URL of the api's Redis.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// A request.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// The answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// The answer to a GET with an API key.
    pub(crate) async fn get_as(&self, key: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(key)).await
    }

    /// The answer to a POST of JSON with an API key.
    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).bearer_auth(key).json(body))
            .await
    }

    /// The answer to a PUT of JSON with an API key.
    pub(crate) async fn put_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).bearer_auth(key).json(body))
            .await
    }

    /// Sends a request, and compares the answer with the document.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let answer = Answer { status, headers, text };
        self.document.check(&method, &path, &answer);
        answer
    }

    /// Sends a request of a browser, which the document does not describe, without following redirects.
    pub(crate) async fn browse(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let client = Client::builder().pool_max_idle_per_host(0).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, text }
    }

    /// The document.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.runtime.metrics.render();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Asserts the status, and returns the body.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// Asserts that the answer is this problem.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("urn:arrakis:problem:{code}"));
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        body
    }
}
