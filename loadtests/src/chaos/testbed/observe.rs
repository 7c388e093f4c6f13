//! Observations of a scenario: effects of actions, recovery time, metrics and the emulator's counts.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{bail, ensure};
use arrakis_emulator_client::StatsReport;
use serde_json::Value;
use tokio::time::Instant;

use super::{Check, POLL_INTERVAL, Testbed};
use crate::chaos::scenario::Invariant;
use crate::ledger::{ActionLog, Ledger, MemberAction, RowReader};
use crate::platform::Replica;

/// Interval of the probes during a recovery.
const PROBE: Duration = Duration::from_millis(200);
/// Time limit of a condition.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// Time after its bound at which an unguarded scenario stops waiting for a recovery.
const UNGUARDED_EXTRA: Duration = Duration::from_secs(3);

impl Testbed {
    /// The ledger of the actions so far.
    pub fn ledger(&mut self) -> Ledger {
        Ledger::new(self.discord(), self.rows(), self.sent.clone())
    }

    /// Waits until this many more actions have their effect, so that the fault meets a working system.
    ///
    /// # Errors
    /// When they do not within the time limit.
    pub async fn wait_for_effects(&mut self, more: usize) -> anyhow::Result<()> {
        let mut ledger = self.ledger();
        let before = self.sent.len() - ledger.open().await?.len();
        let wanted = before + more;
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            let done = self.sent.len() - ledger.open().await?.len();
            if done >= wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{done} of {wanted} actions have their effect: events are not handled"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits for a condition.
    ///
    /// # Errors
    /// The error of `met`, or that the condition did not hold within 30 s.
    pub async fn wait_until(
        &mut self,
        what: &str,
        mut met: impl AsyncFnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + WAIT_LIMIT;
        while !met(self).await? {
            if Instant::now() >= deadline {
                bail!("waited {} s without success for {what}", WAIT_LIMIT.as_secs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Checks that a condition holds within `limit`. Returns whether it does.
    ///
    /// # Errors
    /// The error of `met`.
    pub async fn expect_within(
        &mut self,
        invariant: Invariant,
        what: &str,
        limit: Duration,
        mut met: impl AsyncFnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let deadline = Instant::now() + limit;
        let mut holds = met(self).await?;
        while !holds && Instant::now() < deadline {
            tokio::time::sleep(POLL_INTERVAL).await;
            holds = met(self).await?;
        }
        let found = format!("not within {} s", limit.as_secs_f32());
        self.expect(invariant, what, holds, found);
        Ok(holds)
    }

    /// Records a check.
    pub fn expect(&mut self, invariant: Invariant, what: impl Display, holds: bool, found: impl Display) {
        self.checks.push(Check {
            invariant,
            what: what.to_string(),
            found: (!holds).then(|| found.to_string()),
        });
    }

    /// Adds a measured value to the report.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Measures the recovery: the time from now until a new command and a new join both have their effect. Records it under I5
    /// with `bound`.
    ///
    /// # Errors
    /// When there is no recovery within 30 s; without the guard, soon after the bound.
    pub async fn expect_recovery(&mut self, bound: Duration) -> anyhow::Result<Duration> {
        let generator = self.generator()?;
        let mut probes = Ledger::new(self.discord(), self.rows(), ActionLog::default());
        let begun = Instant::now();
        // Without the guard, only the missed bound matters, not by how much.
        let limit = if self.guarded {
            WAIT_LIMIT
        } else {
            bound + UNGUARDED_EXTRA
        };
        let (mut next, mut answered, mut written) = (begun, None, None);
        while answered.is_none() || written.is_none() {
            if Instant::now() >= next {
                next += PROBE;
                for action in [generator.command("help").await?, generator.join().await?] {
                    probes.sent().record(action);
                }
            }
            // Postgres itself may be unreachable.
            let open = probes.open().await.unwrap_or_else(|_| probes.sent().all());
            for action in probes.sent().all().iter().filter(|action| !open.contains(action)) {
                match action {
                    MemberAction::Command { id, .. } if answered.is_none() && probes.was_answered(*id) => {
                        answered = Some(begun.elapsed());
                    }
                    MemberAction::Join { .. } if written.is_none() => written = Some(begun.elapsed()),
                    _ => {}
                }
            }
            if begun.elapsed() >= limit {
                self.record_recovery(begun.elapsed(), bound);
                bail!("no recovery: command {answered:?}, join {written:?}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let took = begun.elapsed();
        self.record_recovery(took, bound);
        Ok(took)
    }

    /// Records a recovery time that the scenario has measured.
    pub fn record_recovery(&mut self, took: Duration, bound: Duration) {
        self.recovery = self.recovery.max(Some(took));
        self.expect(
            Invariant::I5,
            format!("recovery within {} s", bound.as_secs_f32()),
            took <= bound,
            format!("{:.1} s", took.as_secs_f32()),
        );
    }

    pub(super) fn rows(&mut self) -> RowReader {
        let communities = self.plan.servers.iter();
        let communities = communities
            .filter_map(|server| Some((server.community.as_ref()?.id, server.guild)))
            .collect();
        RowReader::new(self.platform().database().app_url(), communities)
    }

    /// The emulator's counts: `/control/stats`.
    ///
    /// # Errors
    /// When the emulator does not respond.
    pub async fn stats(&mut self) -> anyhow::Result<StatsReport> {
        Ok(self.discord().stats().await?)
    }

    /// Number of 429s of the emulator, without `GET /gateway/bot`, which an ingestor calls when it starts.
    ///
    /// # Errors
    /// When the emulator does not respond.
    pub async fn limited(&mut self) -> anyhow::Result<u64> {
        let stats = self.stats().await?;
        Ok(stats.rest_responses(|route| route != "GET /gateway/bot", Some(429)))
    }

    /// Sum of a metric over all workers.
    ///
    /// # Errors
    /// When a worker does not respond.
    pub async fn worker_metric(&mut self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for worker in &self.platform().workers {
            sum += worker.metric(name, labels).await?;
        }
        Ok(sum)
    }

    /// Highest resident memory of an ingestor now, in megabytes.
    pub fn ingestor_megabytes(&mut self) -> u64 {
        let ingestors = self.platform().ingestors.iter();
        ingestors.map(Replica::resident_bytes).max().unwrap_or(0) >> 20
    }

    /// Number of unconfirmed messages of the ingestors.
    ///
    /// # Errors
    /// When an ingestor does not respond.
    pub async fn unconfirmed(&mut self) -> anyhow::Result<u64> {
        let mut most = 0;
        for ingestor in &self.platform().ingestors {
            let health = ingestor.health().await?;
            let shards = health["shards"].as_array().into_iter().flatten();
            most += shards
                .filter_map(|shard| shard["unconfirmed_messages"].as_u64())
                .sum::<u64>();
        }
        Ok(most)
    }

    /// Waits until the ingestors have received everything that the emulator has sent, and the broker has confirmed it.
    ///
    /// # Errors
    /// When that does not happen within the time limit.
    pub async fn drained_ingestor(&mut self) -> anyhow::Result<()> {
        self.wait_until("the broker to have confirmed everything", async |testbed| {
            let (confirmed, sent) = testbed.confirmed().await?;
            Ok(confirmed >= sent)
        })
        .await
    }

    /// Sequence numbers that the broker has confirmed, and that the emulator has sent, summed over all shards.
    ///
    /// # Errors
    /// When an ingestor or the emulator does not respond.
    pub async fn confirmed(&mut self) -> anyhow::Result<(u64, u64)> {
        let sent = self.last_seq().await?;
        let mut confirmed = 0;
        for ingestor in &self.platform().ingestors {
            let health = ingestor.health().await?;
            let shards = health["shards"].as_array().into_iter().flatten();
            confirmed += shards.filter_map(|shard| shard["confirmed_seq"].as_u64()).sum::<u64>();
        }
        Ok((confirmed, sent))
    }

    /// Sum of the sequence numbers of the emulator's sessions.
    async fn last_seq(&mut self) -> anyhow::Result<u64> {
        let sessions = self.discord().gateway().await?.sessions;
        Ok(sessions.iter().map(|session| session.seq).sum())
    }

    /// Number of actions so far.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// How many of the first `count` actions have their effect.
    ///
    /// # Errors
    /// When the emulator or Postgres does not respond.
    pub async fn done_of_first(&mut self, count: usize) -> anyhow::Result<usize> {
        let open = self.ledger().open().await?;
        let first = self.sent.all().into_iter().take(count);
        Ok(first.filter(|action| !open.contains(action)).count())
    }

    /// Sets a policy of the platform's vhost, as an operator would.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn policy(&mut self, name: &str, policy: Value) -> anyhow::Result<()> {
        let vhost = self.platform().vhost();
        vhost.policy(name, policy).await.map_err(anyhow::Error::msg)
    }

    /// Sum of a metric over all ingestors.
    ///
    /// # Errors
    /// When an ingestor does not respond.
    pub async fn ingestor_metric(&mut self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for ingestor in &self.platform().ingestors {
            sum += ingestor.metric(name, labels).await?;
        }
        Ok(sum)
    }
}
