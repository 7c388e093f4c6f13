//! The time in which a call waits in a discord-proxy for Discord's limits.
//!
//! The proxy has the number of waiting calls as a metric. It is read twenty times a second, so calls that wait at the same time count once,
//! and the share of a whole is at most 1. A call that is sent at once waits for less than a millisecond, until Redis has counted it.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bench::Scrape;

/// Number of calls that wait for a permit.
const WAITING: &str = "arrakis_proxy_waiting";
/// Time between two reads.
const INTERVAL: Duration = Duration::from_millis(50);

/// Counts the time until [`LimitWaits::end`].
#[derive(Debug)]
pub(super) struct LimitWaits {
    stop: DropGuard,
    task: JoinHandle<anyhow::Result<Duration>>,
}

impl LimitWaits {
    /// Begins for the proxy with this health address.
    pub(super) fn begin(health: &str) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(count(health.to_owned(), stop.clone()));
        Self {
            stop: stop.drop_guard(),
            task,
        }
    }

    /// The time in which at least one call waited.
    ///
    /// # Errors
    /// When the proxy did not respond.
    pub(super) async fn end(self) -> anyhow::Result<Duration> {
        drop(self.stop);
        self.task.await?
    }
}

async fn count(health: String, stop: CancellationToken) -> anyhow::Result<Duration> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (mut waited, mut last) = (Duration::ZERO, Instant::now());
    while !stop.is_cancelled() {
        tokio::time::sleep(INTERVAL).await;
        let is_waiting = Scrape::by(&client, &health).await?.sum(WAITING) > 0.0;
        let now = Instant::now();
        if is_waiting {
            waited += now - last;
        }
        last = now;
    }
    Ok(waited)
}
