//! What a scenario looks at: whether the flow runs, how soon it is back, what metrics and the emulator say.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{bail, ensure};
use arrakis_emulator_client::StatsReport;
use serde_json::Value;
use tokio::time::Instant;

use super::{Check, LOOK, Stage};
use crate::chaos::scenario::Invariant;
use crate::ledger::{Deed, Ledger, Rows, Sent};
use crate::platform::Replica;

/// How often a probe is sent while recovery is awaited.
const PROBE: Duration = Duration::from_millis(200);
/// How long a condition may take before it is called missed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long after its bound a recovery is given up where the guard is away.
const UNGUARDED_SPARE: Duration = Duration::from_secs(3);

impl Stage {
    /// The ledger of what was done so far.
    pub fn ledger(&mut self) -> Ledger {
        Ledger::new(self.discord(), self.rows(), self.sent.clone())
    }

    /// Waits until this many deeds more than now have their effect: what follows strikes a system at work.
    ///
    /// # Errors
    /// When they do not.
    pub async fn flows(&mut self, more: usize) -> anyhow::Result<()> {
        let mut ledger = self.ledger();
        let before = self.sent.len() - ledger.open().await?.len();
        let wanted = before + more;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.sent.len() - ledger.open().await?.len();
            if done >= wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{done} deeds of {wanted} have their effect: nothing flows"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits for a condition; says what was waited for when it does not come true.
    ///
    /// # Errors
    /// What `met` answers, or that it did not come true in half a minute.
    pub async fn until(
        &mut self,
        what: &str,
        mut met: impl AsyncFnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !met(self).await? {
            if Instant::now() >= deadline {
                bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Notes whether something comes to hold within `limit`, and says so.
    ///
    /// # Errors
    /// What `met` answers.
    pub async fn sees(
        &mut self,
        invariant: Invariant,
        what: &str,
        limit: Duration,
        mut met: impl AsyncFnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let deadline = Instant::now() + limit;
        let mut holds = met(self).await?;
        while !holds && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            holds = met(self).await?;
        }
        let found = format!("not so within {} s", limit.as_secs_f32());
        self.expect(invariant, what, holds, found);
        Ok(holds)
    }

    /// Notes whether something holds.
    pub fn expect(&mut self, invariant: Invariant, what: impl Display, holds: bool, found: impl Display) {
        self.checks.push(Check {
            invariant,
            what: what.to_string(),
            found: (!holds).then(|| found.to_string()),
        });
    }

    /// Has the report tell a figure.
    pub fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// The clock of recovery: from now until a command given and a join made after now both have their effect. Notes it
    /// under I5 against `bound`.
    ///
    /// # Errors
    /// When there is no recovery within half a minute; without the guard, soon after the bound.
    pub async fn recovers(&mut self, bound: Duration) -> anyhow::Result<Duration> {
        let members = self.members()?;
        let mut probes = Ledger::new(self.discord(), self.rows(), Sent::default());
        let begun = Instant::now();
        // How much too late it would be matters only to who looks for the reason.
        let patience = if self.guarded {
            PATIENCE
        } else {
            bound + UNGUARDED_SPARE
        };
        let (mut next, mut answered, mut written) = (begun, None, None);
        while answered.is_none() || written.is_none() {
            if Instant::now() >= next {
                next += PROBE;
                for deed in [members.command("help").await?, members.join().await?] {
                    probes.sent().note(deed);
                }
            }
            // Postgres itself may be what is away.
            let open = probes.open().await.unwrap_or_else(|_| probes.sent().all());
            for deed in probes.sent().all().iter().filter(|deed| !open.contains(deed)) {
                match deed {
                    Deed::Command { id, .. } if answered.is_none() && probes.was_answered(*id) => {
                        answered = Some(begun.elapsed());
                    }
                    Deed::Join { .. } if written.is_none() => written = Some(begun.elapsed()),
                    _ => {}
                }
            }
            if begun.elapsed() >= patience {
                self.recovered(begun.elapsed(), bound);
                bail!("no recovery: command {answered:?}, join {written:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        let took = begun.elapsed();
        self.recovered(took, bound);
        Ok(took)
    }

    /// Notes a recovery that the scenario has measured itself.
    pub fn recovered(&mut self, took: Duration, bound: Duration) {
        self.recovery = self.recovery.max(Some(took));
        self.expect(
            Invariant::I5,
            format!("recovery within {} s", bound.as_secs_f32()),
            took <= bound,
            format!("{:.1} s", took.as_secs_f32()),
        );
    }

    pub(super) fn rows(&mut self) -> Rows {
        let communities = self.plan.servers.iter();
        let communities = communities
            .filter_map(|server| Some((server.community.as_ref()?.id, server.guild)))
            .collect();
        Rows::new(self.platform().database().app_url(), communities)
    }

    /// What the emulator counted: `/control/stats`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn stats(&mut self) -> anyhow::Result<StatsReport> {
        Ok(self.discord().stats().await?)
    }

    /// 429s that the emulator has answered, but for `GET /gateway/bot`, which an ingestor asks when it starts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn limited(&mut self) -> anyhow::Result<u64> {
        let stats = self.stats().await?;
        Ok(stats.rest_responses(|route| route != "GET /gateway/bot", Some(429)))
    }

    /// A metric of all workers together.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn worker_metric(&mut self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for worker in &self.platform().workers {
            sum += worker.metric(name, labels).await?;
        }
        Ok(sum)
    }

    /// Largest resident memory of an ingestor now, in megabytes.
    pub fn ingestor_megabytes(&mut self) -> u64 {
        let ingestors = self.platform().ingestors.iter();
        ingestors.map(Replica::resident_bytes).max().unwrap_or(0) >> 20
    }

    /// Messages that ingestors hold unconfirmed.
    ///
    /// # Errors
    /// When one does not answer.
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

    /// Waits until ingestors have received everything that the emulator has sent, and the broker has confirmed it.
    ///
    /// # Errors
    /// When they do not come to that.
    pub async fn drained_ingestor(&mut self) -> anyhow::Result<()> {
        self.until("the broker to have confirmed everything", async |stage| {
            let (confirmed, sent) = stage.confirmed().await?;
            Ok(confirmed >= sent)
        })
        .await
    }

    /// Sequence numbers that the broker has confirmed, and that the emulator has sent, over all shards.
    ///
    /// # Errors
    /// When an ingestor or the emulator does not answer.
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

    /// Sum of the sequence numbers that the emulator's sessions have reached.
    async fn last_seq(&mut self) -> anyhow::Result<u64> {
        let sessions = self.discord().gateway().await?.sessions;
        Ok(sessions.iter().map(|session| session.seq).sum())
    }

    /// How many deeds there are so far.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// How many of the first so many deeds have their effect.
    ///
    /// # Errors
    /// When the emulator or Postgres does not answer.
    pub async fn done_of_first(&mut self, count: usize) -> anyhow::Result<usize> {
        let open = self.ledger().open().await?;
        let first = self.sent.all().into_iter().take(count);
        Ok(first.filter(|deed| !open.contains(deed)).count())
    }

    /// Sets a policy of the platform's vhost, as an operator would.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn policy(&mut self, name: &str, policy: Value) -> anyhow::Result<()> {
        let vhost = self.platform().vhost();
        vhost.policy(name, policy).await.map_err(anyhow::Error::msg)
    }

    /// A metric of all ingestors together.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn ingestor_metric(&mut self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for ingestor in &self.platform().ingestors {
            sum += ingestor.metric(name, labels).await?;
        }
        Ok(sum)
    }
}
