//! What each shard is doing, for health and metrics.

use std::time::{Duration, Instant};

use arrakis_broker::{PipelineHealth, Stall};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// State of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Not begun.
    Starting,
    /// Another process holds it.
    Standby,
    /// Connecting, identifying or resuming, for this reason.
    Connecting(String),
    /// Receives events.
    Active,
}

impl State {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Connecting(_) => "connecting",
            Self::Active => "active",
        }
    }
}

/// Numbers of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) latency: Option<Duration>,
    pub(crate) received: u64,
    pub(crate) confirmed: u64,
    pub(crate) pending: usize,
    pub(crate) held: usize,
    pub(crate) resumed: u64,
    pub(crate) identified: u64,
    pub(crate) gaps: u64,
    pub(crate) resume_failures: u32,
}

#[derive(Debug)]
struct Inner {
    state: State,
    since: Instant,
    numbers: Numbers,
    last_close: Option<String>,
    /// Of the pipeline that the shard's events go through, while the shard is held.
    pipeline: Option<PipelineHealth>,
}

/// One shard's status.
#[derive(Debug)]
pub(crate) struct ShardStatus {
    pub(crate) id: u32,
    inner: Mutex<Inner>,
}

impl ShardStatus {
    pub(crate) fn new(id: u32) -> Self {
        let inner = Inner {
            state: State::Starting,
            since: Instant::now(),
            numbers: Numbers::default(),
            last_close: None,
            pipeline: None,
        };
        Self {
            id,
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn set(&self, state: State) {
        let mut inner = self.inner.lock();
        if inner.state.name() != state.name() {
            inner.since = Instant::now();
            tracing::info!(shard = self.id, state = state.name(), "shard");
        }
        inner.state = state;
    }

    /// The pipeline of a period of holding the shard, and `None` at its end.
    pub(crate) fn publishes_by(&self, pipeline: Option<PipelineHealth>) {
        self.inner.lock().pipeline = pipeline;
    }

    /// What waits for the broker, if anything does.
    pub(crate) fn stall(&self) -> Option<Stall> {
        self.inner.lock().pipeline.as_ref().and_then(PipelineHealth::stall)
    }

    pub(crate) fn closed(&self, why: &str) {
        self.inner.lock().last_close = Some(why.to_owned());
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Numbers)) {
        change(&mut self.inner.lock().numbers);
    }

    pub(crate) fn state(&self) -> State {
        self.inner.lock().state.clone()
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.inner.lock().numbers.clone()
    }

    /// As `/health` shows it.
    pub(crate) fn document(&self) -> Value {
        let stall = self.stall();
        let inner = self.inner.lock();
        let numbers = &inner.numbers;
        json!({
            "shard": self.id,
            "state": inner.state.name(),
            "why": match &inner.state { State::Connecting(why) => Some(why), _ => None },
            "for_seconds": inner.since.elapsed().as_secs(),
            "latency_ms": numbers.latency.map(|latency| latency.as_millis()),
            "received_seq": numbers.received,
            "confirmed_seq": numbers.confirmed,
            "seq_lag": numbers.received.saturating_sub(numbers.confirmed),
            "unconfirmed_messages": numbers.pending,
            "nothing_confirmed_for_seconds": stall.as_ref().map(|stall| stall.nothing_confirmed_for.as_secs()),
            "refused_messages": stall.as_ref().map_or(0, |stall| stall.refused),
            "held_frames": numbers.held,
            "identified": numbers.identified,
            "resumed": numbers.resumed,
            "gaps": numbers.gaps,
            "resume_failures": numbers.resume_failures,
            "last_close": inner.last_close,
        })
    }
}
