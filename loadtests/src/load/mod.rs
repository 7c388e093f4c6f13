//! Open-loop load by the emulator's own generator, as the bench and the fault runs use it.
//!
//! Owns the client of `/control/load`: what to make, how it goes, what it came to. Refuses to judge; see `bench::figures` and
//! the fault runs' ledger for that. The emulator's README explains the fields.

mod results;

use std::time::Duration;

use anyhow::ensure;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

pub use results::{Counts, Event, KindResult, Latency, Outcome, Progress, Results, Second, StageResult};

use crate::platform::Emulator;

/// How events are spread within a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent members.
    #[default]
    Poisson,
    /// Equal gaps.
    Even,
}

/// A stage: the rate goes in a straight line from `from` to `rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Shown in results.
    pub name: String,
    /// Length.
    pub seconds: f64,
    /// Events a second at the beginning.
    pub from: f64,
    /// Events a second at the end.
    pub rate: f64,
    /// Seconds at the beginning that are left out of the histograms.
    #[serde(default)]
    pub warm_up_s: f64,
}

impl Stage {
    /// A stage of one rate.
    pub fn steady(name: &str, rate: f64, seconds: f64) -> Self {
        Self::slope(name, rate, rate, seconds)
    }

    /// A stage whose rate rises or falls.
    pub fn slope(name: &str, from: f64, rate: f64, seconds: f64) -> Self {
        Self {
            name: name.to_owned(),
            seconds,
            from,
            rate,
            warm_up_s: 0.0,
        }
    }

    /// The same with its first seconds left out of the histograms.
    #[must_use]
    pub fn warming_up(self, seconds: f64) -> Self {
        Self {
            warm_up_s: seconds,
            ..self
        }
    }
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// A member runs a command.
    Command {
        /// e.g. `position`, `verify start`.
        name: String,
        /// `{"name": value}`; null for none.
        options: Value,
        /// Share.
        weight: u32,
    },
    /// Somebody joins.
    MemberJoin {
        /// Share.
        weight: u32,
    },
    /// Somebody who joined leaves.
    MemberLeave {
        /// Share.
        weight: u32,
    },
    /// A nickname changes.
    MemberUpdate {
        /// Share.
        weight: u32,
    },
}

impl Kind {
    /// A command without options.
    pub fn command(name: &str, weight: u32) -> Self {
        Self::Command {
            name: name.to_owned(),
            options: Value::Null,
            weight,
        }
    }
}

/// A load to be made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Decides what is random.
    pub seed: u64,
    /// How events are spread.
    pub arrivals: Arrivals,
    /// In order.
    pub stages: Vec<Stage>,
    /// With weights.
    pub kinds: Vec<Kind>,
    /// Ids or names of servers; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guilds: Option<Vec<String>>,
}

impl Load {
    /// A load of one rate.
    pub fn steady(seed: u64, rate: f64, seconds: f64, kinds: Vec<Kind>) -> Self {
        Self {
            seed,
            arrivals: Arrivals::default(),
            stages: vec![Stage::steady("steady", rate, seconds)],
            kinds,
            guilds: None,
        }
    }

    /// Length of all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }
}

/// How often a run is looked at while it is waited for: looking costs the emulator a walk over all events.
const LOOK: Duration = Duration::from_millis(250);

impl Emulator {
    /// Begins a load. One runs at a time.
    ///
    /// # Errors
    /// When another runs, or the emulator finds it unsound.
    pub async fn begin_load(&self, load: &Load) -> anyhow::Result<()> {
        self.post("/control/load", serde_json::to_value(load)?).await.map(drop)
    }

    /// How the load goes.
    ///
    /// # Errors
    /// When there was none.
    pub async fn load_progress(&self) -> anyhow::Result<Progress> {
        self.get("/control/load").await
    }

    /// Ends the making of events.
    ///
    /// # Errors
    /// When there was no load.
    pub async fn end_load(&self) -> anyhow::Result<Progress> {
        self.call(Method::DELETE, "/control/load", None).await
    }

    /// Waits until no more events are made.
    ///
    /// # Errors
    /// When there was no load.
    pub async fn load_made(&self) -> anyhow::Result<Progress> {
        loop {
            let progress = self.load_progress().await?;
            if !progress.is_running() {
                return Ok(progress);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the load is over and nothing is unsent, pending or deferred, for as long as patience lasts; what is
    /// still open then is in the counts.
    ///
    /// # Errors
    /// When there was no load.
    pub async fn load_settled(&self, patience: Duration) -> anyhow::Result<Progress> {
        self.load_made().await?;
        let deadline = Instant::now() + patience;
        loop {
            let progress = self.load_progress().await?;
            if progress.settled || Instant::now() >= deadline {
                return Ok(progress);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Counts and histograms of the load.
    ///
    /// # Errors
    /// When there was none.
    pub async fn load_results(&self) -> anyhow::Result<Results> {
        self.get("/control/load/results").await
    }

    /// Every event of the load.
    ///
    /// # Errors
    /// When there was none, or a line is not what is expected.
    pub async fn load_events(&self) -> anyhow::Result<Vec<Event>> {
        let text = self.text("/control/load/events").await?;
        let events = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<Vec<Event>, _>>()?;
        ensure!(
            events.iter().zip(0..).all(|(event, n)| event.n == n),
            "the events of the load have gaps"
        );
        Ok(events)
    }
}
