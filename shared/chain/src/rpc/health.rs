//! Health of one endpoint: failures, pauses, and the single request that ends a pause.
//!
//! An endpoint is `Ready` until failures pause it. When the pause is over, one request may probe the endpoint (its chain id is verified
//! again); the others are refused until the probe has succeeded.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::failure::Failure;
use crate::config::ChainSettings;
use crate::error::FailureKind;

/// Consecutive transport failures after which an endpoint is paused.
const FAILURES_BEFORE_PAUSE: u32 = 3;
/// Inconsistent responses pause an endpoint for this multiple of the first pause.
const INCONSISTENT_FACTOR: u32 = 16;

/// Whether an endpoint is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Not used so far.
    Untried,
    /// The last request succeeded, or too few have failed for a pause.
    Ready,
    /// Paused after failures.
    Paused,
}

/// Whether a request may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// Yes.
    Send,
    /// Not before this moment.
    NotBefore(Instant),
}

/// Health of one endpoint.
#[derive(Debug)]
pub(super) struct Health {
    /// Failures since the last success that count towards a pause.
    pub(super) consecutive_failures: u32,
    /// Kind and description of the last failure.
    pub(super) last_failure: Option<(FailureKind, String)>,
    /// Duration of the last successful request.
    pub(super) latency: Option<Duration>,
    /// Latest block that the endpoint reported, and when.
    pub(super) head: Option<(u64, Instant)>,
    /// Whether the endpoint's chain id was verified since the last pause.
    pub(super) verified: bool,
    paused_until: Option<Instant>,
    tried: bool,
}

impl Health {
    /// An endpoint that was not used so far, and whose chain id is not verified.
    pub(super) const fn new() -> Self {
        Self {
            consecutive_failures: 0,
            last_failure: None,
            latency: None,
            head: None,
            verified: false,
            paused_until: None,
            tried: false,
        }
    }

    /// End of the present pause. It may be over: a pause lasts until a probe succeeds.
    pub(super) const fn pause_end(&self) -> Option<Instant> {
        self.paused_until
    }

    /// The state, for health pages and metrics.
    pub(super) const fn state(&self) -> EndpointState {
        match self.paused_until {
            Some(_) => EndpointState::Paused,
            None if self.tried => EndpointState::Ready,
            None => EndpointState::Untried,
        }
    }

    /// Whether a request may be sent. After a pause the first caller gets the probe: the pause is prolonged for the others by the
    /// time that the probe may take, and ends when it succeeds.
    pub(super) fn permission(&mut self, now: Instant, probe_time: Duration) -> Permission {
        match self.paused_until {
            None => Permission::Send,
            Some(until) if until > now => Permission::NotBefore(until),
            Some(_) => {
                self.paused_until = Some(now + probe_time);
                self.verified = false;
                Permission::Send
            }
        }
    }

    /// Records a success, which ends a pause.
    pub(super) fn succeeded(&mut self, latency: Duration) {
        self.tried = true;
        self.consecutive_failures = 0;
        self.latency = Some(latency);
        self.paused_until = None;
    }

    /// Records a failure. Returns the pause that it causes.
    pub(super) fn failed(&mut self, failure: &Failure, settings: &ChainSettings, now: Instant) -> Option<Duration> {
        self.tried = true;
        self.last_failure = Some((failure.kind, failure.detail.clone()));
        // These are caused by the request as well: a contract or a range that fails everywhere must not pause every endpoint.
        if matches!(
            failure.kind,
            FailureKind::Rejected
                | FailureKind::TooLarge
                | FailureKind::Lagging
                | FailureKind::Malformed
                | FailureKind::Paused
        ) {
            // The endpoint did respond.
            if self.paused_until.is_some() {
                self.paused_until = None;
            }
            return None;
        }
        if failure.kind == FailureKind::Inconsistent {
            // The head that it reported may be wrong as well.
            self.head = None;
        }
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let doubled = |first: Duration, times: u32| first.saturating_mul(1 << times.min(16)).min(settings.max_pause);
        let (first, failures) = (settings.first_pause, self.consecutive_failures);
        let pause = match failure.kind {
            FailureKind::RateLimited => {
                let wanted = failure.retry_after.unwrap_or_else(|| doubled(first, failures - 1));
                wanted.clamp(Duration::from_millis(100), settings.max_pause)
            }
            FailureKind::Unauthorized | FailureKind::WrongChain => settings.max_pause,
            FailureKind::Inconsistent => doubled(first.saturating_mul(INCONSISTENT_FACTOR), failures - 1),
            _ if failures < FAILURES_BEFORE_PAUSE && self.paused_until.is_none() => return None,
            _ => doubled(first, failures.saturating_sub(FAILURES_BEFORE_PAUSE)),
        };
        self.paused_until = Some(now + pause);
        self.verified = false;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_secs(5);

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind, "no")
    }

    #[test]
    fn third_transport_failure_pauses_and_one_probe_ends_the_pause() {
        let settings = ChainSettings::default();
        let (mut health, now) = (Health::new(), Instant::now());
        assert_eq!(health.state(), EndpointState::Untried);
        for _ in 0..2 {
            assert_eq!(health.failed(&failure(FailureKind::Transport), &settings, now), None);
            assert_eq!(health.permission(now, PROBE), Permission::Send);
        }
        let pause = health.failed(&failure(FailureKind::TimedOut), &settings, now).unwrap();
        assert_eq!(pause, settings.first_pause);
        assert_eq!(health.permission(now, PROBE), Permission::NotBefore(now + pause));

        let later = now + pause;
        assert_eq!(health.permission(later, PROBE), Permission::Send);
        assert_eq!(
            health.permission(later, PROBE),
            Permission::NotBefore(later + PROBE),
            "one probe"
        );
        let longer = health
            .failed(&failure(FailureKind::Transport), &settings, later)
            .unwrap();
        assert_eq!(longer, pause * 2);

        let latest = later + longer;
        assert_eq!(health.permission(latest, PROBE), Permission::Send);
        health.succeeded(Duration::from_millis(5));
        assert_eq!(health.permission(latest, PROBE), Permission::Send);
        assert_eq!((health.state(), health.consecutive_failures), (EndpointState::Ready, 0));
    }

    #[test]
    fn rejections_pause_nothing() {
        let (mut health, now) = (Health::new(), Instant::now());
        for _ in 0..50 {
            for kind in [
                FailureKind::Rejected,
                FailureKind::TooLarge,
                FailureKind::Lagging,
                FailureKind::Malformed,
            ] {
                assert_eq!(health.failed(&failure(kind), &ChainSettings::default(), now), None);
            }
        }
        assert_eq!(health.permission(now, PROBE), Permission::Send);
    }

    #[test]
    fn rate_limit_pauses_as_long_as_the_endpoint_requests_up_to_a_limit() {
        let settings = ChainSettings::default();
        let (mut health, now) = (Health::new(), Instant::now());
        for (seconds, wanted) in [(7, 7), (100_000, 300)] {
            let limited = Failure {
                retry_after: Some(Duration::from_secs(seconds)),
                ..failure(FailureKind::RateLimited)
            };
            assert_eq!(
                health.failed(&limited, &settings, now),
                Some(Duration::from_secs(wanted))
            );
        }
    }
}
