//! Failures that the emulator does not record as expired: a reply that reports an error counts as answered there, and joins and
//! leaves have no reply at all.

use std::time::{Duration, Instant};

use arrakis_contracts::names;

use super::QUEUES;
use crate::bench::ceiling::BenchConnection;
use crate::bench::section::percent;
use crate::bench::{BenchPlatform, Scrape};

/// Time limit for handling the messages that wait when a load ends. Under overload, member events wait for commands, so several
/// minutes of them may be queued.
const DRAIN_LIMIT: Duration = Duration::from_secs(900);

/// Counters at the start of a load.
#[derive(Debug)]
pub(super) struct FailureCounter {
    dead: u64,
    worker: Scrape,
}

/// Failures during a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailureCounts {
    /// Dead letters.
    dead: u64,
    /// Messages that were retried, or still wait for a retry.
    retried: u64,
    /// Calls with an unknown outcome.
    unknown: u64,
    /// Messages that were not handled within the time limit.
    left: u64,
    /// Messages that waited when the load was over, and the time until none did.
    pub(super) waited: u64,
    pub(super) drained: Duration,
}

impl FailureCounter {
    pub(super) async fn begin(platform: &BenchPlatform) -> anyhow::Result<Self> {
        let connection = BenchConnection::open(&platform.vhost.url()).await?;
        let dead = connection.depth(names::DEAD_LETTERS).await?;
        connection.close().await;
        Ok(Self {
            dead,
            worker: platform.scrape("worker").await?,
        })
    }

    /// Waits until the queues are empty, and counts.
    pub(super) async fn end(&self, platform: &BenchPlatform) -> anyhow::Result<FailureCounts> {
        let connection = BenchConnection::open(&platform.vhost.url()).await?;
        let begun = Instant::now();
        let waited = in_queues(&connection).await?;
        let mut left = waited;
        while left > 0 && begun.elapsed() < DRAIN_LIMIT {
            tokio::time::sleep(Duration::from_millis(500)).await;
            left = in_queues(&connection).await?;
        }
        let drained = begun.elapsed();
        let mut waiting = 0;
        for seconds in names::RETRY_SECONDS {
            waiting += connection.depth(&names::retry(seconds)).await?;
        }
        let dead = connection.depth(names::DEAD_LETTERS).await?.saturating_sub(self.dead);
        connection.close().await;
        let worker = platform.scrape("worker").await?.since(&self.worker);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters of whole things that only grow"
        )]
        let whole = |count: f64| count as u64;
        Ok(FailureCounts {
            dead,
            retried: whole(worker.sum_of("arrakis_worker_messages_total", "verdict", "retry")).max(waiting),
            unknown: whole(worker.sum("arrakis_worker_unknown_outcomes_total")),
            left,
            waited,
            drained,
        })
    }
}

async fn in_queues(connection: &BenchConnection) -> anyhow::Result<u64> {
    let mut all = 0;
    for queue in QUEUES {
        all += connection.depth(queue).await?;
    }
    Ok(all)
}

impl FailureCounts {
    /// Share of these events, in percent.
    pub(super) fn percent_of(self, events: u64) -> f64 {
        percent(self.dead + self.retried + self.unknown + self.left, events)
    }
}

impl std::fmt::Display for FailureCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            dead,
            retried,
            unknown,
            left,
            waited,
            drained,
        } = self;
        let seconds = drained.as_secs();
        write!(
            f,
            "{dead} dead letters, {retried} retried, {unknown} with unknown outcome, {left} not handled; {waited} waited when the load \
             was over, for {seconds} s"
        )
    }
}
