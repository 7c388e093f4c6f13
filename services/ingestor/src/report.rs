//! Tells health and metrics what shards and broker are doing, once a second.

use std::sync::Arc;
use std::time::Duration;

use arrakis_broker::{Link, LinkState};
use arrakis_runtime::{Component, Runtime};
use serde_json::{Value, json};

use crate::clock::ClockOffset;
use crate::metrics::Metrics;
use crate::status::{ShardStatus, State};

/// Resident memory above which the process is not healthy.
const MEMORY_LIMIT: u64 = 75 << 20;
const EVERY: Duration = Duration::from_secs(1);

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
            LinkState::Up => self.broker.up(),
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
}
