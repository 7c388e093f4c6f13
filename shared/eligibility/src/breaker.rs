//! A circuit breaker: refuses calls while most of the recent ones failed.
//!
//! ```text
//!            failures ≥ 50 % of at least 5 calls in 60 s
//!   ┌────────┐ ─────────────────────────────────────────► ┌──────┐
//!   │ closed │                                            │ open │ ◄──────┐
//!   └────────┘ ◄──────────┐                 after 30 s    └──┬───┘        │
//!                         │ probe succeeded                  ▼            │ probe failed
//!                         └───────────────────────── ┌───────────┐ ───────┘
//!                                                    │ half-open │
//!                                                    └───────────┘
//! ```
//!
//! Half-open begins with the first call after the pause; this call is the only probe. The provider sends it itself at the end of the pause
//! ([`Permit::failed`] returns when), so that the state does not wait for a question. The state belongs to the process. The crates that
//! were considered are in `docs/decisions/0044-the-circuit-breaker-of-the-score-service-is-our-own.md`.

use std::collections::VecDeque;
use std::sync::Arc;

use arrakis_fail_point as fail_point;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::settings::BreakerSettings;

/// Largest number of outcomes that are kept; of more, the latest count.
const MAX_OUTCOMES: usize = 1_000;

/// State of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are sent.
    Closed,
    /// Calls are refused.
    Open,
    /// One call was sent as a probe; others are refused until it ends.
    HalfOpen,
}

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Its name, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// State of a circuit breaker, with the failure that opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Whether calls are sent.
    pub state: BreakerState,
    /// Since when it has not been closed; `None` while it is closed.
    pub since: Option<OffsetDateTime>,
    /// When the next probe is sent; `None` unless it is open.
    pub probe_at: Option<OffsetDateTime>,
    /// Description of the last failure before it opened; `None` while it is closed.
    pub cause: Option<String>,
}

/// A circuit breaker; the diagram above shows its states.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    settings: BreakerSettings,
    inner: Mutex<Inner>,
    status: watch::Sender<BreakerStatus>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// Number of the phase. The outcome of a call that began in an earlier phase is ignored: it describes the time before.
    phase_number: u64,
    /// When the calls of this phase ended, and whether they failed.
    outcomes: VecDeque<(Instant, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    /// Until this time.
    Open(Instant),
    HalfOpen,
}

/// The permission to send one call. Dropped without an outcome, it counts neither way: after a dropped probe the next call is one.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: Arc<CircuitBreaker>,
    phase_number: u64,
    is_finished: bool,
}

impl CircuitBreaker {
    /// A closed breaker.
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        let (status, _) = watch::channel(BreakerStatus {
            state: BreakerState::Closed,
            since: None,
            probe_at: None,
            cause: None,
        });
        Self {
            settings,
            inner: Mutex::new(Inner {
                phase: Phase::Closed,
                phase_number: 0,
                outcomes: VecDeque::new(),
            }),
            status,
        }
    }

    /// The state and each change of it.
    pub(crate) fn status(&self) -> watch::Receiver<BreakerStatus> {
        self.status.subscribe()
    }

    /// The permission to send a call now; `None` while calls are refused.
    pub(crate) fn permit(self: &Arc<Self>) -> Option<Permit> {
        let mut inner = self.inner.lock();
        match inner.phase {
            Phase::Closed => {}
            Phase::Open(until) if Instant::now() >= until => self.enter(&mut inner, Phase::HalfOpen, None),
            Phase::Open(_) | Phase::HalfOpen => return None,
        }
        Some(Permit {
            breaker: Arc::clone(self),
            phase_number: inner.phase_number,
            is_finished: false,
        })
    }

    /// Whether the pause is over and no probe was sent yet.
    pub(crate) fn is_probe_due(&self) -> bool {
        matches!(self.inner.lock().phase, Phase::Open(until) if Instant::now() >= until)
    }

    /// Records how a call ended; `None` for a call that was dropped. Returns the end of the pause when this has opened the breaker.
    fn record(&self, phase_number: u64, outcome: Option<Result<(), &str>>) -> Option<Instant> {
        let mut inner = self.inner.lock();
        if inner.phase_number != phase_number {
            return None;
        }
        let now = Instant::now();
        match (inner.phase, outcome) {
            (Phase::Closed, Some(outcome)) => {
                inner.add(now, outcome.is_err(), &self.settings);
                if inner.must_open(&self.settings) {
                    self.enter(&mut inner, Phase::Open(now + self.settings.open_for), outcome.err());
                }
            }
            (Phase::HalfOpen, Some(Ok(()))) => self.enter(&mut inner, Phase::Closed, None),
            (Phase::HalfOpen, Some(Err(cause))) => {
                self.enter(&mut inner, Phase::Open(now + self.settings.open_for), Some(cause));
            }
            (Phase::HalfOpen, None) => self.enter(&mut inner, Phase::Open(now), None),
            (Phase::Closed, None) | (Phase::Open(_), _) => {}
        }
        match inner.phase {
            Phase::Open(until) if inner.phase_number != phase_number => Some(until),
            _ => None,
        }
    }

    fn enter(&self, inner: &mut Inner, phase: Phase, cause: Option<&str>) {
        inner.phase = phase;
        inner.phase_number += 1;
        inner.outcomes.clear();
        let state = match phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open(_) => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        };
        let now = OffsetDateTime::now_utc();
        self.status.send_modify(|status| {
            status.probe_at = match phase {
                Phase::Open(until) => Some(now + until.saturating_duration_since(Instant::now())),
                Phase::Closed | Phase::HalfOpen => None,
            };
            if state == BreakerState::Closed {
                tracing::info!("circuit breaker of the score service closed");
                (status.cause, status.since) = (None, None);
            } else if let Some(cause) = cause {
                tracing::warn!(failure = cause, "circuit breaker of the score service opened");
                status.cause = Some(cause.to_owned());
                status.since.get_or_insert(now);
            }
            status.state = state;
        });
    }
}

impl Inner {
    fn add(&mut self, now: Instant, failed: bool, settings: &BreakerSettings) {
        self.outcomes.push_back((now, failed));
        while self.outcomes.len() > MAX_OUTCOMES
            || self
                .outcomes
                .front()
                .is_some_and(|(at, _)| now.duration_since(*at) > settings.window)
        {
            self.outcomes.pop_front();
        }
    }

    fn must_open(&self, settings: &BreakerSettings) -> bool {
        let failed = self.outcomes.iter().filter(|(_, failed)| *failed).count();
        let calls = self.outcomes.len();
        if fail_point::skips("eligibility.guard.breaker") {
            return false;
        }
        failed > 0 && calls >= settings.min_calls && failed * 100 >= calls * settings.failure_percent
    }
}

impl Permit {
    /// Records that the call succeeded. A successful probe closes the breaker.
    pub(crate) fn succeeded(mut self) {
        self.is_finished = true;
        self.breaker.record(self.phase_number, Some(Ok(())));
    }

    /// Records that the call failed, with a description for the status. Returns when the next probe is due, if this has opened the breaker.
    pub(crate) fn failed(mut self, cause: &str) -> Option<Instant> {
        self.is_finished = true;
        self.breaker.record(self.phase_number, Some(Err(cause)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_finished {
            self.breaker.record(self.phase_number, None);
        }
    }
}

#[cfg(test)]
mod tests;
