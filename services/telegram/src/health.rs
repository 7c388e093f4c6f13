//! The health components. Telegram and the api are needed for every command; without Redis only the protection against doubled messages
//! is weaker.

use std::time::Duration;

use arrakis_cache::CacheState;
use arrakis_runtime::{Health, HealthComponent};
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The health components of the service, as `/health` lists them.
#[derive(Debug)]
pub(crate) struct Components {
    /// Whether updates are received: the last poll succeeded, or the webhook is set.
    pub(crate) telegram: HealthComponent,
    api: HealthComponent,
    redis: HealthComponent,
}

impl Components {
    /// Registers the components, before their first check.
    pub(crate) fn new(health: &Health) -> Self {
        let redis = health.component("redis");
        redis.not_checked();
        Self {
            telegram: health.component("telegram"),
            api: health.component("api"),
            redis,
        }
    }

    /// Updates the components of the api and of Redis until `stop` is cancelled.
    pub(crate) async fn watch(&self, services: &Services, stop: CancellationToken) {
        let watching = async {
            tokio::join!(
                self.watch_api(services),
                self.watch_redis(services),
                services.cache.ping_periodically(CHECK_INTERVAL)
            )
        };
        tokio::select! {
            _ = watching => {}
            () = stop.cancelled() => {}
        }
    }

    /// Notices are requested all the time, so that the last request shows the state.
    async fn watch_api(&self, services: &Services) {
        loop {
            match services.api.problem() {
                None => self.api.up(),
                Some(problem) => self.api.degraded(problem),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn watch_redis(&self, services: &Services) {
        let mut state = services.cache.state();
        loop {
            match &*state.borrow_and_update() {
                CacheState::Available => self.redis.up(),
                CacheState::Unavailable(why) => {
                    self.redis
                        .degraded(format!("unavailable, a crash may double a message: {why}"));
                }
                CacheState::Unknown => self.redis.not_checked(),
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    }
}
