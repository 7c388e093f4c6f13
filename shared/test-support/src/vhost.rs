//! A RabbitMQ vhost for each test.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::environment::{required_url, run_in_thread};

/// Prefix of the ingestor's last-value queues, which hold one message as long as there is a shard.
const LAST_VALUE_PREFIX: &str = "arrakis.ingestor.";
/// How long [`TestVhost::finish`] waits for queues to become empty.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// A vhost that is deleted at the end of the test.
#[derive(Debug)]
pub struct TestVhost {
    name: String,
    management: Url,
    amqp: Url,
}

/// A queue as the management API returns it.
#[derive(Debug, Deserialize)]
struct Queue {
    name: String,
    #[serde(default)]
    messages: u64,
}

impl TestVhost {
    /// Creates a vhost, with all rights for the user of `AMQP_URL`.
    ///
    /// # Panics
    /// When `AMQP_URL` or `RABBITMQ_MANAGEMENT_URL` is not set or the broker refuses.
    pub async fn create() -> Self {
        Self::make(required_url("AMQP_URL"), required_url("RABBITMQ_MANAGEMENT_URL")).await
    }

    /// Creates a vhost on another broker, given its AMQP and management URLs, each with a login.
    ///
    /// # Panics
    /// When a URL is malformed or the broker refuses.
    pub async fn create_at(amqp: &str, management: &str) -> Self {
        Self::make(parsed(amqp), parsed(management)).await
    }

    async fn make(amqp: Url, management: Url) -> Self {
        let vhost = Self {
            name: format!("test-{}", uuid::Uuid::new_v4().simple()),
            management,
            amqp,
        };
        let everything = serde_json::json!({"configure": ".*", "write": ".*", "read": ".*"});
        let made = async {
            vhost
                .call(Method::PUT, &format!("/api/vhosts/{}", vhost.name), None)
                .await?;
            vhost.permit(everything).await
        };
        if let Err(why) = made.await {
            panic!("the test's vhost cannot be created: {why}");
        }
        vhost
    }

    /// Its URL, for a service's `AMQP_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.amqp.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets a policy, such as `{"pattern": "^q$", "definition": {"max-length": 5}, "apply-to": "queues"}`.
    ///
    /// # Errors
    /// The broker's error message.
    pub async fn policy(&self, name: &str, policy: serde_json::Value) -> Result<(), String> {
        let path = format!("/api/policies/{}/{name}", self.name);
        self.call(Method::PUT, &path, Some(policy)).await.map(drop)
    }

    /// Sets the rights of the user of `AMQP_URL`, for new channels: `{"configure": ".*", "write": ".*", "read": ".*"}` has all.
    ///
    /// # Errors
    /// The broker's error message.
    pub async fn permit(&self, rights: serde_json::Value) -> Result<(), String> {
        let user = match self.amqp.username() {
            "" => "guest",
            user => user,
        };
        let path = format!("/api/permissions/{}/{user}", self.name);
        self.call(Method::PUT, &path, Some(rights)).await.map(drop)
    }

    /// Number of messages in a queue, ready and unacknowledged; 0 when there is no such queue.
    ///
    /// # Panics
    /// When the management API does not respond.
    pub async fn messages(&self, queue: &str) -> u64 {
        match self.queues().await {
            Ok(queues) => queues
                .iter()
                .find(|found| found.name == queue)
                .map_or(0, |found| found.messages),
            Err(why) => panic!("the broker's queues cannot be listed: {why}"),
        }
    }

    /// Checks at the end of a test that no messages are left.
    ///
    /// # Panics
    /// When a queue does not become empty within 5 s.
    pub async fn finish(self) {
        self.finish_with(&[]).await;
    }

    /// [`TestVhost::finish`] for a test after which messages are left in these queues.
    ///
    /// # Panics
    /// When another queue does not become empty within 5 s.
    pub async fn finish_with(self, expected: &[&str]) {
        let deadline = tokio::time::Instant::now() + FINISH_TIMEOUT;
        loop {
            let queues = match self.queues().await {
                Ok(queues) => queues,
                Err(why) => panic!("the broker's queues cannot be listed: {why}"),
            };
            let left: Vec<_> = queues
                .iter()
                .filter(|queue| queue.messages > 0 && !queue.name.starts_with(LAST_VALUE_PREFIX))
                .filter(|queue| !expected.contains(&queue.name.as_str()))
                .map(|queue| format!("{} in {}", queue.messages, queue.name))
                .collect();
            if left.is_empty() {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "unexpected messages are left: {}",
                left.join(", ")
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Current counts; without these parameters the management API returns counts that are seconds old.
    async fn queues(&self) -> Result<Vec<Queue>, String> {
        let path = format!("/api/queues/{}", self.name);
        let body = self
            .call(
                Method::GET,
                &format!("{path}?disable_stats=true&enable_queue_totals=true"),
                None,
            )
            .await?;
        serde_json::from_slice(&body).map_err(|why| format!("{path}: {why}"))
    }

    async fn call(&self, method: Method, path: &str, body: Option<serde_json::Value>) -> Result<Vec<u8>, String> {
        call(&self.management, method, path, body).await
    }
}

fn parsed(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|why| panic!("{url} is not a URL: {why}"))
}

async fn call(
    management: &Url,
    method: Method,
    path: &str,
    body: Option<serde_json::Value>,
) -> Result<Vec<u8>, String> {
    let url = management.join(path).map_err(|why| why.to_string())?;
    let mut bare = url.clone();
    // Credentials go into the header and not into error messages.
    let _ = bare.set_username("").and_then(|()| bare.set_password(None));
    let mut request = Client::new()
        .request(method, bare.clone())
        .timeout(Duration::from_secs(30))
        .basic_auth(url.username(), url.password());
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.map_err(|why| format!("{bare}: {why}"))?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(|why| format!("{bare}: {why}"))?;
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(bytes.to_vec());
    }
    Err(format!("{bare} returned {status}: {}", String::from_utf8_lossy(&bytes)))
}

impl Drop for TestVhost {
    fn drop(&mut self) {
        let (management, name) = (self.management.clone(), self.name.clone());
        run_in_thread("dropping the test's vhost", async move {
            call(&management, Method::DELETE, &format!("/api/vhosts/{name}"), None)
                .await
                .map(|_| ())
        });
    }
}
