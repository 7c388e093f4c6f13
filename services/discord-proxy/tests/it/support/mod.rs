//! The set-up of one test: Redis, an upstream that follows a script, and replicas of the proxy.

mod redis;
mod upstream;

use std::net::SocketAddr;
use std::time::Duration;

use arrakis_config::{Reader, Service, Source};
use arrakis_discord_proxy::{Config, Tuning, serve_on};
use arrakis_runtime::Runtime;
use http::Method;
use tokio::net::TcpListener;

pub(crate) use self::redis::RedisServer;
pub(crate) use self::upstream::{Reply, Seen, Upstream, most_in};

/// The worker's credential in tests.
pub(crate) const CREDENTIAL: &str = "credential-of-the-worker";
/// The credential of gaib in tests.
pub(crate) const GAIB: &str = "credential-of-gaib";
/// The credential of the api in tests.
pub(crate) const API: &str = "credential-of-the-api";
/// The bot token in tests.
pub(crate) const TOKEN: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4.test.token";

/// One replica of the proxy. Dropping it stops it.
pub(crate) struct Replica {
    pub address: SocketAddr,
    pub runtime: Runtime,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.runtime.shutdown.soft.cancel();
        self.runtime.shutdown.hard.cancel();
    }
}

/// Redis and upstream of a test.
pub(crate) struct World {
    pub redis: RedisServer,
    pub upstream: Upstream,
}

impl World {
    /// A Redis, and an upstream that responds by `script`.
    pub(crate) async fn new(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        arrakis_runtime::install_crypto_provider();
        Self {
            redis: RedisServer::start().await,
            upstream: Upstream::start(script).await,
        }
    }

    /// A replica with the figures of production, when Redis decides.
    pub(crate) async fn replica(&self) -> Replica {
        self.tuned(TOKEN, |_| {}).await
    }

    /// A replica with another token or other figures, when Redis decides.
    pub(crate) async fn tuned(&self, token: &str, tune: impl FnOnce(&mut Tuning)) -> Replica {
        let replica = self.unready(token, tune).await;
        eventually("Redis decides", || replica.trouble("redis").is_none()).await;
        replica
    }

    /// A replica that may still be in degraded mode.
    pub(crate) async fn unready(&self, token: &str, tune: impl FnOnce(&mut Tuning)) -> Replica {
        start_replica(&self.upstream.base(), &self.redis.url(), token, tune).await
    }
}

/// Starts a replica in front of `base`.
pub(crate) async fn start_replica(base: &str, redis: &str, token: &str, tune: impl FnOnce(&mut Tuning)) -> Replica {
    start_with(base, redis, token, |config| tune(&mut config.tuning)).await
}

/// Starts a replica with a changed configuration.
pub(crate) async fn start_with(base: &str, redis: &str, token: &str, change: impl FnOnce(&mut Config)) -> Replica {
    let pairs = [
        ("DISCORD_TOKEN", token),
        ("DISCORD_APPLICATION_ID", "1"),
        ("DISCORD_API_BASE", base),
        (
            "PROXY_CREDENTIALS",
            &format!("worker={CREDENTIAL},gaib={GAIB},api={API}"),
        ),
        ("REDIS_URL", redis),
    ];
    let mut config = Reader::load(Service::DiscordProxy, Source::pairs(pairs), Config::read).unwrap();
    change(&mut config);
    let runtime = Runtime::for_test(Service::DiscordProxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_on(listener, config, runtime.clone()));
    let replica = Replica { address, runtime };
    eventually("the replica has started", || replica.component("redis").is_object()).await;
    replica
}

impl Replica {
    /// A call of the worker; a GET of a channel, which the worker may not send, is a call of gaib.
    pub(crate) fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let reads_channel = method == Method::GET && path.starts_with("/channels/");
        let credential = if reads_channel { GAIB } else { CREDENTIAL };
        self.call_as(credential, method, path)
    }

    /// A call with a credential.
    pub(crate) fn call_as(&self, credential: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}/api/v10{path}", self.address);
        client().request(method, url).bearer_auth(credential)
    }

    /// Sends a GET of the worker.
    pub(crate) async fn get(&self, path: &str) -> CallResponse {
        send(self.call(Method::GET, path)).await
    }

    fn component(&self, name: &str) -> serde_json::Value {
        self.runtime.health.document("test", "test")["components"][name].clone()
    }

    /// The detail of a component in `/health` that is not up.
    pub(crate) fn trouble(&self, component: &str) -> Option<String> {
        let state = self.component(component);
        (state["status"] != "up").then(|| state["detail"].as_str().unwrap_or_default().to_owned())
    }

    /// How many calls wait at this replica.
    pub(crate) fn waiting(&self) -> f64 {
        let text = self.runtime.metrics.render();
        let lines = text.lines().filter(|line| line.starts_with("arrakis_proxy_waiting"));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The value of a metric, such as `arrakis_proxy_token_dead`.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.runtime.metrics.render();
        let value = text
            .lines()
            .find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }
}

/// The response that a caller receives.
#[derive(Debug)]
pub(crate) struct CallResponse {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: serde_json::Value,
}

impl CallResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn proxy_error(&self) -> Option<&str> {
        self.header("x-arrakis-proxy-error")
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

/// Sends a call and reads the response.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> CallResponse {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    CallResponse {
        status,
        headers,
        body: serde_json::from_slice(&body).unwrap_or(serde_json::Value::Null),
    }
}

/// A client without credentials.
pub(crate) fn client() -> reqwest::Client {
    use std::sync::OnceLock;
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    // No connection is kept, since each test has its own runtime.
    CLIENT
        .get_or_init(|| {
            reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .no_proxy()
                .build()
                .unwrap()
        })
        .clone()
}

/// Waits for a condition, and fails with its name after 30 s.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let timeout = Duration::from_secs(30);
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < timeout, "{what}: not within {timeout:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
