//! Tells health and metrics what shards and broker are doing, once a second.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{Link, LinkState, Stall};
use arrakis_runtime::{Component, Runtime};
use serde_json::{Value, json};

use crate::clock::ClockOffset;
use crate::metrics::Metrics;
use crate::status::{ShardStatus, State};

/// Resident memory above which the process is not healthy.
const MEMORY_LIMIT: u64 = 75 << 20;
const EVERY: Duration = Duration::from_secs(1);
/// How long no confirmation may come, or a refused message may wait, before the broker counts as degraded.
const DEGRADED_AFTER: Duration = Duration::from_secs(5);
/// How long no confirmation may come before it counts as down. A confirmation that is overdue takes ten seconds to be noticed.
const DOWN_AFTER: Duration = Duration::from_secs(15);

/// What is reported on.
pub(crate) struct Report {
    pub(crate) runtime: Runtime,
    pub(crate) link: Link,
    pub(crate) metrics: Metrics,
    pub(crate) broker: Component,
    pub(crate) gateway: Component,
    pub(crate) shards: Vec<Arc<ShardStatus>>,
}

impl Report {
    /// Tells `/health` the details that it asks for itself.
    pub(crate) fn describe(&self, clock: Arc<ClockOffset>) {
        let shards = self.shards.clone();
        let document = move || {
            shards
                .iter()
                .map(|shard| shard.document())
                .collect::<Vec<Value>>()
                .into()
        };
        self.runtime.health.details("shards", document);
        self.runtime
            .health
            .details("discord_clock_offset_ms", move || json!(clock.ms()));
        self.runtime.health.memory_limit(MEMORY_LIMIT);
    }

    /// Runs until dropped.
    pub(crate) async fn run(self) {
        let mut state = self.link.watch();
        let mut tick = tokio::time::interval(EVERY);
        loop {
            self.once();
            tokio::select! {
                _ = tick.tick() => {}
                changed = state.changed() => if changed.is_err() { tick.tick().await; },
            }
        }
    }

    fn once(&self) {
        let link = self.link.state();
        self.metrics.broker(
            matches!(link, LinkState::Up | LinkState::Blocked { .. }),
            matches!(link, LinkState::Blocked { .. }),
        );
        match link {
            LinkState::Up => self.publishing(),
            LinkState::Blocked { why } => self.broker.degraded(format!("the broker takes no messages: {why}")),
            LinkState::Connecting { why } if why.is_empty() => self.broker.down("connecting"),
            LinkState::Connecting { why } => self.broker.down(why),
            LinkState::Closed => self.broker.down("closed"),
        }
        let mut troubles = Vec::new();
        let (mut held, mut standby) = (0, 0);
        for shard in &self.shards {
            let state = shard.state();
            self.metrics.shard(shard.id, state == State::Active, &shard.numbers());
            match state {
                State::Standby => standby += 1,
                State::Active => held += 1,
                State::Starting => troubles.push(format!("shard {} is starting", shard.id)),
                State::Connecting(why) => {
                    held += 1;
                    troubles.push(format!("shard {} is not connected: {why}", shard.id));
                }
            }
        }
        if !troubles.is_empty() {
            self.gateway.down(troubles.join("; "));
        } else if held == 0 {
            self.gateway.up_with("standby: another process holds every shard");
        } else {
            self.gateway
                .up_with(format!("{held} shards active, {standby} held by another process"));
        }
        self.runtime
            .health
            .role(if held == 0 && standby > 0 { "standby" } else { "active" });
    }

    /// The connection stands; whether messages are confirmed is another matter.
    fn publishing(&self) {
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

/// Whether a stall takes the shard down, and in words; `None` while it is as short as a slow broker's.
fn explain(stall: &Stall) -> Option<(bool, String)> {
    if stall.nothing_confirmed_for >= DEGRADED_AFTER {
        let seconds = stall.nothing_confirmed_for.as_secs();
        let text = format!(
            "{} messages unconfirmed, none for {seconds} s: {}",
            stall.unconfirmed, stall.why
        );
        return Some((stall.nothing_confirmed_for >= DOWN_AFTER, text));
    }
    let seconds = stall.refused_for.as_secs();
    (stall.refused > 0 && stall.refused_for >= DEGRADED_AFTER).then(|| {
        let text = format!(
            "{} refused messages wait, the first for {seconds} s: {}",
            stall.refused, stall.why
        );
        (false, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stall(nothing_confirmed: u64, refused: usize, refused_for: u64) -> Stall {
        Stall {
            unconfirmed: 160,
            nothing_confirmed_for: Duration::from_secs(nothing_confirmed),
            refused,
            refused_for: Duration::from_secs(refused_for),
            why: "a queue is full".to_owned(),
        }
    }

    #[test]
    fn stall_is_degraded_and_then_down() {
        assert_eq!(explain(&stall(4, 0, 0)), None);
        assert_eq!(explain(&stall(4, 9, 4)), None);
        for (stall, is_down, words) in [
            (
                stall(5, 0, 0),
                false,
                "160 messages unconfirmed, none for 5 s: a queue is full",
            ),
            (stall(15, 0, 0), true, "none for 15 s"),
            (
                stall(0, 9, 70),
                false,
                "9 refused messages wait, the first for 70 s: a queue is full",
            ),
        ] {
            let (down, text) = explain(&stall).unwrap();
            assert!(down == is_down && text.contains(words), "{text}");
        }
    }
}
