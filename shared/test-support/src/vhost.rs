//! A RabbitMQ vhost of its own for each test.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::environment::{required_url, run_apart};

/// Last-value queues of the ingestor hold one message for as long as there is a shard.
const HOLDS_ITS_VALUE: &str = "arrakis.ingestor.";
/// How long [`TestVhost::finish`] waits for acks under way before it calls a message left behind.
const SETTLE: Duration = Duration::from_secs(5);

/// A vhost that ends with the test.
#[derive(Debug)]
pub struct TestVhost {
    name: String,
    management: Url,
    amqp: Url,
}

/// A queue as management lists it.
#[derive(Debug, Deserialize)]
struct Queue {
    name: String,
    #[serde(default)]
    messages: u64,
}

impl TestVhost {
    /// Makes one, with all rights for the user of `AMQP_URL`.
    ///
    /// # Panics
    /// When `AMQP_URL` or `RABBITMQ_MANAGEMENT_URL` is not set or the broker refuses.
    pub async fn create() -> Self {
        Self::make(required_url("AMQP_URL"), required_url("RABBITMQ_MANAGEMENT_URL")).await
    }

    /// Makes one on another broker: its `AMQP_URL` and its management's address, each with a login.
    ///
    /// # Panics
    /// When one is no URL or the broker refuses.
    pub async fn create_at(amqp: &str, management: &str) -> Self {
        Self::make(parsed(amqp), parsed(management)).await
    }

    async fn make(amqp: Url, management: Url) -> Self {
        let vhost = Self {
            name: format!("test-{}", uuid::Uuid::new_v4().simple()),
            management,
            amqp,
        };
        let user = if vhost.amqp.username().is_empty() {
            "guest"
        } else {
            vhost.amqp.username()
        };
        let everything = serde_json::json!({"configure": ".*", "write": ".*", "read": ".*"});
        let made = async {
            vhost
                .call(Method::PUT, &format!("/api/vhosts/{}", vhost.name), None)
                .await?;
            vhost
                .call(
                    Method::PUT,
                    &format!("/api/permissions/{}/{user}", vhost.name),
                    Some(everything),
                )
                .await
        };
        if let Err(why) = made.await {
            panic!("no vhost for this test: {why}");
        }
        vhost
    }

    /// Its URL: what a service's `AMQP_URL` is.
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
    /// The broker's refusal, in words.
    pub async fn policy(&self, name: &str, policy: serde_json::Value) -> Result<(), String> {
        let path = format!("/api/policies/{}/{name}", self.name);
        self.call(Method::PUT, &path, Some(policy)).await.map(drop)
    }

    /// Messages in a queue, ready and unacknowledged; 0 where there is no such queue.
    ///
    /// # Panics
    /// When management does not answer.
    pub async fn messages(&self, queue: &str) -> u64 {
        match self.queues().await {
            Ok(queues) => queues
                .iter()
                .find(|found| found.name == queue)
                .map_or(0, |found| found.messages),
            Err(why) => panic!("the broker does not list its queues: {why}"),
        }
    }

    /// Ends the test: fails it when messages are left.
    ///
    /// # Panics
    /// When a queue is not empty and does not become so.
    pub async fn finish(self) {
        self.finish_with(&[]).await;
    }

    /// [`TestVhost::finish`] for a test that means to leave messages in these queues.
    ///
    /// # Panics
    /// When another queue is not empty and does not become so.
    pub async fn finish_with(self, expected: &[&str]) {
        let deadline = tokio::time::Instant::now() + SETTLE;
        loop {
            let queues = match self.queues().await {
                Ok(queues) => queues,
                Err(why) => panic!("the broker does not list its queues: {why}"),
            };
            let left: Vec<_> = queues
                .iter()
                .filter(|queue| queue.messages > 0 && !queue.name.starts_with(HOLDS_ITS_VALUE))
                .filter(|queue| !expected.contains(&queue.name.as_str()))
                .map(|queue| format!("{} in {}", queue.messages, queue.name))
                .collect();
            if left.is_empty() {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "messages that nobody expected are left: {}",
                left.join(", ")
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Counts as they are now; without these arguments management answers what it gathered seconds ago.
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
    Url::parse(url).unwrap_or_else(|why| panic!("{url} is no URL: {why}"))
}

async fn call(
    management: &Url,
    method: Method,
    path: &str,
    body: Option<serde_json::Value>,
) -> Result<Vec<u8>, String> {
    let url = management.join(path).map_err(|why| why.to_string())?;
    let mut bare = url.clone();
    // Credentials go into the header and stay out of messages.
    let _ = bare.set_username("").and_then(|()| bare.set_password(None));
    let mut request = Client::new()
        .request(method, bare.clone())
        .timeout(Duration::from_secs(30))
        .basic_auth(url.username(), url.password());
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.map_err(|why| format!("{bare}: {why}"))?;
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|why| format!("{bare}: {why}"))?;
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(bytes.to_vec());
    }
    Err(format!("{bare} answers {status}: {}", String::from_utf8_lossy(&bytes)))
}

impl Drop for TestVhost {
    fn drop(&mut self) {
        let (management, name) = (self.management.clone(), self.name.clone());
        run_apart("dropping the test's vhost", async move {
            call(&management, Method::DELETE, &format!("/api/vhosts/{name}"), None)
                .await
                .map(|_| ())
        });
    }
}
