//! The end of a scenario: waiting for what is under way, and the verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::{Check, LOOK, Stage};
use crate::chaos::load::Members;
use crate::chaos::run::Lab;
use crate::ledger::{self, Deed, Ledger, Sent, Tally};

/// Fewest deeds on which a scenario with its guard is judged.
const ENOUGH: usize = 200;
/// Deeds a second that fill up what is missing.
const FILLING: u32 = 50;
/// How long a platform may take to show that it serves at all.
const SERVES: Duration = Duration::from_secs(8);

impl Stage {
    /// Lets members act until there are enough deeds to judge, on the platform that went through the fault. A scenario that
    /// ends with a platform that does not serve is judged on what it sent. Returns whether there are more deeds than before.
    ///
    /// # Errors
    /// When the emulator does not take what members do.
    pub(in crate::chaos) async fn fill_up(&mut self) -> anyhow::Result<bool> {
        let has_ingestor = self
            .platform
            .as_ref()
            .is_some_and(|platform| !platform.ingestors.is_empty());
        if !self.guarded || !has_ingestor {
            return Ok(false);
        }
        self.quiet().await?;
        let before = self.sent.len();
        if before >= ENOUGH {
            return Ok(false);
        }
        if !self.serves().await? {
            self.note(format!(
                "judged on {before} deeds: the platform does not serve when the scenario ends"
            ));
            return Ok(false);
        }
        self.load(FILLING).await?;
        while self.sent.len() < ENOUGH {
            tokio::time::sleep(LOOK).await;
        }
        self.quiet().await?;
        Ok(true)
    }

    /// Whether a join, which is in no ledger, has its effect. Not a command: its use would be counted and belong to nobody.
    async fn serves(&mut self) -> anyhow::Result<bool> {
        let cast = self.cast.clone().context("the platform has not been started")?;
        let sent = Sent::default();
        let members = Members::new(self.discord(), cast, sent.clone());
        let mut ledger = Ledger::new(self.discord(), self.rows(), sent);
        members.join().await?;
        let deadline = Instant::now() + SERVES;
        while Instant::now() < deadline {
            // Postgres itself may be away.
            if ledger.open().await.is_ok_and(|open| open.is_empty()) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }

    /// Waits until every deed has its effect, or for as long as retries may take. Answers what is open then.
    ///
    /// # Errors
    /// When the emulator or Postgres does not answer.
    pub async fn settle(&mut self) -> anyhow::Result<Vec<Deed>> {
        self.settle_within(self.patience).await
    }

    /// [`Stage::settle`] for no longer than this.
    ///
    /// # Errors
    /// As there.
    pub async fn settle_within(&mut self, limit: Duration) -> anyhow::Result<Vec<Deed>> {
        self.quiet().await?;
        let mut ledger = self.ledger();
        let deadline = Instant::now() + limit;
        loop {
            // Postgres may be just coming back.
            let open = match ledger.open().await {
                Ok(open) => open,
                Err(_) if Instant::now() < deadline => self.sent.all(),
                Err(error) => return Err(error),
            };
            if open.is_empty() || Instant::now() >= deadline {
                self.given_up = (!open.is_empty()).then_some(self.sent.len());
                return Ok(open);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the load, lets the platform settle, stops it where something is missing, and has the ledger judge. The runner
    /// calls it when the scenario returns; a scenario that wants to look at the verdict calls it itself.
    ///
    /// # Errors
    /// When the emulator, Postgres or the broker does not answer.
    pub async fn judge(&mut self) -> anyhow::Result<Tally> {
        if self.platform.is_none() {
            return Ok(Tally::default());
        }
        self.quiet().await?;
        let limit = if self.given_up == Some(self.sent.len()) {
            Duration::ZERO
        } else {
            self.patience
        };
        let open = self.settle_within(limit).await?;
        let mut tally = self.ledger().judge(&[]).await?;
        if !open.is_empty() {
            // What a worker holds is in no queue that can be read.
            for replica in self.platform().replicas() {
                replica.kill().await;
            }
            let url = self.platform().vhost().url();
            // The broker gives back what a dead consumer held once it has noticed: a busy one takes a moment, and a slow wire
            // tells it late.
            for _ in 0..if self.wires.is_empty() { 1 } else { 4 } {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let held = ledger::held(&url).await?;
                tally = self.ledger().judge(&held).await?;
                if tally.lost.is_empty() {
                    break;
                }
            }
        }
        self.tally = Some(tally.clone());
        Ok(tally)
    }

    /// What was looked at.
    pub(in crate::chaos) fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What the report tells beside the checks.
    pub(in crate::chaos) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether everything that was to start had started.
    pub(in crate::chaos) fn stands(&self) -> bool {
        self.stands
    }

    pub(in crate::chaos) fn recovery(&self) -> Option<Duration> {
        self.recovery
    }

    pub(in crate::chaos) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// What the processes printed, by name.
    pub(in crate::chaos) fn logs(&mut self) -> BTreeMap<String, Vec<String>> {
        let mut logs = BTreeMap::new();
        if let Some(platform) = &mut self.platform {
            logs.insert("emulator".to_owned(), platform.emulator().lines());
            for replica in platform.replicas() {
                logs.insert(replica.name().to_owned(), replica.log());
            }
        }
        if let Some(broker) = &self.lab.broker {
            logs.insert("broker".to_owned(), broker.log());
        }
        logs
    }

    /// Takes everything down and gives the lab back.
    pub(in crate::chaos) fn close(self) -> Lab {
        self.lab
    }
}
