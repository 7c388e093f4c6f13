//! Reports the state of the shards and the broker connection to health and metrics, once a second.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{BrokerConnection, ConnectionState, PipelineStall};
use arrakis_runtime::{HealthComponent, Runtime};
use serde_json::{Value, json};

use crate::clock::ClockOffset;
use crate::metrics::Metrics;
use crate::status::{ShardPhase, ShardStatus};

/// Resident memory in bytes above which the process is down.
const MEMORY_LIMIT: u64 = 75 << 20;
/// Interval of the reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time without a confirmation, or wait of a refused message, after which the broker is degraded.
const DEGRADED_AFTER: Duration = Duration::from_secs(5);
/// Time without a confirmation after which the broker is down. An overdue confirmation is detected after ten seconds.
const DOWN_AFTER: Duration = Duration::from_secs(15);

/// Reports to health and metrics.
pub(crate) struct StatusReporter {
    pub(crate) runtime: Runtime,
    pub(crate) connection: BrokerConnection,
    pub(crate) metrics: Metrics,
    pub(crate) broker: HealthComponent,
    pub(crate) gateway: HealthComponent,
    pub(crate) shards: Vec<Arc<ShardStatus>>,
}

impl StatusReporter {
    /// Adds the details that `/health` reads itself.
    pub(crate) fn add_health_details(&self, clock: Arc<ClockOffset>) {
        let shards = self.shards.clone();
        let document = move || {
            shards
                .iter()
                .map(|shard| shard.document())
                .collect::<Vec<Value>>()
                .into()
        };
        self.runtime.health.add_details("shards", document);
        self.runtime
            .health
            .add_details("discord_clock_offset_ms", move || json!(clock.ms()));
        self.runtime.health.set_memory_limit(MEMORY_LIMIT);
    }

    /// Runs until dropped.
    pub(crate) async fn run(self) {
        let mut state = self.connection.watch();
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            self.report();
            tokio::select! {
                _ = tick.tick() => {}
                changed = state.changed() => if changed.is_err() { tick.tick().await; },
            }
        }
    }

    fn report(&self) {
        let state = self.connection.state();
        self.metrics.broker(
            matches!(state, ConnectionState::Connected | ConnectionState::Blocked { .. }),
            matches!(state, ConnectionState::Blocked { .. }),
        );
        match state {
            ConnectionState::Connected => self.report_publishing(),
            ConnectionState::Blocked { reason } => {
                self.broker.degraded(format!("the broker blocks publishers: {reason}"));
            }
            ConnectionState::Connecting { reason } if reason.is_empty() => self.broker.down("connecting"),
            ConnectionState::Connecting { reason } => self.broker.down(reason),
            ConnectionState::Closed => self.broker.down("closed"),
        }
        let mut not_active = Vec::new();
        let (mut held, mut standby) = (0, 0);
        for shard in &self.shards {
            let state = shard.state();
            self.metrics.shard(shard.id, &state, &shard.counters());
            match state {
                ShardPhase::Standby => standby += 1,
                ShardPhase::Active => held += 1,
                ShardPhase::Starting => not_active.push(format!("shard {} is starting", shard.id)),
                ShardPhase::Connecting(detail) => {
                    held += 1;
                    not_active.push(format!("shard {} is not connected: {detail}", shard.id));
                }
            }
        }
        if !not_active.is_empty() {
            self.gateway.down(not_active.join("; "));
        } else if held == 0 {
            self.gateway
                .up_with("standby: other processes hold the leases on all shards");
        } else {
            self.gateway
                .up_with(format!("{held} shards active, {standby} held by other processes"));
        }
        self.runtime
            .health
            .set_role(if held == 0 && standby > 0 { "standby" } else { "active" });
    }

    /// Reports the state of publishing while the broker is connected.
    fn report_publishing(&self) {
        let stalls = self.shards.iter().filter_map(|shard| {
            let (is_down, text) = explain(&shard.stall()?)?;
            Some((is_down, format!("shard {}: {text}", shard.id)))
        });
        let stalls: Vec<_> = stalls.collect();
        let text = || {
            stalls
                .iter()
                .map(|(_, text)| text.as_str())
                .collect::<Vec<_>>()
                .join("; ")
        };
        if stalls.is_empty() {
            self.broker.up();
        } else if stalls.iter().any(|(is_down, _)| *is_down) {
            self.broker.down(text());
        } else {
            self.broker.degraded(text());
        }
    }
}

/// Whether a stall counts as down, and its text. `None` for a short stall, as a slow broker causes.
fn explain(stall: &PipelineStall) -> Option<(bool, String)> {
    if stall.nothing_confirmed_for >= DEGRADED_AFTER {
        let seconds = stall.nothing_confirmed_for.as_secs();
        let text = format!(
            "{} messages unconfirmed, no confirmation for {seconds} s: {}",
            stall.unconfirmed, stall.reason
        );
        return Some((stall.nothing_confirmed_for >= DOWN_AFTER, text));
    }
    let seconds = stall.refused_for.as_secs();
    (stall.refused > 0 && stall.refused_for >= DEGRADED_AFTER).then(|| {
        let text = format!(
            "{} refused messages waiting, the first for {seconds} s: {}",
            stall.refused, stall.reason
        );
        (false, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stall(nothing_confirmed: u64, refused: usize, refused_for: u64) -> PipelineStall {
        PipelineStall {
            unconfirmed: 160,
            nothing_confirmed_for: Duration::from_secs(nothing_confirmed),
            refused,
            refused_for: Duration::from_secs(refused_for),
            reason: "a queue is full".to_owned(),
        }
    }

    #[test]
    fn stall_is_degraded_after_5_s_and_down_after_15_s() {
        assert_eq!(explain(&stall(4, 0, 0)), None);
        assert_eq!(explain(&stall(4, 9, 4)), None);
        for (stall, is_down, words) in [
            (
                stall(5, 0, 0),
                false,
                "160 messages unconfirmed, no confirmation for 5 s: a queue is full",
            ),
            (stall(15, 0, 0), true, "no confirmation for 15 s"),
            (
                stall(0, 9, 70),
                false,
                "9 refused messages waiting, the first for 70 s: a queue is full",
            ),
        ] {
            let (down, text) = explain(&stall).unwrap();
            assert!(down == is_down && text.contains(words), "{text}");
        }
    }
}
