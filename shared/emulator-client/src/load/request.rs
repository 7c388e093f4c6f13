//! What a load run does.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How events are spread within a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent members: exponential gaps.
    #[default]
    Poisson,
    /// Equal gaps.
    Even,
}

/// A stage of a load run. Its rate changes linearly from `from` to `rate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadStage {
    /// Name in the results.
    pub name: String,
    /// Length in seconds.
    pub seconds: f64,
    /// Events a second at the end.
    pub rate: f64,
    /// Events a second at the beginning; `rate` when absent.
    pub from: Option<f64>,
    /// Seconds at the beginning whose events are left out of the histograms.
    #[serde(default)]
    pub warm_up_s: f64,
}

impl LoadStage {
    /// A stage with a constant rate.
    #[must_use]
    pub fn steady(name: &str, rate: f64, seconds: f64) -> Self {
        Self::slope(name, rate, rate, seconds)
    }

    /// A stage whose rate rises or falls.
    #[must_use]
    pub fn slope(name: &str, from: f64, rate: f64, seconds: f64) -> Self {
        Self {
            name: name.to_owned(),
            seconds,
            rate,
            from: Some(from),
            warm_up_s: 0.0,
        }
    }

    /// Events a second at the beginning.
    #[must_use]
    pub fn first_rate(&self) -> f64 {
        self.from.unwrap_or(self.rate)
    }

    /// The same stage with its first seconds left out of the histograms.
    #[must_use]
    pub fn warming_up(self, seconds: f64) -> Self {
        Self {
            warm_up_s: seconds,
            ..self
        }
    }
}

/// A kind of event. `weight` is its share of all events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EventKind {
    /// A member runs a command.
    Command {
        /// For example `position` or `verify start`.
        name: String,
        /// `{"name": value}`.
        options: Option<Value>,
        /// Share.
        weight: u32,
    },
    /// A member types into an option.
    Autocomplete {
        /// Name of the command.
        name: String,
        /// Values so far.
        options: Option<Value>,
        /// Name of the option.
        focused: String,
        /// Share.
        weight: u32,
    },
    /// A new user joins.
    MemberJoin {
        /// Share.
        weight: u32,
    },
    /// A user who joined in this run leaves.
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

impl EventKind {
    /// A command without options.
    #[must_use]
    pub fn command(name: &str, weight: u32) -> Self {
        Self::Command {
            name: name.to_owned(),
            options: None,
            weight,
        }
    }
}

/// A load run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Seed of what is random.
    #[serde(default = "one")]
    pub seed: u64,
    /// How events are spread.
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Stages in order.
    pub stages: Vec<LoadStage>,
    /// Kinds of events.
    pub kinds: Vec<EventKind>,
    /// Servers by id or name; all when absent.
    pub guilds: Option<Vec<String>>,
}

const fn one() -> u64 {
    1
}

impl Load {
    /// A load with one stage, named `steady`, of a constant rate.
    #[must_use]
    pub fn steady(seed: u64, rate: f64, seconds: f64, kinds: Vec<EventKind>) -> Self {
        Self {
            seed,
            arrivals: Arrivals::default(),
            stages: vec![LoadStage::steady("steady", rate, seconds)],
            kinds,
            guilds: None,
        }
    }

    /// Length of all stages in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.stages.iter().map(|stage| stage.seconds).sum()
    }
}

/// Response to a load run that was started.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadStarted {
    /// Number of members who act.
    pub members: usize,
    /// Expected number of events.
    pub expected_events: f64,
}
