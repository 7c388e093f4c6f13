//! Every fail point there is. A test compares the list with `docs/faults.md` and with the sources.

/// A place in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// `<service>.<seam>`, or `<service>.guard.<guard>` for what can be passed over.
    pub name: &'static str,
    /// Where it is, and what its `[…]` may name.
    pub meaning: &'static str,
}

const fn point(name: &'static str, meaning: &'static str) -> Point {
    Point { name, meaning }
}

/// All of them.
pub const POINTS: &[Point] = &[
    point(
        "ingestor.received",
        "a dispatch is read and nothing is published yet [event name]",
    ),
    point(
        "ingestor.published",
        "a message is handed to the broker and not confirmed [routing key]",
    ),
    point("ingestor.confirmed", "a confirmation came and is not worked in yet"),
    point(
        "ingestor.checkpointed",
        "session and sequence number are kept in the broker",
    ),
    point(
        "ingestor.guard.resume",
        "a session is never resumed: each connection identifies anew",
    ),
    point(
        "ingestor.guard.fatal",
        "a fatal close code is taken for one that passes",
    ),
    point(
        "ingestor.guard.resume_limit",
        "a session is resumed without end, however often it fails",
    ),
    point("ingestor.guard.gap", "a lost session is not counted"),
    point("ingestor.guard.budget", "the session-start budget is not looked at"),
    point(
        "worker.consumed",
        "a message is delivered and nothing is done with it [routing key, message id, queue]",
    ),
    point(
        "worker.handling",
        "inside the handler, where it is guarded [routing key, message id, queue]",
    ),
    point(
        "worker.failing",
        "the handler fails instead of handling; armed by `skip` [routing key, message id, queue]",
    ),
    point("worker.running", "a command is about to run, its defer sent [command]"),
    point(
        "worker.handled",
        "the handler is done, nothing is acknowledged [routing key, message id, queue]",
    ),
    point(
        "worker.settling",
        "a copy for retry or dead letters is confirmed, the original not acknowledged [queue]",
    ),
    point("worker.acked", "the broker was told [routing key, message id, queue]"),
    point("worker.committing", "a tenant's transaction is about to be committed"),
    point("worker.committed", "a tenant's transaction is committed"),
    point("worker.calling", "a call to Discord is about to be sent [route]"),
    point("worker.called", "Discord has answered a call [route]"),
    point("worker.guard.inbox", "a claim in the inbox always succeeds"),
    point("worker.guard.done", "the shortcut past done events never knows one"),
    point("worker.guard.expiry", "three seconds are never over"),
    point("worker.guard.limit", "handlers may take for ever"),
    point("worker.guard.panic", "a panic ends the process"),
    point(
        "worker.guard.isolation",
        "what came back is begun beside everything else, and its returns are not counted",
    ),
    point(
        "worker.guard.attempts",
        "attempts are not counted: what fails is tried for ever",
    ),
    point(
        "worker.guard.unreadable",
        "what cannot be read is tried again at once instead of parked",
    ),
    point("worker.guard.version", "labels of an unknown version are read as ours"),
    point(
        "worker.guard.stale_ack",
        "an acknowledgement that came too late counts as one that arrived",
    ),
    point(
        "worker.guard.give_back",
        "what is held at SIGTERM is neither finished nor given back: the process leaves",
    ),
    point(
        "worker.guard.tenant",
        "a transaction's tenant is the one that its connection had first",
    ),
    point("broker.guard.reconnect", "a lost connection is not made again"),
    point(
        "broker.guard.blocked",
        "nobody notices that the broker takes no messages",
    ),
    point(
        "broker.guard.confirm",
        "what is sent counts as confirmed: nobody waits for the broker's word",
    ),
    point("broker.guard.refused", "what the broker refuses counts as confirmed"),
    point("broker.guard.unroutable", "what no queue wanted counts as confirmed"),
    point(
        "broker.guard.redeclare",
        "queues and bindings that went missing are not declared again",
    ),
    point(
        "broker.guard.lease",
        "the lock of a lease is neither taken nor checked before publishing",
    ),
    point("broker.guard.topology", "a topology that differs is taken as it is"),
    point(
        "worker.guard.ack",
        "messages are acknowledged when they are delivered, not when they are done",
    ),
    point(
        "worker.guard.retry_wait",
        "what failed is given back at once instead of waiting in a retry queue",
    ),
    point(
        "worker.guard.passing",
        "a failure of Postgres that passes is taken for one that stays",
    ),
    point(
        "worker.guard.breaker",
        "everybody waits for a connection while there are none",
    ),
    point("worker.guard.clock", "Discord's clock is taken to be ours"),
    point(
        "worker.guard.compare",
        "commands are registered whether they differ or not",
    ),
    point(
        "worker.guard.under_way",
        "a claim without a result counts as abandoned, however young it is",
    ),
    point(
        "worker.guard.removed",
        "that the worker itself removed an original response is forgotten",
    ),
    point(
        "runtime.guard.connections",
        "a listener's first connections keep their places for ever, whatever they send",
    ),
    point("proxy.guard.pause", "a 429's Retry-After is forgotten"),
    point("proxy.guard.repeat", "a POST whose answer was lost is sent again"),
    point(
        "discord.guard.response",
        "a first response that failed is not repeated in place",
    ),
    point("proxy.guard.token", "a 401 is passed on and makes no token dead"),
    point("proxy.guard.budget", "the budget of invalid requests has no end"),
    point("proxy.guard.terminal", "what Discord refused for good is sent again"),
    point("proxy.guard.share", "without Redis every call goes at once"),
    point(
        "proxy.guard.script",
        "a script that Redis has forgotten is not sent again",
    ),
];
