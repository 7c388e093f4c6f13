//! The worker's health components, and the gauges that are polled.
//!
//! The broker and Postgres are required. Without Redis commands still reply, and without a discord-proxy messages wait in retry
//! queues, so these two are reported as degraded, as are a late eligibility sync, a score service whose circuit breaker is open,
//! scheduled backups that are overdue or fail, shadows of configurations that are damaged or cannot be written, and steps of the kill switch that
//! have not succeeded.

mod configurations;

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{BrokerConnection, ConnectionState};
use arrakis_cache::CacheState;
use arrakis_eligibility::{BreakerState, BreakerStatus};
use arrakis_runtime::{Health, HealthComponent};
use tokio_util::sync::CancellationToken;

use crate::jobs::{backup, eligibility_sync};
use crate::moment::moment;
use crate::services::Services;

/// Interval of the checks of Postgres and Redis.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Interval at which the steps of the kill switch are reported.
const KILL_SWITCH_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of the checks of the proxies: each one is a call to Discord, too.
const PROXY_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// Interval at which the messages and consumers of each queue are counted.
const QUEUE_COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// The health components, each down or degraded until its first check.
#[derive(Debug)]
pub(crate) struct Components {
    broker: HealthComponent,
    postgres: HealthComponent,
    redis: HealthComponent,
    proxy: HealthComponent,
    eligibility: HealthComponent,
    score: HealthComponent,
    backups: HealthComponent,
    configurations: HealthComponent,
    kill_switch: HealthComponent,
}

/// The two connections to the broker.
#[derive(Debug, Clone)]
pub(crate) struct BrokerConnections {
    /// The connection of the consumers.
    pub(crate) consume: BrokerConnection,
    /// The connection of the publisher.
    pub(crate) publish: BrokerConnection,
}

impl Components {
    pub(crate) fn new(health: &Health) -> Self {
        let redis = health.component("redis");
        let proxy = health.component("discord-proxy");
        let eligibility = health.component("eligibility");
        eligibility.up_with("not checked yet");
        let score = health.component("score-service");
        score.up_with("not checked yet");
        let backups = health.component("backups");
        backups.up_with("not checked yet");
        let configurations = health.component("configurations");
        configurations.up_with("not checked yet");
        let kill_switch = health.component("kill_switch");
        kill_switch.up_with("not checked yet");
        // A worker starts without either of these.
        redis.not_checked();
        proxy.not_checked();
        Self {
            broker: health.component("broker"),
            postgres: health.component("postgres"),
            redis,
            proxy,
            eligibility,
            score,
            backups,
            configurations,
            kill_switch,
        }
    }

    /// Updates components and gauges until `stop` is cancelled.
    pub(crate) async fn watch(
        self,
        services: Arc<Services>,
        connections: BrokerConnections,
        queues: Vec<String>,
        stop: CancellationToken,
    ) {
        let watching = async {
            tokio::join!(
                watch_broker(&self.broker, &connections),
                watch_postgres(&self.postgres, &services),
                watch_redis(&self.redis, &services),
                services.cache.ping_periodically(CHECK_INTERVAL),
                watch_proxies(&self.proxy, &services),
                eligibility_sync::health::watch(&self.eligibility, &services),
                watch_score_service(&self.score, &services),
                backup::health::watch(&self.backups, &services),
                configurations::watch(&self.configurations, &services),
                watch_kill_switch(&self.kill_switch, &services),
                count_queues(&services, &connections.consume, &queues),
            )
        };
        tokio::select! {
            _ = watching => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn watch_broker(component: &HealthComponent, connections: &BrokerConnections) {
    let (mut consume, mut publish) = (connections.consume.watch(), connections.publish.watch());
    loop {
        let states = [consume.borrow_and_update().clone(), publish.borrow_and_update().clone()];
        report_broker(component, &states);
        let changed = tokio::select! {
            changed = consume.changed() => changed,
            changed = publish.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn report_broker(component: &HealthComponent, states: &[ConnectionState]) {
    for state in states {
        match state {
            ConnectionState::Connected => {}
            ConnectionState::Connecting { reason: why } => return component.down(format!("not connected: {why}")),
            ConnectionState::Closed => return component.down("connection closed"),
            // Consuming continues; retries and jobs wait.
            ConnectionState::Blocked { reason: why } => {
                return component.degraded(format!("the broker has blocked publishing: {why}"));
            }
        }
    }
    component.up();
}

async fn watch_postgres(component: &HealthComponent, services: &Services) {
    let (database, metrics) = (&services.database, &services.metrics);
    loop {
        match database.ping().await {
            Ok(_) if database.breaker_is_open() => {
                component.degraded("the circuit breaker is open: the pool had no connections");
            }
            Ok(took) => component.up_with(format!("{} ms", took.as_millis())),
            Err(error) => component.down(error.to_string()),
        }
        let pool = database.pool_usage();
        for (state, connections) in [("open", pool.open), ("idle", pool.idle)] {
            metrics.pool.with_label_values(&[state]).set(i64::from(connections));
        }
        let openings = database.breaker_openings();
        metrics.breaker.inc_by(openings.saturating_sub(metrics.breaker.get()));
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

async fn watch_redis(component: &HealthComponent, services: &Services) {
    let mut state = services.cache.state();
    loop {
        match &*state.borrow_and_update() {
            CacheState::Available => component.up(),
            CacheState::Unavailable(why) => {
                component.degraded(format!("unavailable, cooldowns and caches are off: {why}"));
            }
            CacheState::Unknown => component.not_checked(),
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Reports what follows from the kill switch or its end and has not succeeded. That it is on is a detail of its own.
async fn watch_kill_switch(component: &HealthComponent, services: &Services) {
    loop {
        let pending = services.kill_switch.pending();
        if pending.is_empty() {
            component.up();
        } else {
            component.degraded(format!("{}; it is repeated each second", pending.join("; ")));
        }
        tokio::time::sleep(KILL_SWITCH_INTERVAL).await;
    }
}

/// Reports the circuit breaker of the score service: while it is open, the chain stands in.
async fn watch_score_service(component: &HealthComponent, services: &Services) {
    let Some(mut breaker) = services.eligibility.breaker() else {
        return component.up_with("not configured (SCORE_API_URL)");
    };
    loop {
        let status = breaker.borrow_and_update().clone();
        services.metrics.provider.set_breaker(status.state);
        report_score_service(component, &status);
        if breaker.changed().await.is_err() {
            return;
        }
    }
}

fn report_score_service(component: &HealthComponent, status: &BreakerStatus) {
    let cause = status.cause.as_deref().unwrap_or("unknown");
    match status.state {
        BreakerState::Closed => component.up(),
        BreakerState::Open => component.degraded(format!(
            "the circuit breaker is open since {}, the chain stands in; the next probe is sent at {}; last failure: {cause}",
            moment(status.since),
            moment(status.probe_at)
        )),
        BreakerState::HalfOpen => component.degraded(format!(
            "the circuit breaker is open since {}, the chain stands in; a probe is in progress; last failure: {cause}",
            moment(status.since)
        )),
    }
}

async fn watch_proxies(component: &HealthComponent, services: &Services) {
    loop {
        match services.probe_discord().await {
            Ok(()) => report_refusing_proxies(component, &services.discord.refusing_proxies()),
            Err(error) => component.degraded(error.to_string()),
        }
        tokio::time::sleep(PROXY_CHECK_INTERVAL).await;
    }
}

/// Reports replicas that refuse the worker's credential. The other replicas serve its calls as long as they are up.
fn report_refusing_proxies(component: &HealthComponent, refusing: &[String]) {
    if refusing.is_empty() {
        return component.up();
    }
    component.degraded(format!(
        "{} refused this worker's credential (unknown-caller): add the value of DISCORD_PROXY_CREDENTIAL to PROXY_CREDENTIALS of \
         that replica",
        refusing.join(", ")
    ));
}

/// Messages and consumers of each queue, for autoscaling by the backlog.
async fn count_queues(services: &Services, connection: &BrokerConnection, queues: &[String]) {
    let metrics = &services.metrics.queues;
    loop {
        for queue in queues {
            if let Some(counts) = arrakis_broker::queue_counts(connection, queue).await {
                metrics.counted(queue, counts.messages, counts.consumers);
            }
        }
        tokio::time::sleep(QUEUE_COUNT_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn open_breaker_is_reported_with_its_times() {
        let health = Health::default();
        let component = health.component("score-service");
        let text = |state, probe_at| {
            let status = BreakerStatus {
                state,
                since: Some(datetime!(2026-11-30 02:13:05.5 UTC)),
                probe_at,
                cause: Some("HTTP 503".to_owned()),
            };
            report_score_service(&component, &status);
            health.document("worker", "0")["components"]["score-service"].to_string()
        };
        let open = text(BreakerState::Open, Some(datetime!(2026-11-30 02:14:35 UTC)));
        for part in [
            "degraded",
            "open since 2026-11-30T02:13:05Z",
            "probe is sent at 2026-11-30T02:14:35Z",
            "HTTP 503",
        ] {
            assert!(open.contains(part), "{open}");
        }
        let half_open = text(BreakerState::HalfOpen, None);
        assert!(half_open.contains("a probe is in progress"), "{half_open}");
        report_score_service(
            &component,
            &BreakerStatus {
                state: BreakerState::Closed,
                since: None,
                probe_at: None,
                cause: None,
            },
        );
        let closed = health.document("worker", "0")["components"]["score-service"].to_string();
        assert!(closed.contains("\"up\"") && !closed.contains("breaker"), "{closed}");
    }
}
