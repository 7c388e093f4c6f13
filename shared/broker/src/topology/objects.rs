//! The exchanges, queues and bindings. To add one, add it here with its reason, and to `rabbitmq/README.md`.

use arrakis_contracts::{JobKind, names, routing};

use super::{Argument, ArgumentValue, Binding, Exchange, ExchangeKind, Queue, QueueKind, Topology};
use crate::settings::Priorities;

/// Time between two IDENTIFYs of a `max_concurrency` bucket, in milliseconds: Discord's five seconds and a margin for the network.
pub const IDENTIFY_SLOT_MS: i64 = 5_500;

const WEEK_MS: i64 = 7 * 24 * 3_600 * 1_000;
const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// Bytes of the bodies in a queue of the shadow workers: 128 MiB.
const SHADOW_BYTES: i64 = 128 << 20;

const fn argument(name: &'static str, value: ArgumentValue, reason: &'static str) -> Argument {
    Argument { name, value, reason }
}

const fn integer(name: &'static str, value: i64, reason: &'static str) -> Argument {
    argument(name, ArgumentValue::Integer(value), reason)
}

const fn text(name: &'static str, value: &'static str, reason: &'static str) -> Argument {
    argument(name, ArgumentValue::Text(value), reason)
}

pub(super) fn topology(priorities: Priorities) -> Topology {
    let mut topology = Topology {
        exchanges: Vec::new(),
        queues: Vec::new(),
        bindings: Vec::new(),
        priorities,
    };
    dead_letters(&mut topology);
    events(&mut topology);
    match priorities {
        Priorities::Classic => interactions_in_one_queue(&mut topology),
        Priorities::Classes => interactions_by_class(&mut topology),
    }
    jobs(&mut topology);
    retries(&mut topology);
    canary(&mut topology);
    topology
}

/// A copy of each queue whose messages stable workers hand over to canary workers. They are published by queue name, so no binding exists.
fn canary(topology: &mut Topology) {
    let handed_over = [names::INTERACTIONS, names::EVENTS_GUILD];
    let is_handed_over = |queue: &&Queue| {
        let below = |name: &&str| queue.name == **name || queue.name.starts_with(&format!("{name}."));
        handed_over.iter().any(below)
    };
    let copies = topology.queues.iter().filter(is_handed_over).map(|queue| Queue {
        name: names::canary(&queue.name),
        kind: queue.kind,
        arguments: queue.arguments.clone(),
        reason: "messages of servers that the canary workers serve; the same options as the queue of the stable workers, which hand them over",
    });
    let copies: Vec<Queue> = copies.collect();
    topology.queues.extend(copies);
}

/// The queues of the shadow workers, of the same bindings as the queues they copy. No part of [`topology`]: shadow workers declare them, and the
/// broker deletes them once no shadow worker consumes them.
pub(super) fn shadow(topology: &Topology) -> Topology {
    let mut shadow = Topology {
        exchanges: Vec::new(),
        queues: Vec::new(),
        bindings: Vec::new(),
        priorities: topology.priorities,
    };
    let copied = |queue: &str| {
        let below = |name: &str| queue == name || queue.starts_with(&format!("{name}."));
        below(names::INTERACTIONS) || below(names::EVENTS_GUILD)
    };
    for queue in topology.queues.iter().filter(|queue| copied(&queue.name)) {
        shadow.queues.push(Queue {
            name: names::shadow(&queue.name),
            kind: QueueKind::Classic,
            arguments: vec![
                integer(
                    "x-max-length",
                    2_000,
                    "shadow workers that are too slow lose the oldest messages, which nobody waits for",
                ),
                integer(
                    "x-max-length-bytes",
                    SHADOW_BYTES,
                    "a server's event has up to a megabyte, and copies must not fill the broker's disk, which would stop every publish",
                ),
                integer(
                    "x-message-ttl",
                    60_000,
                    "the answer of an older message is not compared",
                ),
                integer("x-expires", 120_000, "without shadow workers nothing is copied"),
            ],
            reason: "copies of messages for the shadow workers, which answer them to nobody",
        });
    }
    for binding in topology.bindings.iter().filter(|binding| copied(&binding.queue)) {
        shadow.bindings.push(Binding {
            queue: names::shadow(&binding.queue),
            ..binding.clone()
        });
    }
    shadow
}

fn dead_letters(topology: &mut Topology) {
    topology.fanout(
        names::DEAD_LETTERS,
        "receives messages that are not retried any more, with any routing key",
    );
    topology.quorum(
        names::DEAD_LETTERS,
        vec![
            integer("x-message-ttl", WEEK_MS, "seven days to examine and replay it"),
            integer(
                "x-delivery-limit",
                1_000_000,
                "listing requeues letters, which counts as a delivery; RabbitMQ 4 would drop them after 20",
            ),
        ],
        "messages that are not retried any more, with the reason; a quorum queue because these are the last copies",
    );
    topology.bind(names::DEAD_LETTERS, names::DEAD_LETTERS, "");
    topology.fanout(
        names::UNROUTED,
        "the alternate exchange: receives events that no other queue is bound for",
    );
    topology.quorum(
        names::UNROUTED,
        Vec::new(),
        "events without a binding are kept here for an operator instead of lost",
    );
    topology.bind(names::UNROUTED, names::UNROUTED, "");
}

fn events(topology: &mut Topology) {
    topology.exchanges.push(Exchange {
        name: names::EVENTS.to_owned(),
        kind: ExchangeKind::Topic,
        arguments: vec![text(
            "alternate-exchange",
            names::UNROUTED,
            "an event that no queue is bound for is kept instead of dropped",
        )],
        reason: "receives every event of the ingestor; queues select by routing key",
    });
    topology.quorum(
        names::EVENTS_GUILD,
        safe_arguments(),
        "member and server events: a lost one would leave a member without a role, so they must survive the loss of a disk",
    );
    topology.bind(names::EVENTS, names::EVENTS_GUILD, "member.#");
    topology.bind(names::EVENTS, names::EVENTS_GUILD, "guild.#");
    topology.quorum(
        names::EVENTS_MESSAGE,
        vec![
            integer("x-max-length", 10_000, "a burst of messages must not fill the broker's memory or disk"),
            text("x-overflow", "drop-head", "chat messages may be lost, the oldest first"),
            integer("x-delivery-limit", 10, "a poison message must not kill consumers for ever"),
        ],
        "chat messages have their own queue, so that a burst does not delay joins; no dead-lettering, or each dropped message would be a dead letter",
    );
    topology.bind(names::EVENTS, names::EVENTS_MESSAGE, "message.#");
}

fn interactions_in_one_queue(topology: &mut Topology) {
    topology.queues.push(Queue {
        name: names::INTERACTIONS.to_owned(),
        kind: QueueKind::Classic,
        arguments: vec![
            integer(
                "x-max-priority",
                i64::from(routing::MAX_PRIORITY),
                "commands before autocomplete before buttons; in RabbitMQ 3.10 to 4.2 only classic queues have ten priorities",
            ),
            text(
                "x-dead-letter-exchange",
                names::DEAD_LETTERS,
                "a command that a consumer rejects by mistake is kept",
            ),
        ],
        reason: "interactions expire after three seconds, so priorities matter more than storage on disk",
    });
    topology.bind(names::EVENTS, names::INTERACTIONS, "interaction.#");
}

fn interactions_by_class(topology: &mut Topology) {
    let classes: [(&str, &[&str]); 3] = [
        ("command", &["interaction.command.#"]),
        ("autocomplete", &["interaction.autocomplete.#"]),
        (
            "component",
            &["interaction.button.#", "interaction.modal.#", "interaction.other.#"],
        ),
    ];
    for (class, keys) in classes {
        let name = format!("{}.{class}", names::INTERACTIONS);
        topology.quorum(
            &name,
            safe_arguments(),
            "one queue for each class, for brokers without priorities in durable replicated queues (quorum queues before 4.3, Amazon MQ)",
        );
        for key in keys {
            topology.bind(names::EVENTS, &name, key);
        }
    }
}

fn jobs(topology: &mut Topology) {
    topology.exchanges.push(Exchange {
        name: names::JOBS.to_owned(),
        kind: ExchangeKind::Topic,
        arguments: Vec::new(),
        reason: "routes jobs by kind; no alternate exchange, so that the publisher receives an error for a kind without a queue",
    });
    for kind in JobKind::ALL {
        let reason = match kind {
            JobKind::Synthesis => {
                "bulk changes to servers have their own queue: a consumer takes five at a time, ten a second"
            }
            _ => "each kind of background work has its own queue, so that a slow kind does not delay others",
        };
        topology.quorum(&kind.queue(), safe_arguments(), reason);
        topology.bind(names::JOBS, &kind.queue(), kind.name());
    }
}

fn retries(topology: &mut Topology) {
    for seconds in names::RETRY_SECONDS {
        let name = names::retry(seconds);
        topology.fanout(
            &name,
            "messages are published with the name of their queue as routing key, which a fanout exchange does not use",
        );
        topology.quorum(
            &name,
            vec![
                integer(
                    "x-message-ttl",
                    i64::from(seconds) * 1_000,
                    "one wait for each queue: with a TTL for each message, a message waits for those before it with a longer one",
                ),
                text(
                    "x-dead-letter-exchange",
                    "",
                    "the default exchange routes by queue name, so the message returns to the queue it came from and to no other",
                ),
                text("x-dead-letter-strategy", "at-least-once", "a confirmed message must not be lost on its way back"),
                text("x-overflow", "reject-publish", "at-least-once dead-lettering requires it"),
            ],
            "a message waits here and returns to its queue; no plugin is needed",
        );
        topology.bind(&name, &name, "");
    }
}

/// Arguments of queues whose messages must not be lost.
fn safe_arguments() -> Vec<Argument> {
    vec![
        text(
            "x-dead-letter-exchange",
            names::DEAD_LETTERS,
            "messages that the broker dead-letters are kept with the other dead letters",
        ),
        text(
            "x-dead-letter-strategy",
            "at-least-once",
            "at-most-once loses the message when its target is unavailable",
        ),
        text(
            "x-overflow",
            "reject-publish",
            "at-least-once dead-lettering requires it, and a full queue refuses messages instead of dropping them",
        ),
        integer(
            "x-delivery-limit",
            10,
            "a poison message becomes a dead letter; messages delivered with it, which are counted too, have enough deliveries left",
        ),
    ]
}

/// The queue that stores the state of a shard and is the lease on it ([`crate::Lease`]).
pub fn shard_state_queue(shard: u32, priorities: Priorities) -> Queue {
    Queue {
        name: names::shard(shard),
        kind: match priorities {
            Priorities::Classic => QueueKind::Classic,
            Priorities::Classes => QueueKind::Quorum,
        },
        arguments: vec![
            integer("x-max-length", 1, "only the newest value is needed"),
            text("x-overflow", "drop-head", "a new value replaces the old one"),
            argument(
                "x-single-active-consumer",
                ArgumentValue::Flag(true),
                "the consumer that receives the value holds the lease; a standby receives it within milliseconds",
            ),
        ],
        reason: "gateway session, resume URL and confirmed sequence number of a shard; its consumer holds the lease on the shard",
    }
}

/// The queue that spaces the IDENTIFYs of a `max_concurrency` bucket across processes ([`crate::take_slot`]).
pub fn identify_slot_queue(bucket: u32) -> Queue {
    Queue {
        name: names::identify_bucket(bucket),
        kind: QueueKind::Classic,
        arguments: vec![
            integer("x-max-length", 1, "one IDENTIFY at a time"),
            text(
                "x-overflow",
                "reject-publish",
                "the second process is refused and retries",
            ),
            integer(
                "x-message-ttl",
                IDENTIFY_SLOT_MS,
                "the slot becomes free by time, even if its holder died",
            ),
            integer("x-expires", DAY_MS, "the queue of an unused bucket is deleted"),
        ],
        reason: "a message in it means that an IDENTIFY of this bucket was sent within the last five seconds",
    }
}

impl Topology {
    fn fanout(&mut self, name: &str, reason: &'static str) {
        self.exchanges.push(Exchange {
            name: name.to_owned(),
            kind: ExchangeKind::Fanout,
            arguments: Vec::new(),
            reason,
        });
    }

    fn quorum(&mut self, name: &str, arguments: Vec<Argument>, reason: &'static str) {
        self.queues.push(Queue {
            name: name.to_owned(),
            kind: QueueKind::Quorum,
            arguments,
            reason,
        });
    }

    fn bind(&mut self, exchange: &str, queue: &str, key: &str) {
        self.bindings.push(Binding {
            exchange: exchange.to_owned(),
            queue: queue.to_owned(),
            key: key.to_owned(),
        });
    }
}
