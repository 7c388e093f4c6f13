//! What a run came to: progress while it goes, histograms when it is over, and every event as a line.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{Serializer as _, V2Serializer},
};
use serde::Serialize;

use super::{
    Run, Stage,
    record::{Event, Outcome},
};
use crate::model::Id;

/// Largest value of a histogram, microseconds: the life of a token.
const LONGEST_US: u64 = 15 * 60 * 1_000_000;

/// Events by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Made so far.
    made: u64,
    /// Written to no socket (yet).
    unsent: u64,
    /// Written, and no answer is asked for.
    sent: u64,
    /// Written; the three seconds run.
    pending: u64,
    /// Acknowledged; the answer is to come.
    deferred: u64,
    /// Answered.
    answered: u64,
    /// Not responded to within three seconds.
    expired: u64,
    /// Responses refused since they came after the three seconds.
    late_responses: u64,
    /// Responses refused since another had been accepted.
    second_responses: u64,
}

/// How a run goes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Progress {
    /// `running` while events are made, then `over`.
    state: &'static str,
    /// What was random came from it.
    seed: u64,
    /// Unix microseconds; all other moments count from here.
    started_unix_us: u64,
    /// Moment of this answer, microseconds.
    now_us: u32,
    /// When the last event had been made, microseconds.
    ended_us: Option<u32>,
    /// All stages together.
    counts: Counts,
    /// Whether nothing is to be waited for any more: no event is unsent, pending or deferred.
    settled: bool,
}

/// A histogram in microseconds: some of its values for people, all of it for programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    count: u64,
    mean_us: f64,
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    p999_us: u64,
    max_us: u64,
    /// `HdrHistogram` V2, base64.
    hdr: String,
}

/// One kind of event in one stage, the stage's warm-up left out of the histograms but not of the counts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KindResult {
    kind: String,
    counts: Counts,
    /// Intended → made: how late the load itself was.
    lateness: Latency,
    /// Intended → frame written.
    intended_to_sent: Latency,
    /// Frame written → first response.
    sent_to_first: Latency,
    /// Frame written → whole answer.
    sent_to_answer: Latency,
    /// Intended → first response.
    intended_to_first: Latency,
    /// Intended → whole answer.
    intended_to_answer: Latency,
}

/// One stage.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageResult {
    #[serde(flatten)]
    stage: Stage,
    kinds: Vec<KindResult>,
}

/// One second of the run, by the intended moment of its events.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Second {
    second: u32,
    counts: Counts,
    intended_to_first_p99_us: u64,
    intended_to_answer_p99_us: u64,
}

/// Everything about a run but the single events.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    #[serde(flatten)]
    progress: Progress,
    stages: Vec<StageResult>,
    seconds: Vec<Second>,
}

/// An event as a line of JSON. Moments are microseconds since the run began.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EventLine<'a> {
    n: usize,
    stage: &'a str,
    kind: &'a str,
    guild_id: Id,
    user_id: Id,
    interaction_id: Option<Id>,
    session: Option<&'a Arc<str>>,
    seq: Option<u64>,
    intended_us: u32,
    made_us: u32,
    sent_us: Option<u32>,
    first_us: Option<u32>,
    answered_us: Option<u32>,
    outcome: Outcome,
    late_responses: u8,
    second_responses: u8,
}

impl Counts {
    fn add(&mut self, event: &Event, now: u32) {
        self.made += 1;
        self.late_responses += u64::from(event.late);
        self.second_responses += u64::from(event.second);
        let count = match event.outcome(now) {
            Outcome::Unsent => &mut self.unsent,
            Outcome::Sent => &mut self.sent,
            Outcome::Pending => &mut self.pending,
            Outcome::Deferred => &mut self.deferred,
            Outcome::Answered => &mut self.answered,
            Outcome::Expired => &mut self.expired,
        };
        *count += 1;
    }
}

impl Run {
    /// How it goes.
    pub(crate) fn progress(&self) -> Progress {
        let now = self.now();
        let mut counts = Counts::default();
        for event in &self.events {
            counts.add(event, now);
        }
        let settled = !self.is_generating() && counts.unsent + counts.pending + counts.deferred == 0;
        Progress {
            state: if self.is_generating() { "running" } else { "over" },
            seed: self.seed,
            started_unix_us: self.started_unix_us,
            now_us: now,
            ended_us: self.ended,
            counts,
            settled,
        }
    }

    /// What it came to so far. Costs some tens of milliseconds for a million events, in which no answer is recorded: ask
    /// when the run is over.
    pub(crate) fn results(&self) -> Results {
        let progress = self.progress();
        let now = progress.now_us;
        let mut tables: Vec<Vec<Table>> = self
            .stages
            .iter()
            .map(|_| vec![Table::default(); self.kinds.len()])
            .collect();
        let mut seconds: Vec<SecondTable> = Vec::new();
        for event in &self.events {
            let second = usize::try_from(event.intended / 1_000_000).unwrap_or_default();
            if seconds.len() <= second {
                seconds.resize_with(second + 1, SecondTable::default);
            }
            seconds[second].add(event, now);
            if let Some(table) = tables
                .get_mut(usize::from(event.stage))
                .and_then(|kinds| kinds.get_mut(usize::from(event.kind)))
            {
                table.add(event, now);
            }
        }
        let stages = self.stages.iter().zip(tables).map(|(stage, tables)| StageResult {
            stage: stage.clone(),
            kinds: self
                .kinds
                .iter()
                .zip(tables)
                .map(|(kind, table)| table.result(kind))
                .collect(),
        });
        let seconds = (0..).zip(seconds).map(|(second, table)| table.result(second));
        Results {
            progress,
            stages: stages.collect(),
            seconds: seconds.collect(),
        }
    }

    /// Up to `most` events from number `from` on.
    pub(crate) fn lines(&self, from: usize, most: usize) -> Vec<EventLine<'_>> {
        let now = self.now();
        let line = |(n, event): (usize, &Event)| EventLine {
            n,
            stage: self
                .stages
                .get(usize::from(event.stage))
                .map_or("", |stage| &stage.name),
            kind: self.kinds.get(usize::from(event.kind)).map_or("", String::as_str),
            guild_id: event.guild,
            user_id: event.user,
            interaction_id: event.interaction,
            session: event
                .frame
                .and_then(|(session, _)| self.sessions.get(usize::from(session))),
            seq: event.frame.map(|(_, seq)| seq),
            intended_us: event.intended,
            made_us: event.made,
            sent_us: event.sent,
            first_us: event.first,
            answered_us: event.answered,
            outcome: event.outcome(now),
            late_responses: event.late,
            second_responses: event.second,
        };
        self.events.iter().enumerate().skip(from).take(most).map(line).collect()
    }
}

/// Durations in microseconds.
#[derive(Clone, Debug)]
struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the bounds are constants, which a test has made a histogram of"
        )]
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that a histogram can have"))
    }
}

impl Durations {
    fn between(&mut self, from: Option<u32>, to: Option<u32>) {
        if let (Some(from), Some(to)) = (from, to) {
            self.0.saturating_record(u64::from(to.saturating_sub(from)).max(1));
        }
    }

    fn result(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile);
        let mut bytes = Vec::new();
        let hdr = match V2Serializer::new().serialize(&self.0, &mut bytes) {
            Ok(_) => STANDARD.encode(bytes),
            Err(error) => {
                tracing::error!(%error, "a histogram could not be written");
                String::new()
            }
        };
        Latency {
            count: self.0.len(),
            mean_us: self.0.mean(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0.max(),
            hdr,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Table {
    counts: Counts,
    lateness: Durations,
    intended_to_sent: Durations,
    sent_to_first: Durations,
    sent_to_answer: Durations,
    intended_to_first: Durations,
    intended_to_answer: Durations,
}

impl Table {
    fn add(&mut self, event: &Event, now: u32) {
        self.counts.add(event, now);
        if event.warm_up {
            return;
        }
        let intended = Some(event.intended);
        self.lateness.between(intended, Some(event.made));
        self.intended_to_sent.between(intended, event.sent);
        self.sent_to_first.between(event.sent, event.first);
        self.sent_to_answer.between(event.sent, event.answered);
        self.intended_to_first.between(intended, event.first);
        self.intended_to_answer.between(intended, event.answered);
    }

    fn result(&self, kind: &str) -> KindResult {
        KindResult {
            kind: kind.to_owned(),
            counts: self.counts,
            lateness: self.lateness.result(),
            intended_to_sent: self.intended_to_sent.result(),
            sent_to_first: self.sent_to_first.result(),
            sent_to_answer: self.sent_to_answer.result(),
            intended_to_first: self.intended_to_first.result(),
            intended_to_answer: self.intended_to_answer.result(),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct SecondTable {
    counts: Counts,
    first: Vec<u32>,
    answer: Vec<u32>,
}

impl SecondTable {
    fn add(&mut self, event: &Event, now: u32) {
        self.counts.add(event, now);
        self.first
            .extend(event.first.map(|at| at.saturating_sub(event.intended)));
        self.answer
            .extend(event.answered.map(|at| at.saturating_sub(event.intended)));
    }

    fn result(mut self, second: u32) -> Second {
        Second {
            second,
            counts: self.counts,
            intended_to_first_p99_us: p99(&mut self.first),
            intended_to_answer_p99_us: p99(&mut self.answer),
        }
    }
}

/// The value that 99 of 100 do not exceed; 0 for none.
fn p99(values: &mut [u32]) -> u64 {
    values.sort_unstable();
    let place = (values.len() * 99).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_of_a_hundred_is_the_99th() {
        let mut values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(p99(&mut values), 99);
        assert_eq!(p99(&mut [7]), 7);
        assert_eq!(p99(&mut []), 0);
    }
}
