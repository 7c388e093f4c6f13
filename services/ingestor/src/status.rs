//! State and counters of each shard, for health and metrics.

use std::time::{Duration, Instant};

use arrakis_broker::{PipelineHealth, PipelineStall};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What a shard does at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShardPhase {
    /// It has not started.
    Starting,
    /// Another process holds the lease.
    Standby,
    /// Not receiving events; the text states what it waits for or why the last connection ended.
    Connecting(String),
    /// It receives events.
    Active,
}

impl ShardPhase {
    /// The names of all phases.
    pub(crate) const NAMES: [&str; 4] = ["starting", "standby", "connecting", "active"];

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Standby => "standby",
            Self::Connecting(_) => "connecting",
            Self::Active => "active",
        }
    }
}

/// Numbers of a shard for `/health` and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShardCounters {
    pub(crate) latency: Option<Duration>,
    pub(crate) received: u64,
    pub(crate) confirmed: u64,
    pub(crate) pending: usize,
    pub(crate) buffered: usize,
    pub(crate) resumed: u64,
    pub(crate) identified: u64,
    pub(crate) gaps: u64,
    pub(crate) resume_failures: u32,
}

#[derive(Debug)]
struct Inner {
    state: ShardPhase,
    since: Instant,
    counters: ShardCounters,
    last_close: Option<String>,
    /// The pipeline of the shard's events, while the lease is held.
    pipeline: Option<PipelineHealth>,
}

/// State and counters of one shard.
#[derive(Debug)]
pub(crate) struct ShardStatus {
    pub(crate) id: u32,
    inner: Mutex<Inner>,
}

impl ShardStatus {
    pub(crate) fn new(id: u32) -> Self {
        let inner = Inner {
            state: ShardPhase::Starting,
            since: Instant::now(),
            counters: ShardCounters::default(),
            last_close: None,
            pipeline: None,
        };
        Self {
            id,
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn set(&self, state: ShardPhase) {
        let mut inner = self.inner.lock();
        if inner.state.name() != state.name() {
            inner.since = Instant::now();
            tracing::info!(shard = self.id, state = state.name(), "the shard's state changed");
        }
        inner.state = state;
    }

    /// Sets the pipeline of the shard's events; `None` when the lease period has ended.
    pub(crate) fn set_pipeline(&self, pipeline: Option<PipelineHealth>) {
        self.inner.lock().pipeline = pipeline;
    }

    /// The unconfirmed messages, if there are any.
    pub(crate) fn stall(&self) -> Option<PipelineStall> {
        self.inner.lock().pipeline.as_ref().and_then(PipelineHealth::stall)
    }

    pub(crate) fn set_last_close(&self, reason: &str) {
        self.inner.lock().last_close = Some(reason.to_owned());
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut ShardCounters)) {
        change(&mut self.inner.lock().counters);
    }

    pub(crate) fn state(&self) -> ShardPhase {
        self.inner.lock().state.clone()
    }

    pub(crate) fn counters(&self) -> ShardCounters {
        self.inner.lock().counters.clone()
    }

    /// The shard's entry in `/health`.
    pub(crate) fn document(&self) -> Value {
        let stall = self.stall();
        let inner = self.inner.lock();
        let counters = &inner.counters;
        json!({
            "shard": self.id,
            "state": inner.state.name(),
            "why": match &inner.state { ShardPhase::Connecting(detail) => Some(detail), _ => None },
            "for_seconds": inner.since.elapsed().as_secs(),
            "latency_ms": counters.latency.map(|latency| latency.as_millis()),
            "received_seq": counters.received,
            "confirmed_seq": counters.confirmed,
            "seq_lag": counters.received.saturating_sub(counters.confirmed),
            "unconfirmed_messages": counters.pending,
            "nothing_confirmed_for_seconds": stall.as_ref().map(|stall| stall.nothing_confirmed_for.as_secs()),
            "refused_messages": stall.as_ref().map_or(0, |stall| stall.refused),
            "held_frames": counters.buffered,
            "identified": counters.identified,
            "resumed": counters.resumed,
            "gaps": counters.gaps,
            "resume_failures": counters.resume_failures,
            "last_close": inner.last_close,
        })
    }
}
