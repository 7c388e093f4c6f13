//! Results of a load run.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer as _, V2Serializer},
};
use serde::{Deserialize, Serialize};

use super::LoadStage;
use crate::Id;

/// State of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not written to any socket.
    Unsent,
    /// Written to a socket; it needs no response.
    Sent,
    /// Written to a socket; the three seconds for a first response are not over.
    Pending,
    /// Acknowledged; the full answer is still to come.
    Deferred,
    /// The full answer was received: not only the acknowledgement.
    Answered,
    /// Three seconds passed without a response.
    Expired,
}

/// Number of events by [`Outcome`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of events created, of every outcome.
    pub made: u64,
    /// Not written to any socket.
    pub unsent: u64,
    /// Written; no response is needed.
    pub sent: u64,
    /// Written; the three seconds for a first response are not over.
    pub pending: u64,
    /// Acknowledged, not answered.
    pub deferred: u64,
    /// Answered.
    pub answered: u64,
    /// Not responded to within three seconds.
    pub expired: u64,
    /// Responses refused because they came after the three seconds.
    pub late_responses: u64,
    /// Responses refused because another had been accepted.
    pub second_responses: u64,
}

impl Counts {
    /// Adds one event.
    pub fn add(&mut self, outcome: Outcome) {
        self.made += 1;
        let count = match outcome {
            Outcome::Unsent => &mut self.unsent,
            Outcome::Sent => &mut self.sent,
            Outcome::Pending => &mut self.pending,
            Outcome::Deferred => &mut self.deferred,
            Outcome::Answered => &mut self.answered,
            Outcome::Expired => &mut self.expired,
        };
        *count += 1;
    }

    /// Events that need a response. An unsent event may be of either sort and is counted here, since it failed.
    #[must_use]
    pub const fn interactions(&self) -> u64 {
        self.made - self.sent
    }

    /// Events that were expired, not sent or not answered.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.expired + self.deferred + self.pending + self.unsent
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.made += other.made;
        self.unsent += other.unsent;
        self.sent += other.sent;
        self.pending += other.pending;
        self.deferred += other.deferred;
        self.answered += other.answered;
        self.expired += other.expired;
        self.late_responses += other.late_responses;
        self.second_responses += other.second_responses;
    }
}

/// Whether a run still creates events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Events are created.
    Running,
    /// No more events are created.
    Over,
}

/// Progress of a run. Times without another unit are microseconds since it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether events are still created.
    pub state: RunState,
    /// Seed of what was random.
    pub seed: u64,
    /// Beginning of the run, Unix microseconds.
    pub started_unix_us: u64,
    /// Time of this response.
    pub now_us: u64,
    /// Time of the last event, once all are created.
    pub ended_us: Option<u64>,
    /// Counts of all stages.
    pub counts: Counts,
    /// Whether no event is unsent, pending or deferred and no more are created.
    pub settled: bool,
}

impl Progress {
    /// Whether events are still created.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }
}

/// A histogram in a response that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the histogram in the response cannot be read: {0}")]
pub struct HistogramError(String);

/// A histogram of microseconds: selected values, and the whole histogram in encoded form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of values.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p999_us: u64,
    /// Largest value.
    pub max_us: u64,
    /// `HdrHistogram` V2 in base64.
    hdr: String,
}

impl Latency {
    /// The values of a histogram of microseconds.
    ///
    /// # Errors
    /// When the histogram cannot be serialized.
    pub fn of(histogram: &Histogram<u64>) -> Result<Self, HistogramError> {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(histogram, &mut bytes)
            .map_err(|error| HistogramError(error.to_string()))?;
        Ok(Self {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
            hdr: STANDARD.encode(bytes),
        })
    }

    /// The whole histogram.
    ///
    /// # Errors
    /// When `hdr` is not a histogram in base64.
    pub fn histogram(&self) -> Result<Histogram<u64>, HistogramError> {
        let bytes = STANDARD
            .decode(&self.hdr)
            .map_err(|error| HistogramError(error.to_string()))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| HistogramError(error.to_string()))
    }
}

/// One kind of event in one stage. The stage's warm-up is in the counts and not in the histograms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindResult {
    /// For example `command position` or `member_join`.
    pub kind: String,
    /// Its events.
    pub counts: Counts,
    /// From the intended time of the event to its creation: the delay of the load generator itself.
    pub lateness: Latency,
    /// From the intended time until the frame was written.
    pub intended_to_sent: Latency,
    /// From the written frame to the first response.
    pub sent_to_first: Latency,
    /// From the written frame to the full answer.
    pub sent_to_answer: Latency,
    /// From the intended time to the first response.
    pub intended_to_first: Latency,
    /// From the intended time to the full answer.
    pub intended_to_answer: Latency,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageResult {
    /// The stage of the request.
    #[serde(flatten)]
    pub stage: LoadStage,
    /// Results by kind.
    pub kinds: Vec<KindResult>,
}

impl StageResult {
    /// Counts of all kinds together.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for kind in &self.kinds {
            all += kind.counts;
        }
        all
    }

    /// One of the histograms, merged over the kinds whose name `fits`.
    ///
    /// # Errors
    /// When a histogram cannot be read.
    pub fn merged(
        &self,
        fits: impl Fn(&str) -> bool,
        which: impl Fn(&KindResult) -> &Latency,
    ) -> Result<Histogram<u64>, HistogramError> {
        let failed = |error: String| HistogramError(error);
        let mut all = Histogram::new(3).map_err(|error| failed(error.to_string()))?;
        for kind in self.kinds.iter().filter(|kind| fits(&kind.kind)) {
            all.add(which(kind).histogram()?)
                .map_err(|error| failed(error.to_string()))?;
        }
        Ok(all)
    }
}

/// One second of a run, by the intended time of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the run began.
    pub second: u64,
    /// Its events.
    pub counts: Counts,
    /// 99th percentile from intended time to first response, microseconds.
    pub intended_to_first_p99_us: u64,
    /// 99th percentile from intended time to whole answer, microseconds.
    pub intended_to_answer_p99_us: u64,
}

/// Results of a run, without its single events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Progress at the time of the response.
    #[serde(flatten)]
    pub progress: Progress,
    /// Results by stage and kind.
    pub stages: Vec<StageResult>,
    /// Results by second.
    pub seconds: Vec<Second>,
}

/// One event. Times are microseconds since the run began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Number, from 0.
    pub n: u64,
    /// Name of the stage.
    pub stage: String,
    /// For example `command position` or `member_join`.
    pub kind: String,
    /// Server.
    pub guild_id: Id,
    /// Member.
    pub user_id: Id,
    /// Interaction, for events that need a response.
    pub interaction_id: Option<Id>,
    /// Gateway session in which its frame was sent.
    pub session: Option<String>,
    /// Sequence number of the frame.
    pub seq: Option<u64>,
    /// Intended time.
    pub intended_us: u64,
    /// Time of creation; the three seconds count from here.
    pub made_us: u64,
    /// Time at which the frame had been written.
    pub sent_us: Option<u64>,
    /// Time of the first response.
    pub first_us: Option<u64>,
    /// Time of the whole answer.
    pub answered_us: Option<u64>,
    /// State of the event.
    pub outcome: Outcome,
    /// Responses refused because they came after the time limit.
    pub late_responses: u64,
    /// Responses refused because another had been accepted.
    pub second_responses: u64,
}
