//! The component `discord` of `/health`: whether Discord responds to attempts.

use std::sync::atomic::{AtomicU32, Ordering};

use arrakis_discord_http::client::SendError;
use arrakis_runtime::HealthComponent;

use crate::upstream::AttemptResult;

/// Consecutive failures after which the component is degraded.
const MAX_FAILURES: u32 = 3;

/// Counts consecutive failures of attempts.
#[derive(Debug)]
pub(crate) struct UpstreamHealth {
    health: HealthComponent,
    failures: AtomicU32,
}

impl UpstreamHealth {
    /// Before the first attempt.
    pub(crate) fn new(health: HealthComponent) -> Self {
        health.up_with("no call sent yet");
        Self {
            health,
            failures: AtomicU32::new(0),
        }
    }

    /// Records an attempt. A 5xx is a failure.
    pub(crate) fn record(&self, result: &AttemptResult) {
        let reason = match result {
            Ok(response) if !response.status.is_server_error() => {
                self.failures.store(0, Ordering::Relaxed);
                self.health.up();
                return;
            }
            Ok(response) => format!("returns {}", response.status),
            Err(SendError::NotSent(reason)) => format!("cannot be reached: {reason}"),
            Err(SendError::ResponseLost(reason)) => format!("does not respond: {reason}"),
        };
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_FAILURES {
            self.health.degraded(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrakis_discord_http::Response;
    use arrakis_runtime::{Health, HealthStatus};

    use super::*;

    #[test]
    fn third_consecutive_failure_degrades_and_one_response_restores() {
        let health = Health::default();
        let upstream = UpstreamHealth::new(health.component("discord"));
        let lost = Err(SendError::ResponseLost("cut".to_owned()));
        upstream.record(&lost);
        upstream.record(&lost);
        assert_eq!(health.status(), HealthStatus::Up);
        upstream.record(&lost);
        assert_eq!(health.unhealthy_components(), ["discord: does not respond: cut"]);
        upstream.record(&Ok(Response {
            status: http::StatusCode::NOT_FOUND,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        }));
        assert_eq!(health.status(), HealthStatus::Up);
    }
}
