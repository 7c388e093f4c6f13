//! Names of exchanges and queues. A test of the broker crate compares `rabbitmq/definitions.json` with them.

/// Topic exchange of the ingestor's events.
pub const EVENTS: &str = "arrakis.events";
/// Alternate exchange (fanout) and its queue, for events that no binding of another queue matches.
pub const UNROUTED: &str = "arrakis.unrouted";
/// Queue of interactions; with `AMQP_PRIORITIES=classes`, the prefix of one queue for each class.
pub const INTERACTIONS: &str = "arrakis.interactions";
/// Queue of member and server events.
pub const EVENTS_GUILD: &str = "arrakis.events.guild";
/// Queue of chat messages of members (`MESSAGE_CREATE`).
pub const EVENTS_MESSAGE: &str = "arrakis.events.message";
/// Topic exchange of jobs. Each kind but `synthesis` has a queue `arrakis.jobs.{kind}`.
pub const JOBS: &str = "arrakis.jobs";
/// Queue of jobs that make bulk changes to servers.
pub const SYNTHESIS: &str = "discord-synthesis";
/// Fanout exchange and queue of dead letters.
pub const DEAD_LETTERS: &str = "arrakis.dlq";

/// Waits before the three retries, in seconds.
pub const RETRY_SECONDS: [u32; 3] = [5, 25, 125];

/// Fanout exchange and queue in which a message waits this many seconds for its retry, such as `arrakis.retry.5s`.
pub fn retry(seconds: u32) -> String {
    format!("arrakis.retry.{seconds}s")
}

/// Queue with the state of a shard (gateway session, sequence number), which is also the lease on the shard.
pub fn shard(shard: u32) -> String {
    format!("arrakis.ingestor.shard.{shard}")
}

/// Exclusive queue that is the lock of a lease: it exists as long as the connection of the lease's holder. `queue` is the lease's
/// queue.
pub fn lease_lock(queue: &str) -> String {
    format!("{queue}.lock")
}

/// Queue to which the stable workers hand messages of this queue over, for servers of the canary: `arrakis.canary.interactions`.
pub fn canary(queue: &str) -> String {
    let name = queue.strip_prefix("arrakis.").unwrap_or(queue);
    format!("arrakis.canary.{name}")
}

/// Queue from which the shadow workers receive copies of this queue's messages: `arrakis.shadow.interactions`.
pub fn shadow(queue: &str) -> String {
    let name = queue.strip_prefix("arrakis.").unwrap_or(queue);
    format!("arrakis.shadow.{name}")
}

/// Queue of the identify slot of a `max_concurrency` bucket, which all processes share.
pub fn identify_bucket(bucket: u32) -> String {
    format!("arrakis.ingestor.identify.{bucket}")
}

/// Whether dead letters may be replayed to this queue: one that workers consume. The queue's name comes from a header of the dead
/// letter, and none may be published to other queues, such as that of a shard's session.
#[must_use]
pub fn accepts_replays(queue: &str) -> bool {
    let is_below = |prefix: &str| {
        let rest = queue.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|name| !name.is_empty() && !name.contains('.'))
    };
    let canary = [canary(INTERACTIONS), canary(EVENTS_GUILD)];
    [INTERACTIONS, EVENTS_GUILD, EVENTS_MESSAGE, SYNTHESIS].contains(&queue)
        || is_below(INTERACTIONS)
        || is_below(JOBS)
        || canary.iter().any(|name| name == queue)
        || is_below(&canary[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queues_of_workers_accept_replays() {
        for queue in [
            INTERACTIONS,
            "arrakis.interactions.command",
            EVENTS_GUILD,
            EVENTS_MESSAGE,
            "arrakis.jobs.reconcile",
            SYNTHESIS,
            "arrakis.canary.interactions",
            "arrakis.canary.interactions.command",
            "arrakis.canary.events.guild",
        ] {
            assert!(accepts_replays(queue), "{queue}");
        }
        for queue in [
            "",
            "arrakis.jobs",
            "arrakis.jobs.",
            DEAD_LETTERS,
            UNROUTED,
            "arrakis.retry.5s",
            "arrakis.ingestor.shard.0",
            "arrakis.ingestor.identify.0",
            "arrakis.interactions.a.b",
            "arrakis.canary.dlq",
            "arrakis.canary.events.message",
            "somebody-elses",
        ] {
            assert!(!accepts_replays(queue), "{queue}");
        }
    }
}
