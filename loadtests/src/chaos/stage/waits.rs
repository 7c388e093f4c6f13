//! How long people who join wait for their row, one after the other, while something is done to the system.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LOOK, Stage};
use crate::ledger::{Deed, Ledger, Sent};

/// Joins under way, each timed.
#[derive(Debug)]
pub struct Joins {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Vec<Duration>>>,
}

impl Stage {
    /// From now on somebody joins every so often, and is timed until the row stands.
    ///
    /// # Errors
    /// When the platform has not been started.
    pub fn time_joins(&mut self, every: Duration) -> anyhow::Result<Joins> {
        let members = self.members()?;
        let mut ledger = Ledger::new(self.discord(), self.rows(), Sent::default());
        let stop = CancellationToken::new();
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let mut begun: HashMap<Deed, Instant> = HashMap::new();
            let mut took = Vec::new();
            let mut next = Instant::now();
            while !until.is_cancelled() {
                if Instant::now() >= next {
                    next += every;
                    let at = Instant::now();
                    let deed = members.join().await?;
                    ledger.sent().note(deed);
                    begun.insert(deed, at);
                }
                // Postgres itself may be what is away.
                if let Ok(open) = ledger.open().await {
                    begun.retain(|deed, at| {
                        let waits = open.contains(deed);
                        if !waits {
                            took.push(at.elapsed());
                        }
                        waits
                    });
                }
                tokio::time::sleep(LOOK).await;
            }
            // Who waits still has waited at least so long.
            took.extend(begun.values().map(Instant::elapsed));
            Ok(took)
        });
        Ok(Joins { stop, task })
    }
}

impl Joins {
    /// Nobody more joins. Answers how long each has waited, the shortest first.
    ///
    /// # Errors
    /// When the emulator did not take a join.
    pub async fn end(self) -> anyhow::Result<Vec<Duration>> {
        self.stop.cancel();
        let mut took = self.task.await.context("the joins broke off")??;
        took.sort_unstable();
        Ok(took)
    }
}

/// Of sorted times the one that so many of a hundred do not exceed; nothing counts as endless.
pub(in crate::chaos) fn percentile(sorted: &[Duration], of_a_hundred: usize) -> Duration {
    let place = (sorted.len() * of_a_hundred).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&times, 100), Duration::from_millis(200));
        assert_eq!(percentile(&times[..1], 50), Duration::from_millis(1));
        assert_eq!(percentile(&[], 99), Duration::MAX);
    }
}
