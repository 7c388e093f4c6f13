//! Results of a load, as the emulator returns them.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::{Deserialize, Serialize};

use super::LoadStage;

/// State of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not written to any socket.
    Unsent,
    /// Written; it expects no answer.
    Sent,
    /// Written; within the three seconds for a first response.
    Pending,
    /// Deferred, without an answer so far.
    Deferred,
    /// Answered.
    Answered,
    /// No first response within three seconds.
    Expired,
}

/// Number of events by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All events.
    pub made: u64,
    /// Not written to any socket.
    pub unsent: u64,
    /// Written; no answer is expected.
    pub sent: u64,
    /// Within the three seconds for a first response.
    pub pending: u64,
    /// Deferred, without an answer.
    pub deferred: u64,
    /// Answered.
    pub answered: u64,
    /// No first response in time.
    pub expired: u64,
    /// Responses that were rejected because they were late.
    pub late_responses: u64,
    /// Responses that were rejected because another had been accepted.
    pub second_responses: u64,
}

impl Counts {
    /// Number of interactions. An unsent event of any kind counts here, since it failed.
    pub const fn interactions(&self) -> u64 {
        self.made - self.sent
    }

    /// Interactions that failed for the member: expired, never answered, or not sent.
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

/// Progress of a load. Times are microseconds since its start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Progress {
    /// `running` or `over`.
    pub state: String,
    /// Start in Unix microseconds.
    pub started_unix_us: u64,
    /// Time of this record.
    pub now_us: u64,
    /// Time of the last created event.
    pub ended_us: Option<u64>,
    /// All stages together.
    pub counts: Counts,
    /// Whether no event is open.
    pub settled: bool,
}

impl Progress {
    /// Whether events are still created.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

/// A serialized histogram of microseconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Latency {
    /// Number of values.
    pub count: u64,
    /// `HdrHistogram` V2, base64.
    hdr: String,
}

impl Latency {
    /// The decoded histogram, so that several can be merged.
    ///
    /// # Errors
    /// When it cannot be decoded.
    pub fn histogram(&self) -> anyhow::Result<Histogram<u64>> {
        let bytes = STANDARD.decode(&self.hdr).context("a histogram that is not base64")?;
        let read: Result<Histogram<u64>, _> = Deserializer::new().deserialize(&mut bytes.as_slice());
        read.context("a histogram that cannot be read")
    }
}

/// One kind of event in one stage. The counts include the warm-up, the histograms exclude it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct KindResult {
    /// Kind, for example `command position`.
    pub kind: String,
    /// Number of events by state.
    pub counts: Counts,
    /// Intended → created: lateness of the load generator.
    pub lateness: Latency,
    /// Intended → frame written.
    pub intended_to_sent: Latency,
    /// Frame written → first response.
    pub sent_to_first: Latency,
    /// Frame written → full answer.
    pub sent_to_answer: Latency,
    /// Intended → first response.
    pub intended_to_first: Latency,
    /// Intended → full answer.
    pub intended_to_answer: Latency,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StageResult {
    /// The stage as requested.
    #[serde(flatten)]
    pub stage: LoadStage,
    /// Results by kind.
    pub kinds: Vec<KindResult>,
}

impl StageResult {
    /// Counts of all kinds together.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for kind in &self.kinds {
            all += kind.counts;
        }
        all
    }

    /// One of the histograms, merged over the kinds that `fits` accepts.
    ///
    /// # Errors
    /// When a histogram cannot be decoded.
    pub fn merged(
        &self,
        fits: impl Fn(&str) -> bool,
        which: impl Fn(&KindResult) -> &Latency,
    ) -> anyhow::Result<Histogram<u64>> {
        let mut all = Histogram::new(3)?;
        for kind in self.kinds.iter().filter(|kind| fits(&kind.kind)) {
            all.add(which(kind).histogram()?)?;
        }
        Ok(all)
    }
}

/// One second of the run, by intended moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the start of the run.
    pub second: u64,
    /// Number of events by state.
    pub counts: Counts,
    /// p99 in microseconds.
    pub intended_to_first_p99_us: u64,
    /// p99 in microseconds.
    pub intended_to_answer_p99_us: u64,
}

/// Results of a load.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Results {
    /// Progress of the load.
    #[serde(flatten)]
    pub progress: Progress,
    /// Results by stage and kind.
    pub stages: Vec<StageResult>,
    /// Results by second.
    pub seconds: Vec<Second>,
}

impl Results {
    /// The stage of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn stage(&self, name: &str) -> anyhow::Result<&StageResult> {
        let found = self.stages.iter().find(|stage| stage.stage.name == name);
        found.with_context(|| format!("the load has no stage {name}"))
    }
}

/// One event. Times are microseconds since the start of the run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// Number, from 0.
    pub n: u64,
    /// Name of the stage.
    pub stage: String,
    /// Kind, for example `command position`, `member_join`.
    pub kind: String,
    /// Server.
    pub guild_id: String,
    /// User who acted.
    pub user_id: String,
    /// Id of an interaction, which is also the id of its message in the queues.
    pub interaction_id: Option<String>,
    /// Gateway session of its frame.
    pub session: Option<String>,
    /// Sequence number of its frame.
    pub seq: Option<u64>,
    /// Intended moment.
    pub intended_us: u64,
    /// Creation.
    pub made_us: u64,
    /// End of the write of its frame.
    pub sent_us: Option<u64>,
    /// Acceptance of the first response.
    pub first_us: Option<u64>,
    /// Acceptance of the full answer.
    pub answered_us: Option<u64>,
    /// State.
    pub outcome: Outcome,
    /// Responses that were rejected because they were late.
    pub late_responses: u64,
    /// Responses that were rejected because another had been accepted.
    pub second_responses: u64,
}
