//! The health components. PostgreSQL is required, with each of its logins. Without Redis each replica counts rate limits by itself, and without the
//! broker jobs are published by the workers' leader, so these two are reported as degraded.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{BrokerConnection, ConnectionState};
use arrakis_cache::CacheState;
use arrakis_db::Database;
use arrakis_runtime::{Health, HealthComponent};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Interval of the checks of PostgreSQL and Redis.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The health components, each down or degraded until its first check.
#[derive(Debug)]
pub(crate) struct Components {
    postgres: HealthComponent,
    postgres_admin: HealthComponent,
    broker: HealthComponent,
    redis: HealthComponent,
}

impl Components {
    /// Registers the components, before their first check.
    pub(crate) fn new(health: &Health) -> Self {
        let (broker, redis) = (health.component("broker"), health.component("redis"));
        // The api starts without either of them.
        broker.not_checked();
        redis.not_checked();
        Self {
            postgres: health.component("postgres"),
            postgres_admin: health.component("postgres-admin"),
            broker,
            redis,
        }
    }

    /// Updates the components until `stop` is cancelled.
    pub(crate) async fn watch(self, services: Arc<Services>, connection: BrokerConnection, stop: CancellationToken) {
        let watching = async {
            tokio::join!(
                watch_postgres(&self.postgres, &services.database, &services, "app"),
                watch_postgres(&self.postgres_admin, services.admin.database(), &services, "admin"),
                watch_broker(&self.broker, &connection),
                watch_redis(&self.redis, &services),
                services.cache.ping_periodically(CHECK_INTERVAL),
            )
        };
        tokio::select! {
            _ = watching => {}
            () = stop.cancelled() => {}
        }
    }
}

/// `login` is the value of the metrics label.
async fn watch_postgres(component: &HealthComponent, database: &Database, services: &Services, login: &'static str) {
    loop {
        match database.ping().await {
            Ok(_) if database.breaker_is_open() => {
                component.degraded("the circuit breaker is open: the pool had no connections");
            }
            Ok(took) => component.up_with(format!("{} ms", took.as_millis())),
            Err(error) => component.down(error.to_string()),
        }
        services.metrics.pool(login, database.pool_usage());
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

async fn watch_broker(component: &HealthComponent, connection: &BrokerConnection) {
    let mut states = connection.watch();
    loop {
        match &*states.borrow_and_update() {
            ConnectionState::Connected => component.up(),
            ConnectionState::Connecting { reason } => component.degraded(format!("not connected: {reason}")),
            ConnectionState::Blocked { reason } => {
                component.degraded(format!("the broker has blocked publishing: {reason}"));
            }
            ConnectionState::Closed => component.degraded("connection closed"),
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_redis(component: &HealthComponent, services: &Services) {
    let mut state = services.cache.state();
    loop {
        match &*state.borrow_and_update() {
            CacheState::Available => component.up(),
            CacheState::Unavailable(why) => {
                component.degraded(format!("unavailable, this replica counts rate limits by itself: {why}"));
            }
            CacheState::Unknown => component.not_checked(),
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}
