//! A circuit breaker for the requests to Transit: after failures in sequence, requests are refused for a pause, then one is sent as a probe.
//!
//! The circuit breaker of the score service (`arrakis-eligibility`) is another one: it opens by a share of failures, and sends probes itself. Here a
//! caller waits for each request, and the request of the next caller is the probe.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Refuses requests while the server does not respond.
#[derive(Debug)]
pub(super) struct Breaker {
    max_failures: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures since the last success.
    failures: u32,
    /// Requests before this time are refused.
    open_until: Option<Instant>,
    /// Why the last request failed.
    cause: String,
}

impl Breaker {
    /// A closed breaker, which opens for `pause` after this many failures in sequence.
    pub(super) fn new(max_failures: u32, pause: Duration) -> Self {
        Self {
            max_failures,
            pause,
            state: Mutex::default(),
        }
    }

    /// Permits a request. After the pause it is a probe: further ones are refused for another pause, unless it succeeds.
    ///
    /// # Errors
    /// Why the last request failed.
    pub(super) fn permit(&self) -> Result<(), String> {
        let mut state = self.state.lock();
        let Some(until) = state.open_until else {
            return Ok(());
        };
        let now = Instant::now();
        if now < until {
            return Err(format!(
                "no request is sent for a while after {} failures in sequence; the last one: {}",
                state.failures, state.cause
            ));
        }
        state.open_until = Some(now + self.pause);
        Ok(())
    }

    /// Records that the server responded.
    pub(super) fn succeeded(&self) {
        let mut state = self.state.lock();
        if state.open_until.is_some() {
            tracing::info!("circuit breaker of Transit closed");
        }
        *state = State::default();
    }

    /// Records that the server did not respond, or is not ready.
    pub(super) fn failed(&self, cause: &str) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        cause.clone_into(&mut state.cause);
        if state.failures >= self.max_failures {
            if state.open_until.is_none() {
                tracing::warn!(failure = cause, "circuit breaker of Transit opened");
            }
            state.open_until = Some(Instant::now() + self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_sequence_and_closes_by_a_probe() {
        let breaker = Breaker::new(3, Duration::from_secs(10));
        breaker.failed("first");
        breaker.succeeded();
        for cause in ["one", "two"] {
            breaker.failed(cause);
            breaker.permit().unwrap();
        }
        breaker.failed("three");
        let refused = breaker.permit().unwrap_err();
        assert!(
            refused.contains("3 failures") && refused.ends_with("three"),
            "{refused}"
        );
        tokio::time::advance(Duration::from_secs(11)).await;
        breaker.permit().unwrap();
        assert!(breaker.permit().is_err(), "one probe at a time");
        breaker.failed("probe");
        assert!(breaker.permit().is_err());
        tokio::time::advance(Duration::from_secs(11)).await;
        breaker.permit().unwrap();
        breaker.succeeded();
        breaker.permit().unwrap();
        breaker.permit().unwrap();
    }
}
