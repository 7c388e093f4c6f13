//! Open-loop load by the emulator's load generator, for the bench.
//!
//! A client of `/control/load`: starts a load, reads its progress and its results. It judges nothing; `bench::figures` and the
//! ledger do. The emulator's README explains the fields.

mod results;

use std::time::Duration;

use anyhow::ensure;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

pub use results::{Counts, Event, KindResult, Latency, Outcome, Progress, Results, Second, StageResult};

use crate::platform::Emulator;

/// Distribution of events within a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent arrivals.
    #[default]
    Poisson,
    /// Equal intervals.
    Even,
}

/// A stage. Its rate changes linearly from `from` to `rate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadStage {
    /// Name in results.
    pub name: String,
    /// Length of the stage.
    pub seconds: f64,
    /// Events per second at the beginning.
    pub from: f64,
    /// Events per second at the end.
    pub rate: f64,
    /// Seconds at the beginning that the histograms exclude.
    #[serde(default)]
    pub warm_up_s: f64,
}

impl LoadStage {
    /// A stage with a constant rate.
    pub fn steady(name: &str, rate: f64, seconds: f64) -> Self {
        Self::slope(name, rate, rate, seconds)
    }

    /// A stage with a rising or falling rate.
    pub fn slope(name: &str, from: f64, rate: f64, seconds: f64) -> Self {
        Self {
            name: name.to_owned(),
            seconds,
            from,
            rate,
            warm_up_s: 0.0,
        }
    }

    /// The same stage with a warm-up that the histograms exclude.
    #[must_use]
    pub fn warming_up(self, seconds: f64) -> Self {
        Self {
            warm_up_s: seconds,
            ..self
        }
    }
}

/// A kind of event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// A member runs a command.
    Command {
        /// e.g. `position`, `verify start`.
        name: String,
        /// `{"name": value}`; null for none.
        options: Value,
        /// Weight.
        weight: u32,
    },
    /// A user joins.
    MemberJoin {
        /// Weight.
        weight: u32,
    },
    /// A member who joined earlier leaves.
    MemberLeave {
        /// Weight.
        weight: u32,
    },
    /// A nickname changes.
    MemberUpdate {
        /// Weight.
        weight: u32,
    },
}

impl EventKind {
    /// A command without options.
    pub fn command(name: &str, weight: u32) -> Self {
        Self::Command {
            name: name.to_owned(),
            options: Value::Null,
            weight,
        }
    }
}

/// A load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// Seed of the random choices.
    pub seed: u64,
    /// Distribution of events.
    pub arrivals: Arrivals,
    /// Stages, in their order.
    pub stages: Vec<LoadStage>,
    /// Kinds of events with weights.
    pub kinds: Vec<EventKind>,
    /// Ids or names of servers; all servers where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guilds: Option<Vec<String>>,
}

impl Load {
    /// A load with one stage of a constant rate.
    pub fn steady(seed: u64, rate: f64, seconds: f64, kinds: Vec<EventKind>) -> Self {
        Self {
            seed,
            arrivals: Arrivals::default(),
            stages: vec![LoadStage::steady("steady", rate, seconds)],
            kinds,
            guilds: None,
        }
    }

    /// Length of all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }
}

/// Polling interval while waiting for a load. Each request costs the emulator a pass over all events.
const LOOK: Duration = Duration::from_millis(250);

impl Emulator {
    /// Starts a load. One load runs at a time.
    ///
    /// # Errors
    /// When another load runs, or the emulator rejects it.
    pub async fn begin_load(&self, load: &Load) -> anyhow::Result<()> {
        self.post("/control/load", serde_json::to_value(load)?).await.map(drop)
    }

    /// Progress of the load.
    ///
    /// # Errors
    /// When there was no load.
    pub async fn load_progress(&self) -> anyhow::Result<Progress> {
        self.get("/control/load").await
    }

    /// Ends the creation of events.
    ///
    /// # Errors
    /// When there was no load.
    pub async fn end_load(&self) -> anyhow::Result<Progress> {
        self.call(Method::DELETE, "/control/load", None).await
    }

    /// Waits until all events are created.
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

    /// Waits until the load is over and no event is unsent, pending or deferred, up to `patience`; events that are open then stay in
    /// the counts.
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
    /// When there was no load.
    pub async fn load_results(&self) -> anyhow::Result<Results> {
        self.get("/control/load/results").await
    }

    /// Every event of the load.
    ///
    /// # Errors
    /// When there was no load, or a line cannot be decoded.
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
