//! When a shard may send IDENTIFY, and the gateway's URL. First the session start limit must allow it, then the shard takes the
//! identify slot of its `max_concurrency` bucket. Caches the last response of `GET /gateway/bot`.
//! <https://discord.com/developers/docs/events/gateway#session-start-limit-object>

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::topology::identify_slot_queue;
use arrakis_broker::{Backoff, BrokerConnection, take_slot};
use arrakis_runtime::{Fatal, HealthComponent, fail_point};
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;
use twilight_gateway::queue::Queue;

use crate::discord::{Discord, GatewayInfo, GatewayInfoError, refused_token};
use crate::metrics::Metrics;

/// How long a response is used. Discord allows this call twice in five seconds, and many shards start at once.
const CACHE_TIME: Duration = Duration::from_secs(30);
/// Longest wait before the session start limit is read again.
const MAX_LIMIT_WAIT: Duration = Duration::from_secs(300);

/// Grants IDENTIFY to shards. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct IdentifyQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: BrokerConnection,
    discord: Discord,
    component: HealthComponent,
    metrics: Metrics,
    limit: Mutex<SessionStartLimit>,
    gateway: parking_lot::Mutex<Gateway>,
    /// When IDENTIFY was last granted to each shard.
    granted: parking_lot::Mutex<HashMap<u32, Instant>>,
}

/// The parts of the last response that all shards read.
#[derive(Debug)]
struct Gateway {
    url: Arc<str>,
    max_concurrency: u32,
}

/// The last response, with the identifies subtracted that were used since.
#[derive(Debug)]
struct SessionStartLimit {
    info: GatewayInfo,
    read_at: Instant,
    /// When the URL may be read again because the gateway is unreachable, and the waits between these reads.
    next_url_read: Instant,
    url_waits: Backoff,
}

/// Waits between two reads of the gateway's URL while the gateway is unreachable.
fn url_waits() -> Backoff {
    Backoff::new(Duration::from_secs(1), Duration::from_secs(60))
}

impl IdentifyQueue {
    pub(crate) fn new(
        connection: BrokerConnection,
        discord: Discord,
        info: GatewayInfo,
        component: HealthComponent,
        metrics: Metrics,
    ) -> Self {
        component.up();
        let gateway = Gateway {
            url: info.url.as_str().into(),
            max_concurrency: info.max_concurrency,
        };
        let now = Instant::now();
        let limit = Mutex::new(SessionStartLimit {
            info,
            read_at: now,
            next_url_read: now,
            url_waits: url_waits(),
        });
        Self(Arc::new(Inner {
            connection,
            discord,
            component,
            metrics,
            limit,
            gateway: parking_lot::Mutex::new(gateway),
            granted: parking_lot::Mutex::default(),
        }))
    }

    /// When IDENTIFY was last granted to this shard.
    pub(crate) fn granted(&self, shard: u32) -> Option<Instant> {
        self.0.granted.lock().get(&shard).copied()
    }

    /// The gateway's URL in the last response.
    pub(crate) fn gateway_url(&self) -> Arc<str> {
        self.0.gateway.lock().url.clone()
    }

    /// Records that the gateway is reachable at its URL.
    pub(crate) fn gateway_is_reachable(&self) {
        // While another shard holds the lock, the reset is left to the next connection.
        if let Ok(mut limit) = self.0.limit.try_lock() {
            limit.url_waits = url_waits();
        }
    }

    /// Records that the gateway is unreachable at its URL, and reads the URL again unless it was read recently. If that fails, the old
    /// URL stays.
    ///
    /// # Errors
    /// When Discord refuses the token.
    pub(crate) async fn gateway_is_unreachable(&self) -> Result<(), Fatal> {
        let inner = &self.0;
        // Another shard reads the URL at present.
        let Ok(mut limit) = inner.limit.try_lock() else {
            return Ok(());
        };
        if Instant::now() < limit.next_url_read {
            return Ok(());
        }
        let wait = limit.url_waits.next_wait();
        let response = inner.discord.fetch().await;
        let retry_after = match response {
            Ok(info) => {
                inner.update(&mut limit, info);
                inner.component.up();
                Duration::ZERO
            }
            Err(GatewayInfoError::Unauthorized) => return Err(refused_token("GET /gateway/bot returned 401")),
            Err(error) => {
                tracing::warn!(%error, "the gateway's URL cannot be read again; the old one stays");
                inner.component.degraded(error.to_string());
                error.retry_after()
            }
        };
        limit.next_url_read = Instant::now() + wait.max(retry_after);
        Ok(())
    }

    /// Waits until the session start limit allows one more IDENTIFY. Called before the connection is opened.
    ///
    /// # Errors
    /// When Discord refuses the token.
    pub(crate) async fn wait_for_session_start(&self) -> Result<(), Fatal> {
        let inner = &self.0;
        loop {
            // The lock is held during the call, so that shards that start together send one request.
            let mut limit = inner.limit.lock().await;
            if limit.read_at.elapsed() >= CACHE_TIME || limit_wait(&limit.info).is_some() {
                let away = |why: &str| inner.component.degraded(why);
                let info = inner.discord.fetch_until_success(away).await?;
                inner.update(&mut limit, info);
            }
            let wait = limit_wait(&limit.info);
            if wait.is_none() {
                limit.info.remaining = limit.info.remaining.saturating_sub(1);
            }
            let info = limit.info.clone();
            drop(limit);
            inner.metrics.identifies_left(info.remaining);
            let Some(wait) = wait else {
                inner
                    .component
                    .up_with(format!("{} of {} identifies left", info.remaining, info.total));
                return Ok(());
            };
            let reason = format!(
                "waiting: only {} of {} identifies are left for {} min, and Discord resets the token beyond the limit. Find out why \
                 shards identify repeatedly (a crash loop?)",
                info.remaining,
                info.total,
                info.reset_after.as_secs() / 60
            );
            tracing::error!(reason, "the session start limit is nearly reached");
            inner.component.degraded(reason);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Inner {
    fn update(&self, limit: &mut SessionStartLimit, info: GatewayInfo) {
        let mut gateway = self.gateway.lock();
        if *gateway.url != *info.url {
            tracing::warn!(before = %gateway.url, now = info.url, "the gateway's URL changed");
            gateway.url = info.url.as_str().into();
        }
        gateway.max_concurrency = info.max_concurrency;
        limit.info = info;
        limit.read_at = Instant::now();
    }
}

/// How long to wait if only a hundredth of the session start limit is left. That part is reserved for restarts by an operator.
fn limit_wait(info: &GatewayInfo) -> Option<Duration> {
    if fail_point::skips("ingestor.guard.budget") {
        return None;
    }
    let reserve = info.total / 100;
    (info.remaining <= reserve).then(|| info.reset_after.clamp(Duration::from_secs(1), MAX_LIMIT_WAIT))
}

impl Queue for IdentifyQueue {
    /// Called by twilight when a connection is open and must send IDENTIFY.
    fn enqueue(&self, shard: u32) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let inner = self.0.clone();
        tokio::spawn(async move {
            let mut sender = sender;
            let max_concurrency = inner.gateway.lock().max_concurrency;
            let slot = identify_slot_queue(shard % max_concurrency);
            tokio::select! {
                taken = take_slot(&inner.connection, &slot) => match taken {
                    Ok(()) => {
                        inner.metrics.identified();
                        inner.granted.lock().insert(shard, Instant::now());
                        let _ = sender.send(());
                    }
                    Err(error) => {
                        tracing::error!(shard, %error, "the identify slot cannot be taken");
                        inner.component.degraded(error.to_string());
                        // twilight calls again when the sender is dropped.
                        tokio::time::sleep(Duration::from_secs(5)).await;
                    }
                },
                // The connection has ended: a slot would be wasted.
                () = sender.closed() => {}
            }
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(remaining: u32, total: u32, reset_after: u64) -> GatewayInfo {
        GatewayInfo {
            url: "wss://gateway.discord.gg".to_owned(),
            shards: 1,
            max_concurrency: 1,
            remaining,
            total,
            reset_after: Duration::from_secs(reset_after),
        }
    }

    #[test]
    fn last_hundredth_of_the_session_start_limit_is_reserved() {
        assert_eq!(limit_wait(&info(11, 1_000, 3_600)), None);
        assert_eq!(limit_wait(&info(10, 1_000, 3_600)), Some(MAX_LIMIT_WAIT));
        assert_eq!(limit_wait(&info(0, 1_000, 60)), Some(Duration::from_secs(60)));
        // A small limit, as tests have, is used completely.
        assert_eq!(limit_wait(&info(1, 5, 60)), None);
        assert_eq!(limit_wait(&info(0, 5, 0)), Some(Duration::from_secs(1)));
    }
}
