//! Results of a run: progress, histograms, and every event.

use arrakis_emulator_client::load::{
    Counts, Event as EventReport, KindResult, Latency, Progress, Results, RunState, Second, StageResult,
};
use hdrhistogram::Histogram;

use super::{Run, record::Event};

/// Largest value of a histogram in microseconds: the lifetime of an interaction's token.
const LONGEST_US: u64 = 15 * 60 * 1_000_000;

/// Adds an event to counts.
fn count(counts: &mut Counts, event: &Event, now: u32) {
    counts.add(event.outcome(now));
    counts.late_responses += u64::from(event.late);
    counts.second_responses += u64::from(event.second);
}

impl Run {
    /// Progress of the run.
    pub(crate) fn progress(&self) -> Progress {
        let now = self.now();
        let mut counts = Counts::default();
        for event in &self.events {
            count(&mut counts, event, now);
        }
        let settled = !self.is_generating() && counts.unsent + counts.pending + counts.deferred == 0;
        Progress {
            state: if self.is_generating() {
                RunState::Running
            } else {
                RunState::Over
            },
            seed: self.seed,
            started_unix_us: self.started_unix_us,
            now_us: now.into(),
            ended_us: self.ended.map(u64::from),
            counts,
            settled,
        }
    }

    /// Results so far. It takes tens of milliseconds for a million events, during which no response is recorded: call it when
    /// the run is over.
    pub(crate) fn results(&self) -> Results {
        let now = self.now();
        let progress = self.progress();
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

    /// Up to `most` events, from number `from`.
    pub(crate) fn lines(&self, from: usize, most: usize) -> Vec<EventReport> {
        let now = self.now();
        let line = |(n, event): (usize, &Event)| EventReport {
            n: n as u64,
            stage: self
                .stages
                .get(usize::from(event.stage))
                .map(|stage| stage.name.clone())
                .unwrap_or_default(),
            kind: self.kinds.get(usize::from(event.kind)).cloned().unwrap_or_default(),
            guild_id: event.guild,
            user_id: event.user,
            interaction_id: event.interaction,
            session: event
                .frame
                .and_then(|(session, _)| self.sessions.get(usize::from(session)))
                .map(ToString::to_string),
            seq: event.frame.map(|(_, seq)| seq),
            intended_us: event.intended.into(),
            made_us: event.made.into(),
            sent_us: event.sent.map(u64::from),
            first_us: event.first.map(u64::from),
            answered_us: event.answered.map(u64::from),
            outcome: event.outcome(now),
            late_responses: event.late.into(),
            second_responses: event.second.into(),
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
        Latency::of(&self.0).unwrap_or_else(|error| {
            tracing::error!(%error, "a histogram of a load run could not be serialized");
            Latency::default()
        })
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
        count(&mut self.counts, event, now);
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
        count(&mut self.counts, event, now);
        self.first
            .extend(event.first.map(|at| at.saturating_sub(event.intended)));
        self.answer
            .extend(event.answered.map(|at| at.saturating_sub(event.intended)));
    }

    fn result(mut self, second: u32) -> Second {
        Second {
            second: second.into(),
            counts: self.counts,
            intended_to_first_p99_us: p99(&mut self.first),
            intended_to_answer_p99_us: p99(&mut self.answer),
        }
    }
}

/// The value that 99 of 100 do not exceed; 0 for none.
fn p99(values: &mut [u32]) -> u64 {
    values.sort_unstable();
    let member = (values.len() * 99).div_ceil(100).saturating_sub(1);
    values.get(member).copied().unwrap_or_default().into()
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
