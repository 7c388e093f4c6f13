//! What the worker tells of its dependencies, and the gauges that are asked for rather than counted.
//!
//! Broker and Postgres are needed. Redis and the proxies are not for a worker to be useful: without Redis commands answer all
//! the same, without a proxy what is consumed waits in retries; so both are "degraded", by name.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{BrokerConnection, ConnectionState};
use arrakis_cache::CacheState;
use arrakis_runtime::{Health, HealthComponent};
use tokio_util::sync::CancellationToken;
use twilight_model::id::marker::GuildMarker;

use crate::services::Services;

/// How often dependencies are asked.
const EVERY: Duration = Duration::from_secs(5);
/// How often the proxies are: each question is a call to Discord, too.
const PROXY_EVERY: Duration = Duration::from_secs(30);
/// How long an answer of the proxies may take.
const PROXY_PATIENCE: Duration = Duration::from_secs(5);
/// How often queues are counted.
const DEPTH_EVERY: Duration = Duration::from_secs(10);

/// The components, down ("starting") until somebody has looked.
#[derive(Debug)]
pub(crate) struct Components {
    broker: HealthComponent,
    postgres: HealthComponent,
    redis: HealthComponent,
    proxy: HealthComponent,
}

/// The two connections to the broker.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    /// Consumes.
    pub(crate) consume: BrokerConnection,
    /// Publishes.
    pub(crate) publish: BrokerConnection,
}

impl Components {
    pub(crate) fn new(health: &Health) -> Self {
        let redis = health.component("redis");
        let proxy = health.component("discord-proxy");
        // A worker may start without either.
        redis.degraded("not asked yet");
        proxy.degraded("not asked yet");
        Self {
            broker: health.component("broker"),
            postgres: health.component("postgres"),
            redis,
            proxy,
        }
    }

    /// Watches until it is told to stop.
    pub(crate) async fn watch(
        self,
        services: Arc<Services>,
        links: Links,
        queues: Vec<String>,
        stop: CancellationToken,
    ) {
        let watching = async {
            tokio::join!(
                broker(&self.broker, &links),
                postgres(&self.postgres, &services),
                redis(&self.redis, &services),
                services.cache.ping_periodically(EVERY),
                proxy(&self.proxy, &services),
                depth(&services, &links.consume, &queues),
            )
        };
        tokio::select! {
            _ = watching => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn broker(component: &HealthComponent, links: &Links) {
    let (mut consume, mut publish) = (links.consume.watch(), links.publish.watch());
    loop {
        let states = [consume.borrow_and_update().clone(), publish.borrow_and_update().clone()];
        tell_broker(component, &states);
        let changed = tokio::select! {
            changed = consume.changed() => changed,
            changed = publish.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn tell_broker(component: &HealthComponent, states: &[ConnectionState]) {
    for state in states {
        match state {
            ConnectionState::Connected => {}
            ConnectionState::Connecting { reason: why } => return component.down(format!("not connected: {why}")),
            ConnectionState::Closed => return component.down("closed"),
            // Consuming goes on; retries and jobs wait.
            ConnectionState::Blocked { reason: why } => {
                return component.degraded(format!("the broker takes no messages: {why}"));
            }
        }
    }
    component.up();
}

async fn postgres(component: &HealthComponent, services: &Services) {
    loop {
        match services.database.ping().await {
            Ok(_) if services.database.breaker_is_open() => component.degraded("its pool gave no connections lately"),
            Ok(took) => component.up_with(format!("{} ms", took.as_millis())),
            Err(error) => component.down(error.to_string()),
        }
        let pool = services.database.pool_usage();
        let gauge = |state, value: u32| services.metrics.pool.with_label_values(&[state]).set(i64::from(value));
        gauge("open", pool.open);
        gauge("idle", pool.idle);
        let openings = services.database.breaker_openings();
        services
            .metrics
            .breaker
            .inc_by(openings.saturating_sub(services.metrics.breaker.get()));
        tokio::time::sleep(EVERY).await;
    }
}

async fn redis(component: &HealthComponent, services: &Services) {
    let mut state = services.cache.state();
    loop {
        match &*state.borrow_and_update() {
            CacheState::Available => component.up(),
            CacheState::Unavailable(why) => component.degraded(format!("going on without cooldowns and caches: {why}")),
            CacheState::Unknown => component.degraded("not asked yet"),
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

async fn proxy(component: &HealthComponent, services: &Services) {
    loop {
        match probe(services).await {
            Ok(()) => tell_refusing(component, &services.discord.refusing_proxies()),
            Err(error) => component.degraded(error.to_string()),
        }
        tokio::time::sleep(PROXY_EVERY).await;
    }
}

/// The others serve; but when they fail, nobody does.
fn tell_refusing(component: &HealthComponent, refusing: &[String]) {
    if refusing.is_empty() {
        return component.up();
    }
    component.degraded(format!(
        "{} does not know this service's credential (unknown-caller): give that replica the value of DISCORD_PROXY_CREDENTIAL \
         in its PROXY_CREDENTIALS",
        refusing.join(", ")
    ));
}

/// One cheap call: says whether a proxy and Discord answer, and teaches us Discord's clock.
pub(crate) async fn probe(services: &Services) -> arrakis_discord::Result<()> {
    let guild: Option<twilight_model::id::Id<GuildMarker>> = None;
    services.discord.bulk(guild).within(PROXY_PATIENCE).probe().await
}

/// Depth and consumers of each queue, for autoscaling on the backlog of each worker.
async fn depth(services: &Services, link: &BrokerConnection, queues: &[String]) {
    loop {
        for queue in queues {
            if let Some(counts) = arrakis_broker::queue_counts(link, queue).await {
                services
                    .metrics
                    .depth
                    .with_label_values(&[queue])
                    .set(i64::from(counts.messages));
                services
                    .metrics
                    .consumers
                    .with_label_values(&[queue])
                    .set(i64::from(counts.consumers));
            }
        }
        tokio::time::sleep(DEPTH_EVERY).await;
    }
}
