//! Measures the time from a join to its row, one join after the other, during a fault.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{POLL_INTERVAL, Testbed};
use crate::ledger::{ActionLog, Ledger, MemberAction};

/// Joins in progress, each measured.
#[derive(Debug)]
pub struct TimedJoins {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Vec<Duration>>>,
}

impl Testbed {
    /// Makes a user join at this interval until `TimedJoins::end`, and measures the time until the row of each exists.
    ///
    /// # Errors
    /// When the platform has not been started.
    pub fn time_joins(&mut self, every: Duration) -> anyhow::Result<TimedJoins> {
        let generator = self.generator()?;
        let mut ledger = Ledger::new(self.discord(), self.rows(), ActionLog::default());
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let mut begun: HashMap<MemberAction, Instant> = HashMap::new();
            let mut took = Vec::new();
            let mut next = Instant::now();
            while !until.is_cancelled() {
                if Instant::now() >= next {
                    next += every;
                    let at = Instant::now();
                    let action = generator.join().await?;
                    ledger.sent().record(action);
                    begun.insert(action, at);
                }
                // Postgres itself may be unreachable.
                if let Ok(open) = ledger.open().await {
                    begun.retain(|action, at| {
                        let waits = open.contains(action);
                        if !waits {
                            took.push(at.elapsed());
                        }
                        waits
                    });
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            // A join without its row has waited at least this long.
            took.extend(begun.values().map(Instant::elapsed));
            Ok(took)
        });
        Ok(TimedJoins { stop, task })
    }
}

impl TimedJoins {
    /// Ends the joins. Returns the waiting times, sorted.
    ///
    /// # Errors
    /// When the emulator rejected a join.
    pub async fn end(self) -> anyhow::Result<Vec<Duration>> {
        self.stop.cancel();
        let mut took = self.task.await.context("the task of the joins panicked")??;
        took.sort_unstable();
        Ok(took)
    }
}

/// The percentile of sorted times; without any time, the longest possible duration.
pub(in crate::chaos) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times, 100), Duration::from_millis(200));
        assert_eq!(percentile(&times[..1], 50), Duration::from_millis(1));
        assert_eq!(percentile(&[], 99), Duration::MAX);
    }
}
