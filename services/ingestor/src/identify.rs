//! When a shard may identify, and at which address: the session-start budget first, then the slot of its `max_concurrency`
//! bucket. Keeps Discord's newest answer to `GET /gateway/bot`.
//! <https://discord.com/developers/docs/events/gateway#session-start-limit-object>

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::topology::identify_slot;
use arrakis_broker::{Backoff, Link, take_slot};
use arrakis_runtime::{Component, Fatal, fail_point};
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;
use twilight_gateway::queue::Queue;

use crate::discord::{AskError, Discord, GatewayInfo, refused_token};
use crate::metrics::Metrics;

/// How long an answer serves. Discord answers this call twice in five seconds, and many shards begin at once.
const ANSWER_SERVES: Duration = Duration::from_secs(30);
/// How long to wait at most before the budget is read again.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// Waits between two questions for the gateway's address while it cannot be connected to.
const ADDRESS_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Gives shards their turn. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct IdentifyQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    discord: Discord,
    component: Component,
    metrics: Metrics,
    known: Mutex<Known>,
    /// What every shard reads of the newest answer.
    newest: parking_lot::Mutex<Newest>,
    /// When each shard last had its turn.
    granted: parking_lot::Mutex<HashMap<u32, Instant>>,
}

#[derive(Debug)]
struct Newest {
    url: Arc<str>,
    max_concurrency: u32,
}

/// The budget as it was last said, less what was used since.
#[derive(Debug)]
struct Known {
    info: GatewayInfo,
    at: Instant,
    /// When the address may be asked for again because it failed, and the waits before that.
    ask_again_at: Instant,
    waits: Backoff,
}

fn address_waits() -> Backoff {
    Backoff::new(ADDRESS_WAITS.0, ADDRESS_WAITS.1)
}

impl IdentifyQueue {
    pub(crate) fn new(link: Link, discord: Discord, info: GatewayInfo, component: Component, metrics: Metrics) -> Self {
        component.up();
        let newest = Newest {
            url: info.url.as_str().into(),
            max_concurrency: info.max_concurrency,
        };
        let now = Instant::now();
        let known = Mutex::new(Known {
            info,
            at: now,
            ask_again_at: now,
            waits: address_waits(),
        });
        Self(Arc::new(Inner {
            link,
            discord,
            component,
            metrics,
            known,
            newest: parking_lot::Mutex::new(newest),
            granted: parking_lot::Mutex::default(),
        }))
    }

    /// When this shard last had its turn to identify.
    pub(crate) fn granted(&self, shard: u32) -> Option<Instant> {
        self.0.granted.lock().get(&shard).copied()
    }

    /// The gateway's address, as Discord said last.
    pub(crate) fn gateway_url(&self) -> Arc<str> {
        self.0.newest.lock().url.clone()
    }

    /// The gateway answers at its address.
    pub(crate) fn address_works(&self) {
        // Whoever asks at this moment resets it at the next.
        if let Ok(mut known) = self.0.known.try_lock() {
            known.waits = address_waits();
        }
    }

    /// The gateway does not answer at its address: asks for it once more, unless that was done a moment ago. Without an answer
    /// the old address stays.
    ///
    /// # Errors
    /// When Discord refuses the token.
    pub(crate) async fn address_failed(&self) -> Result<(), Fatal> {
        let inner = &self.0;
        // A shard that asks at this moment asks for all.
        let Ok(mut known) = inner.known.try_lock() else {
            return Ok(());
        };
        if Instant::now() < known.ask_again_at {
            return Ok(());
        }
        let wait = known.waits.next_wait();
        let answer = inner.discord.ask().await;
        let retry_after = match answer {
            Ok(info) => {
                inner.learn(&mut known, info);
                inner.component.up();
                Duration::ZERO
            }
            Err(AskError::Unauthorized) => return Err(refused_token("GET /gateway/bot answers 401")),
            Err(error) => {
                tracing::warn!(%error, "the gateway's address cannot be read anew; the old one stays");
                inner.component.degraded(error.to_string());
                error.retry_after()
            }
        };
        known.ask_again_at = Instant::now() + wait.max(retry_after);
        Ok(())
    }

    /// Waits until the session-start budget allows one more identify, before a connection is made for it.
    ///
    /// # Errors
    /// When Discord refuses the token.
    pub(crate) async fn budget(&self) -> Result<(), Fatal> {
        let inner = &self.0;
        loop {
            // Held while asking: shards that begin together ask once between them.
            let mut known = inner.known.lock().await;
            if known.at.elapsed() >= ANSWER_SERVES || hold_back(&known.info).is_some() {
                let away = |why: &str| inner.component.degraded(why);
                let info = inner.discord.ask_until_answered(away).await?;
                inner.learn(&mut known, info);
            }
            let wait = hold_back(&known.info);
            if wait.is_none() {
                known.info.remaining = known.info.remaining.saturating_sub(1);
            }
            let info = known.info.clone();
            drop(known);
            inner.metrics.identifies_left(info.remaining);
            let Some(wait) = wait else {
                inner
                    .component
                    .up_with(format!("{} of {} identifies left", info.remaining, info.total));
                return Ok(());
            };
            let why = format!(
                "{} of {} identifies are left for {} min; beyond the limit Discord resets the token. Waiting. Find what makes \
                 shards identify again and again (a crash loop?)",
                info.remaining,
                info.total,
                info.reset_after.as_secs() / 60
            );
            tracing::error!(why, "the session-start budget is nearly used up");
            inner.component.degraded(why);
            tokio::time::sleep(wait).await;
        }
    }
}

impl Inner {
    fn learn(&self, known: &mut Known, info: GatewayInfo) {
        let mut newest = self.newest.lock();
        if *newest.url != *info.url {
            tracing::warn!(before = %newest.url, now = info.url, "the gateway's address changed");
            newest.url = info.url.as_str().into();
        }
        newest.max_concurrency = info.max_concurrency;
        known.info = info;
        known.at = Instant::now();
    }
}

/// How long to wait, if the last hundredth of the budget is reached. It is kept for a person who must restart something.
fn hold_back(info: &GatewayInfo) -> Option<Duration> {
    if fail_point::skips("ingestor.guard.budget") {
        return None;
    }
    let reserve = info.total / 100;
    (info.remaining <= reserve).then(|| info.reset_after.clamp(Duration::from_secs(1), LOOK_AGAIN))
}

impl Queue for IdentifyQueue {
    /// Called by twilight when a connection stands and wants to identify.
    fn enqueue(&self, shard: u32) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let inner = self.0.clone();
        tokio::spawn(async move {
            let mut sender = sender;
            let max_concurrency = inner.newest.lock().max_concurrency;
            let slot = identify_slot(shard % max_concurrency);
            tokio::select! {
                taken = take_slot(&inner.link, &slot) => match taken {
                    Ok(()) => {
                        inner.metrics.identified();
                        inner.granted.lock().insert(shard, Instant::now());
                        let _ = sender.send(());
                    }
                    Err(error) => {
                        tracing::error!(shard, %error, "no turn to identify");
                        inner.component.degraded(error.to_string());
                        // Dropping the sender at once would make twilight ask again at once.
                        tokio::time::sleep(Duration::from_secs(5)).await;
                    }
                },
                // The shard has gone: a slot taken now would be wasted.
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
    fn the_last_hundredth_of_the_budget_is_kept() {
        assert_eq!(hold_back(&info(11, 1_000, 3_600)), None);
        assert_eq!(hold_back(&info(10, 1_000, 3_600)), Some(LOOK_AGAIN));
        assert_eq!(hold_back(&info(0, 1_000, 60)), Some(Duration::from_secs(60)));
        // A small budget, as tests and new bots have, is used to its end and no further.
        assert_eq!(hold_back(&info(1, 5, 60)), None);
        assert_eq!(hold_back(&info(0, 5, 0)), Some(Duration::from_secs(1)));
    }
}
