//! The end of a scenario: waiting for outstanding effects, and the verdict of the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::{Check, POLL_INTERVAL, Testbed};
use crate::chaos::load::LoadGenerator;
use crate::chaos::run::ReusableServers;
use crate::ledger::{self, ActionLog, Ledger, MemberAction, Tally};

/// Lowest number of actions on which a scenario with its guard is checked.
const ACTIONS_TO_JUDGE: usize = 200;
/// Rate of the actions that are added to reach that number, per second.
const ADDED_PER_SECOND: u32 = 50;
/// Time limit for a platform to show that it works at all.
const SERVES_WITHIN: Duration = Duration::from_secs(8);

impl Testbed {
    /// Adds actions until there are enough for a result, on the platform after the fault. A scenario that ends with a platform
    /// that does not work has the result of the actions that it sent. Returns whether actions were added.
    ///
    /// # Errors
    /// When the emulator rejects an action.
    pub(in crate::chaos) async fn add_missing_actions(&mut self) -> anyhow::Result<bool> {
        let has_ingestor = self
            .platform
            .as_ref()
            .is_some_and(|platform| !platform.ingestors.is_empty());
        if !self.guarded || !has_ingestor {
            return Ok(false);
        }
        self.stop_load().await?;
        let before = self.sent.len();
        if before >= ACTIONS_TO_JUDGE {
            return Ok(false);
        }
        if !self.serves().await? {
            self.note(format!(
                "checked on {before} actions: the platform does not handle events when the scenario ends"
            ));
            return Ok(false);
        }
        self.load(ADDED_PER_SECOND).await?;
        while self.sent.len() < ACTIONS_TO_JUDGE {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.stop_load().await?;
        Ok(true)
    }

    /// Whether an unrecorded join has its effect. A command would be counted as used, and the ledger would not have it.
    async fn serves(&mut self) -> anyhow::Result<bool> {
        let pool = self.pool.clone().context("the platform has not been started")?;
        let sent = ActionLog::default();
        let generator = LoadGenerator::new(self.discord(), pool, sent.clone());
        let mut ledger = Ledger::new(self.discord(), self.rows(), sent);
        generator.join().await?;
        let deadline = Instant::now() + SERVES_WITHIN;
        while Instant::now() < deadline {
            // Postgres itself may be unreachable.
            if ledger.open().await.is_ok_and(|open| open.is_empty()) {
                return Ok(true);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(false)
    }

    /// Waits until every action has its effect, or for as long as retries may take. Returns the actions without an effect.
    ///
    /// # Errors
    /// When the emulator or Postgres does not respond.
    pub async fn settle(&mut self) -> anyhow::Result<Vec<MemberAction>> {
        self.settle_within(self.settle_limit).await
    }

    /// [`Testbed::settle`] with another time limit.
    ///
    /// # Errors
    /// As [`Testbed::settle`].
    pub async fn settle_within(&mut self, limit: Duration) -> anyhow::Result<Vec<MemberAction>> {
        self.stop_load().await?;
        let mut ledger = self.ledger();
        let deadline = Instant::now() + limit;
        loop {
            // Postgres may be restarting.
            let open = match ledger.open().await {
                Ok(open) => open,
                Err(_) if Instant::now() < deadline => self.sent.all(),
                Err(error) => return Err(error),
            };
            if open.is_empty() || Instant::now() >= deadline {
                self.given_up = (!open.is_empty()).then_some(self.sent.len());
                return Ok(open);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends the load, waits for outstanding effects, stops the platform where effects are missing, and counts the actions by
    /// outcome with the ledger. The runner calls this when the scenario returns; a scenario that checks the counts calls it
    /// itself.
    ///
    /// # Errors
    /// When the emulator, Postgres or the broker does not respond.
    pub async fn check_ledger(&mut self) -> anyhow::Result<Tally> {
        if self.platform.is_none() {
            return Ok(Tally::default());
        }
        self.stop_load().await?;
        let limit = if self.given_up == Some(self.sent.len()) {
            Duration::ZERO
        } else {
            self.settle_limit
        };
        let open = self.settle_within(limit).await?;
        let mut tally = self.ledger().tally(&[]).await?;
        if !open.is_empty() {
            // A message that a worker holds is in no readable queue.
            for replica in self.platform().replicas() {
                replica.kill().await;
            }
            let url = self.platform().vhost().url();
            // The broker returns the messages of a dead consumer once it notices the closed connection: a busy broker or a slow
            // network delays that.
            for _ in 0..if self.fault_proxies.is_empty() { 1 } else { 4 } {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let held = ledger::queued_messages(&url).await?;
                tally = self.ledger().tally(&held).await?;
                if tally.lost.is_empty() {
                    break;
                }
            }
        }
        self.tally = Some(tally.clone());
        Ok(tally)
    }

    /// The checks so far.
    pub(in crate::chaos) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Notes for the report.
    pub(in crate::chaos) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether everything that the scenario starts had started.
    pub(in crate::chaos) fn was_set_up(&self) -> bool {
        self.was_set_up
    }

    pub(in crate::chaos) fn recovery(&self) -> Option<Duration> {
        self.recovery
    }

    pub(in crate::chaos) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// Output of the processes, by name.
    pub(in crate::chaos) fn logs(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut logs = BTreeMap::new();
        if let Some(platform) = &mut self.platform {
            logs.insert("emulator".to_owned(), platform.emulator().lines());
            if let Some(prometheus) = &platform.prometheus {
                logs.insert("prometheus".to_owned(), prometheus.log());
            }
            for replica in platform.replicas() {
                logs.insert(replica.name().to_owned(), replica.log());
            }
        }
        if let Some(broker) = &self.reusable.broker {
            logs.insert("broker".to_owned(), broker.log());
        }
        logs
    }

    /// Stops everything and returns the reusable servers.
    pub(in crate::chaos) fn close(self) -> ReusableServers {
        self.reusable
    }
}
