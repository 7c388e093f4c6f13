//! What a load came to, as the emulator tells it.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::{Deserialize, Serialize};

use super::Stage;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written to no socket.
    Unsent,
    /// Written; no answer is asked for.
    Sent,
    /// Written; the three seconds run.
    Pending,
    /// Acknowledged, never answered so far.
    Deferred,
    /// Answered.
    Answered,
    /// Not responded to within three seconds.
    Expired,
}

/// Events by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub made: u64,
    /// Written to no socket.
    pub unsent: u64,
    /// Written; no answer is asked for.
    pub sent: u64,
    /// The three seconds run.
    pub pending: u64,
    /// Acknowledged, not answered.
    pub deferred: u64,
    /// Answered.
    pub answered: u64,
    /// Not responded to in time.
    pub expired: u64,
    /// Responses that were refused since they were late.
    pub late_responses: u64,
    /// Responses that were refused since another had been accepted.
    pub second_responses: u64,
}

impl Counts {
    /// Interactions among them: what asks for an answer. An unsent event may be either, and counts here, since it failed.
    pub const fn interactions(&self) -> u64 {
        self.made - self.sent
    }

    /// Those that went wrong for a member: expired, never answered, or with an unknown end.
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

/// How a load goes. Moments are microseconds since it began.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Progress {
    /// `running` or `over`.
    pub state: String,
    /// Unix microseconds of the beginning.
    pub started_unix_us: u64,
    /// Moment of the answer.
    pub now_us: u64,
    /// When the last event had been made.
    pub ended_us: Option<u64>,
    /// All stages together.
    pub counts: Counts,
    /// Nothing is open.
    pub settled: bool,
}

impl Progress {
    /// Whether events are still being made.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

/// A histogram of microseconds as it travels.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Latency {
    /// Values in it.
    pub count: u64,
    /// `HdrHistogram` V2, base64.
    hdr: String,
}

impl Latency {
    /// All of it, so that several can be merged.
    ///
    /// # Errors
    /// When it is not a histogram.
    pub fn histogram(&self) -> anyhow::Result<Histogram<u64>> {
        let bytes = STANDARD.decode(&self.hdr).context("a histogram that is not base64")?;
        let read: Result<Histogram<u64>, _> = Deserializer::new().deserialize(&mut bytes.as_slice());
        read.context("a histogram that cannot be read")
    }
}

/// One kind of event in one stage; the warm-up is in the counts and not in the histograms.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct KindResult {
    /// e.g. `command position`.
    pub kind: String,
    /// Its events.
    pub counts: Counts,
    /// Intended → made: how late the load itself was.
    pub lateness: Latency,
    /// Intended → frame written.
    pub intended_to_sent: Latency,
    /// Frame written → first response.
    pub sent_to_first: Latency,
    /// Frame written → whole answer.
    pub sent_to_answer: Latency,
    /// Intended → first response.
    pub intended_to_first: Latency,
    /// Intended → whole answer.
    pub intended_to_answer: Latency,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StageResult {
    /// As it was asked for.
    #[serde(flatten)]
    pub stage: Stage,
    /// By kind.
    pub kinds: Vec<KindResult>,
}

impl StageResult {
    /// All kinds together.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for kind in &self.kinds {
            all += kind.counts;
        }
        all
    }

    /// One of the histograms, merged over the kinds that fit.
    ///
    /// # Errors
    /// When one cannot be read.
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

/// One second of the run, by the intended moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Seconds since the run began.
    pub second: u64,
    /// Its events.
    pub counts: Counts,
    /// Microseconds.
    pub intended_to_first_p99_us: u64,
    /// Microseconds.
    pub intended_to_answer_p99_us: u64,
}

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Results {
    /// How it went.
    #[serde(flatten)]
    pub progress: Progress,
    /// By stage and kind.
    pub stages: Vec<StageResult>,
    /// Second by second.
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

/// One event. Moments are microseconds since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// Number, from 0.
    pub n: u64,
    /// Name of the stage.
    pub stage: String,
    /// e.g. `command position`, `member_join`.
    pub kind: String,
    /// Server.
    pub guild_id: String,
    /// Who did it.
    pub user_id: String,
    /// Of what asks for an answer; the id of its message in the queues, too.
    pub interaction_id: Option<String>,
    /// Session that its frame was sent in.
    pub session: Option<String>,
    /// Its number there.
    pub seq: Option<u64>,
    /// When it was due.
    pub intended_us: u64,
    /// When it happened.
    pub made_us: u64,
    /// When its frame had been written.
    pub sent_us: Option<u64>,
    /// When the first response was accepted.
    pub first_us: Option<u64>,
    /// When the whole answer was there.
    pub answered_us: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Responses refused since late.
    pub late_responses: u64,
    /// Responses refused since another had been accepted.
    pub second_responses: u64,
}
