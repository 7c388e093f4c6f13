//! Whether Discord answers, as the last few attempts felt it.

use std::sync::atomic::{AtomicU32, Ordering};

use arrakis_runtime::HealthComponent;

use crate::upstream::Sent;

/// Failures in a row before health says so: one alone is weather.
const IN_A_ROW: u32 = 3;

/// Discord's pulse.
#[derive(Debug)]
pub(crate) struct Pulse {
    health: HealthComponent,
    failures: AtomicU32,
}

impl Pulse {
    /// Nobody has asked yet.
    pub(crate) fn new(health: HealthComponent) -> Self {
        health.up_with("not asked yet");
        Self {
            health,
            failures: AtomicU32::new(0),
        }
    }

    /// An attempt ended.
    pub(crate) fn felt(&self, sent: &Sent) {
        let why = match sent {
            Sent::Answered(answer) if !answer.status.is_server_error() => {
                self.failures.store(0, Ordering::Relaxed);
                self.health.up();
                return;
            }
            Sent::Answered(answer) => format!("answers {}", answer.status),
            Sent::Not(why) => format!("cannot be reached: {why}"),
            Sent::Lost(why) => format!("does not answer: {why}"),
        };
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= IN_A_ROW {
            self.health.degraded(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrakis_runtime::{Health, HealthStatus};

    use super::*;

    #[test]
    fn three_failures_in_a_row_are_told_and_one_answer_ends_it() {
        let health = Health::default();
        let pulse = Pulse::new(health.component("discord"));
        let lost = Sent::Lost("cut".to_owned());
        pulse.felt(&lost);
        pulse.felt(&lost);
        assert_eq!(health.status(), HealthStatus::Up);
        pulse.felt(&lost);
        assert_eq!(health.unhealthy_components(), ["discord: does not answer: cut"]);
        pulse.felt(&Sent::Answered(crate::upstream::Answer {
            status: http::StatusCode::NOT_FOUND,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        }));
        assert_eq!(health.status(), HealthStatus::Up);
    }
}
