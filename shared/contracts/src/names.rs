//! Names of exchanges and queues. `rabbitmq/definitions.json` says the same; a test of the broker crate compares them.

/// Topic exchange that takes the ingestor's events.
pub const EVENTS: &str = "arrakis.events";
/// Fanout exchange and queue for events that no queue wanted.
pub const UNROUTED: &str = "arrakis.unrouted";
/// Queue of interactions: members wait here.
pub const INTERACTIONS: &str = "arrakis.interactions";
/// Queue of member and server events.
pub const EVENTS_GUILD: &str = "arrakis.events.guild";
/// Queue of chat messages.
pub const EVENTS_MESSAGE: &str = "arrakis.events.message";
/// Topic exchange of jobs; each kind has a queue `arrakis.jobs.{kind}`.
pub const JOBS: &str = "arrakis.jobs";
/// Queue of bulk changes to servers.
pub const SYNTHESIS: &str = "discord-synthesis";
/// Exchange and queue of what failed for good.
pub const DEAD_LETTERS: &str = "arrakis.dlq";

/// Waits of the three retries, in seconds, in order.
pub const RETRY_SECONDS: [u32; 3] = [5, 25, 125];

/// Fanout exchange and queue of one retry: `arrakis.retry.5s`.
pub fn retry(seconds: u32) -> String {
    format!("arrakis.retry.{seconds}s")
}

/// Last-value queue with a shard's session, and lease on it.
pub fn shard(shard: u32) -> String {
    format!("arrakis.ingestor.shard.{shard}")
}

/// Exclusive queue that exists while the connection of a lease's holder lasts: `queue` is the lease's.
pub fn lease_lock(queue: &str) -> String {
    format!("{queue}.lock")
}

/// Queue that serialises identifies of one `max_concurrency` bucket across processes.
pub fn identify_bucket(bucket: u32) -> String {
    format!("arrakis.ingestor.identify.{bucket}")
}

/// Whether a dead letter may be put back into this queue: workers consume it. A letter says by itself where it came from, and the
/// other queues hold what no letter may get into, such as an ingestor's session.
#[must_use]
pub fn takes_replays(queue: &str) -> bool {
    let of_family = |family: &str| {
        let rest = queue.strip_prefix(family).and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|name| !name.is_empty() && !name.contains('.'))
    };
    [INTERACTIONS, EVENTS_GUILD, EVENTS_MESSAGE, SYNTHESIS].contains(&queue)
        || of_family(INTERACTIONS)
        || of_family(JOBS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_back_to_queues_of_workers_only() {
        for queue in [
            INTERACTIONS,
            "arrakis.interactions.command",
            EVENTS_GUILD,
            EVENTS_MESSAGE,
            "arrakis.jobs.reconcile",
            SYNTHESIS,
        ] {
            assert!(takes_replays(queue), "{queue}");
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
            "somebody-elses",
        ] {
            assert!(!takes_replays(queue), "{queue}");
        }
    }
}
