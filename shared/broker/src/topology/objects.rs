//! The data. To add an object: a line here, its reason beside it, and the same in `rabbitmq/README.md`.

use arrakis_contracts::{JobKind, names, routing};

use super::{Argument, Binding, Exchange, ExchangeKind, Queue, QueueKind, Topology, Value};
use crate::settings::Priorities;

/// How long one identify keeps its `max_concurrency` bucket, in milliseconds: Discord's five seconds and a margin for the
/// way there.
pub const IDENTIFY_SLOT_MS: i64 = 5_500;

const WEEK_MS: i64 = 7 * 24 * 3_600 * 1_000;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

const fn argument(name: &'static str, value: Value, reason: &'static str) -> Argument {
    Argument { name, value, reason }
}

const fn integer(name: &'static str, value: i64, reason: &'static str) -> Argument {
    argument(name, Value::Integer(value), reason)
}

const fn text(name: &'static str, value: &'static str, reason: &'static str) -> Argument {
    argument(name, Value::Text(value), reason)
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
    topology
}

fn dead_letters(topology: &mut Topology) {
    topology.fanout(
        names::DEAD_LETTERS,
        "takes whatever failed for good, whatever its routing key says",
    );
    topology.quorum(
        names::DEAD_LETTERS,
        vec![
            integer(
                "x-message-ttl",
                WEEK_MS,
                "seven days to look at it and replay it; after that it is history",
            ),
            integer(
                "x-delivery-limit",
                1_000_000,
                "reading the list gives letters back, which counts as a delivery; 4.x would drop them after 20",
            ),
        ],
        "what failed for good, with why; a quorum queue since this is the last copy",
    );
    topology.bind(names::DEAD_LETTERS, names::DEAD_LETTERS, "");
    topology.fanout(
        names::UNROUTED,
        "the alternate exchange: takes events that no binding wanted",
    );
    topology.quorum(
        names::UNROUTED,
        Vec::new(),
        "a missing binding must lose nothing: events wait here for an operator",
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
            "an event that no queue wants is kept instead of dropped",
        )],
        reason: "takes every event from the ingestor; queues pick by routing key",
    });
    topology.quorum(
        names::EVENTS_GUILD,
        safe_arguments(),
        "member and server events: losing one leaves a member without a role, so they must survive a disk",
    );
    topology.bind(names::EVENTS, names::EVENTS_GUILD, "member.#");
    topology.bind(names::EVENTS, names::EVENTS_GUILD, "guild.#");
    topology.quorum(
        names::EVENTS_MESSAGE,
        vec![
            integer("x-max-length", 10_000, "a burst of chat must not fill the broker's memory or disk"),
            text("x-overflow", "drop-head", "chat may be lost, and the newest is worth most"),
            integer("x-delivery-limit", 10, "a message that takes its consumer down each time must not do so for ever"),
        ],
        "chat in a lane of its own, so that a burst never delays a join; no dead-lettering, or every dropped message would become a dead letter",
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
                "commands before autocomplete before buttons; only classic queues have ten levels on 3.10 to 4.2",
            ),
            text(
                "x-dead-letter-exchange",
                names::DEAD_LETTERS,
                "a consumer that rejects by mistake must not lose a member's command",
            ),
        ],
        reason: "members wait here: an interaction is worth three seconds, so order counts for more than fsync",
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
            "one queue per class where priorities in one queue are not to be had (quorum queues before 4.3, Amazon MQ)",
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
        reason: "takes jobs by kind; no alternate exchange, so that the publisher itself is told of a kind without a queue",
    });
    for kind in JobKind::ALL {
        let reason = match kind {
            JobKind::Synthesis => {
                "bulk changes to servers in a lane of their own: a consumer takes five at a time, ten a second"
            }
            _ => "background work of one kind in its own lane, so that a slow kind delays no other",
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
            "published to with the origin queue's name as routing key, which a fanout leaves alone",
        );
        topology.quorum(
            &name,
            vec![
                integer(
                    "x-message-ttl",
                    i64::from(seconds) * 1_000,
                    "one fixed wait for a queue: a TTL per message blocks behind the longest one",
                ),
                text(
                    "x-dead-letter-exchange",
                    "",
                    "the default exchange routes by the key, so the message goes straight back to the queue it came from and to no other",
                ),
                text("x-dead-letter-strategy", "at-least-once", "the way back must not lose what the way in has confirmed"),
                text("x-overflow", "reject-publish", "at-least-once dead-lettering requires it"),
            ],
            "waits, then gives the message back to its origin; no plugin needed",
        );
        topology.bind(&name, &name, "");
    }
}

/// What every queue has whose messages must not be lost.
fn safe_arguments() -> Vec<Argument> {
    vec![
        text(
            "x-dead-letter-exchange",
            names::DEAD_LETTERS,
            "what the broker itself gives up is kept with the other dead letters",
        ),
        text(
            "x-dead-letter-strategy",
            "at-least-once",
            "at-most-once loses the letter when its target is away",
        ),
        text(
            "x-overflow",
            "reject-publish",
            "at-least-once dead-lettering requires it, and a full queue tells its publisher instead of dropping",
        ),
        integer(
            "x-delivery-limit",
            10,
            "a poison message that takes its consumer down each time ends as a dead letter; its neighbours, delivered beside it, have room",
        ),
    ]
}

/// The queue that keeps a shard's session and is the lease on it. See `docs/decisions` on leases.
pub fn shard_state(shard: u32, priorities: Priorities) -> Queue {
    Queue {
        name: names::shard(shard),
        kind: match priorities {
            Priorities::Classic => QueueKind::Classic,
            Priorities::Classes => QueueKind::Quorum,
        },
        arguments: vec![
            integer("x-max-length", 1, "only the newest value counts"),
            text("x-overflow", "drop-head", "a new value replaces the old one"),
            argument(
                "x-single-active-consumer",
                Value::Flag(true),
                "whoever is delivered the value holds the shard; the standby is handed it in milliseconds",
            ),
        ],
        reason: "session, resume address and confirmed sequence number of a shard; its consumer holds the shard",
    }
}

/// The queue that spaces identifies of one `max_concurrency` bucket, across processes and crashes.
pub fn identify_slot(bucket: u32) -> Queue {
    Queue {
        name: names::identify_bucket(bucket),
        kind: QueueKind::Classic,
        arguments: vec![
            integer("x-max-length", 1, "one identify at a time"),
            text(
                "x-overflow",
                "reject-publish",
                "who comes second is refused and asks again",
            ),
            integer(
                "x-message-ttl",
                IDENTIFY_SLOT_MS,
                "the slot frees itself, whatever became of its taker",
            ),
            integer("x-expires", DAY_MS, "a bucket that nobody uses any more goes away"),
        ],
        reason: "a message in it says that an identify of this bucket was sent within the last five seconds",
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
