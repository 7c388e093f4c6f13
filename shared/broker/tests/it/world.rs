//! A virtual host with connections, and functions to publish and read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{
    BrokerConnection, BrokerSettings, ConfirmLatencyObserver, ConsumeOptions, Message, PipelineOptions, PipelineSender,
    Priorities, Publisher, RetryPublisher, StopTokens, Topology, Verdict, consume,
};
use arrakis_contracts::names;
use arrakis_test_support::{FaultProxy, TestVhost, eventually};
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

/// A virtual host of the test with the topology, and a connection.
pub(crate) struct World {
    pub(crate) vhost: TestVhost,
    /// Between the links and the broker.
    pub(crate) proxy: FaultProxy,
    pub(crate) connection: BrokerConnection,
    pub(crate) topology: Arc<Topology>,
}

impl World {
    pub(crate) async fn bare() -> Self {
        let vhost = TestVhost::create().await;
        let proxy = FaultProxy::start(&vhost.url()).await;
        let settings = BrokerSettings::new(proxy.proxied_url(&vhost.url()));
        let connection = BrokerConnection::open(&settings, format!("test {}", vhost.name()));
        Self {
            vhost,
            proxy,
            connection,
            topology: Arc::new(Topology::new(Priorities::Classic)),
        }
    }

    pub(crate) async fn new() -> Self {
        let world = Self::bare().await;
        world
            .topology
            .declare(&world.connection.current().await.unwrap())
            .await
            .unwrap();
        world
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(self.connection.clone()).with_limit(Duration::from_secs(15))
    }

    /// A second connection, as services use to consume.
    pub(crate) fn another_connection(&self) -> BrokerConnection {
        BrokerConnection::open(
            &BrokerSettings::new(self.proxy.proxied_url(&self.vhost.url())),
            "test consumer",
        )
    }

    pub(crate) fn pipeline_options(&self) -> PipelineOptions {
        PipelineOptions {
            window: 32,
            window_bytes: 1 << 20,
            confirm_within: Duration::from_secs(5),
            fence: None,
            topology: Some(self.topology.clone()),
            confirm_latency: ConfirmLatencyObserver::default(),
        }
    }

    pub(crate) fn consume_options(&self, queue: &str) -> ConsumeOptions {
        ConsumeOptions {
            isolation: arrakis_broker::Isolation::default(),
            queue: queue.to_owned(),
            prefetch: 10,
            priority: 0,
            limit: None,
            retries: RetryPublisher::new(self.publisher()),
            topology: Some(self.topology.clone()),
            observer: Arc::new(()),
        }
    }

    /// Starts a consumer; the handle ends when `stop` is used.
    pub(crate) fn consume<F, Fut>(
        &self,
        options: ConsumeOptions,
        stop: &StopTokens,
        handler: F,
    ) -> tokio::task::JoinHandle<()>
    where
        F: Fn(arrakis_broker::Delivery) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        let (connection, stop) = (self.another_connection(), stop.clone());
        tokio::spawn(async move {
            consume(&connection, options, handler, &stop).await.unwrap();
            connection.close().await;
        })
    }

    /// Ids of all messages in a queue, in order; takes them out.
    pub(crate) async fn take_all(&self, queue: &str, count: usize) -> Vec<String> {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        let mut ids = Vec::new();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while ids.len() < count {
            match channel
                .basic_get(queue.into(), BasicGetOptions { no_ack: true })
                .await
                .unwrap()
            {
                Some(got) => ids.push(got.delivery.properties.message_id().as_ref().unwrap().to_string()),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{} of {count} messages in {queue}",
                ids.len()
            );
        }
        // Copies that came twice are behind.
        while let Some(got) = channel
            .basic_get(queue.into(), BasicGetOptions { no_ack: true })
            .await
            .unwrap()
        {
            ids.push(got.delivery.properties.message_id().as_ref().unwrap().to_string());
        }
        ids
    }

    /// Number of messages that are ready in a queue; 0 if there is no such queue.
    pub(crate) async fn count(&self, queue: &str) -> u32 {
        self.counts(queue).await.0
    }

    /// Number of consumers of a queue; 0 if there is no such queue.
    pub(crate) async fn consumers(&self, queue: &str) -> u32 {
        self.counts(queue).await.1
    }

    async fn counts(&self, queue: &str) -> (u32, u32) {
        let channel = self.connection.current().await.unwrap().channel().await.unwrap();
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        let Ok(declared) = declared else { return (0, 0) };
        let _ = channel.close(200, "done".into()).await;
        (declared.message_count(), declared.consumer_count())
    }

    /// Ends the test: fails it when messages are left that it does not expect. Counts over AMQP, since the counts of the
    /// management API for quorum queues are seconds late.
    pub(crate) async fn finish(self, expected: &[&str]) {
        let queues = self.topology.queues.iter().map(|queue| queue.name.as_str());
        for queue in queues.filter(|queue| !expected.contains(queue)) {
            eventually(async || self.count(queue).await == 0, format!("{queue} to be empty")).await;
        }
    }
}

/// An event of a member joining.
pub(crate) fn join(id: impl Into<String>) -> Message {
    Message::new(names::EVENTS, "member.join", id, "GUILD_MEMBER_ADD", &b"{}"[..])
}

/// The distinct ids in their first order.
pub(crate) fn first_seen(ids: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.iter().filter(|id| seen.insert((*id).clone())).cloned().collect()
}

/// Waits until the broker has all that was sent.
pub(crate) async fn all_confirmed(sender: &PipelineSender) {
    eventually(
        async || sender.progress().confirmed == sender.sent(),
        "all to be confirmed",
    )
    .await;
}
