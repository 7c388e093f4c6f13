//! Every fail point there is. A test compares the list with `docs/faults.md` and with the sources.

/// A fail point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailPoint {
    /// `<crate>.<step>`, or `<crate>.guard.<guard>` for a guard that can be skipped. The crate is the one that calls
    /// [`crate::hit`] or [`crate::skips`] with this name.
    pub name: &'static str,
    /// What has happened when it is reached, or what its being skipped changes. In brackets: what `[…]` may name.
    pub meaning: &'static str,
}

const fn point(name: &'static str, meaning: &'static str) -> FailPoint {
    FailPoint { name, meaning }
}

/// All fail points.
pub const POINTS: &[FailPoint] = &[
    point(
        "ingestor.received",
        "a dispatch is read and not yet published [event name]",
    ),
    point(
        "ingestor.checkpointed",
        "gateway session and sequence number are stored in the broker",
    ),
    point(
        "ingestor.guard.resume",
        "a session is never resumed: each gateway connection sends IDENTIFY",
    ),
    point(
        "ingestor.guard.fatal",
        "a fatal close code is treated as a transient one",
    ),
    point(
        "ingestor.guard.resume_limit",
        "RESUME is repeated without limit, however often it fails",
    ),
    point("ingestor.guard.gap", "a lost session is not counted as a gap"),
    point("ingestor.guard.budget", "the session start limit is not checked"),
    point(
        "broker.published",
        "a message is sent to the broker and not confirmed [routing key]",
    ),
    point("broker.confirmed", "a confirmation is received and not yet processed"),
    point(
        "broker.consumed",
        "a message is delivered and not yet handled [routing key, message id, queue]",
    ),
    point(
        "broker.handling",
        "inside the handler, where panics are caught [routing key, message id, queue]",
    ),
    point(
        "broker.failing",
        "the handler fails instead of handling; armed by `skip` [routing key, message id, queue]",
    ),
    point(
        "broker.handled",
        "the handler has returned and nothing is acknowledged [routing key, message id, queue]",
    ),
    point(
        "broker.settling",
        "a copy for retry or dead letters is confirmed, the original not acknowledged [queue]",
    ),
    point(
        "broker.acked",
        "the acknowledgement is sent [routing key, message id, queue]",
    ),
    point("broker.guard.reconnect", "a lost connection is not opened again"),
    point("broker.guard.blocked", "a broker that blocks publishers is not noticed"),
    point("broker.guard.confirm", "a message counts as confirmed once it is sent"),
    point(
        "broker.guard.refused",
        "a message that the broker refuses counts as confirmed",
    ),
    point(
        "broker.guard.unroutable",
        "a message that no queue takes counts as confirmed",
    ),
    point(
        "broker.guard.redeclare",
        "missing queues and bindings are not declared again",
    ),
    point(
        "broker.guard.lease",
        "the lock of a lease is neither taken nor checked before publishing",
    ),
    point("broker.guard.topology", "a topology that differs is accepted"),
    point(
        "broker.guard.ack",
        "messages are acknowledged on delivery, before they are handled",
    ),
    point(
        "broker.guard.retry_wait",
        "a failed message is requeued at once instead of waiting in a retry queue",
    ),
    point("broker.guard.limit", "handlers have no time limit"),
    point("broker.guard.panic", "a panic of a handler ends the process"),
    point(
        "broker.guard.isolation",
        "suspects are handled together with other messages, and their redeliveries are not counted",
    ),
    point(
        "broker.guard.attempts",
        "attempts are not counted: a failing message is retried for ever",
    ),
    point(
        "broker.guard.version",
        "labels of an unknown version are read as the current version",
    ),
    point(
        "broker.guard.stale_ack",
        "a stale acknowledgement counts as one that took effect",
    ),
    point(
        "broker.guard.requeue",
        "at SIGTERM the process exits without finishing or requeueing its messages",
    ),
    point(
        "worker.running",
        "a command is about to run, its defer is sent [command]",
    ),
    point(
        "worker.eligibility.read",
        "a batch of logs is read from the chain and not stored",
    ),
    point(
        "worker.eligibility.storing",
        "a batch of logs is written and not committed",
    ),
    point("worker.eligibility.stored", "a batch of logs is committed"),
    point(
        "worker.eligibility.swapping",
        "a ranking is computed and compared with the chain, and not written",
    ),
    point(
        "worker.eligibility.swapped",
        "a ranking is committed and its tier syncs are not published",
    ),
    point(
        "worker.alerts.dispatched",
        "notification events have their alerts, and none of these is sent",
    ),
    point("worker.alerts.sent", "Discord has an alert, and that is not recorded"),
    point(
        "worker.posts.created",
        "Discord has the message of the live leaderboard, and its id is not stored",
    ),
    point(
        "verification.proven",
        "a presented signature is checked, and nothing is written",
    ),
    point(
        "verification.recording",
        "the session's signature is used and the wallet recorded, and nothing is committed",
    ),
    point(
        "verification.recorded",
        "the wallet is committed, the job's message is not published, and the page has no answer",
    ),
    point(
        "verification.guard.transaction",
        "the use of a session's signature is committed before its wallet is recorded",
    ),
    point(
        "chain.guard.repeat",
        "a request that every endpoint failed is not sent again",
    ),
    point(
        "eligibility.guard.breaker",
        "the circuit breaker of the score service never opens",
    ),
    point(
        "worker.synthesis.calling",
        "a call of a synthesis is about to be sent [method]",
    ),
    point(
        "worker.synthesis.called",
        "the response to a call of a synthesis is received, and the state is not written yet [method]",
    ),
    point(
        "worker.onboard.storing",
        "a wizard's deploy is written and not committed",
    ),
    point(
        "worker.onboard.stored",
        "a wizard's deploy is committed; its session is not updated, and its job is not published",
    ),
    point(
        "worker.backup.read",
        "a scheduled backup has read its server, and what it is to store is not written [task]",
    ),
    point(
        "worker.backup.listed",
        "a scheduled backup is stored and listed, and its run is not completed [task]",
    ),
    point(
        "worker.backup.exported",
        "a live export is stored, and its run is not completed",
    ),
    point(
        "worker.backup.recovered",
        "the retention has completed what killed processes left, and has expired nothing",
    ),
    point(
        "worker.backup.completed",
        "a scheduled run is in the store's schedule, and not in PostgreSQL [task]",
    ),
    point(
        "worker.shadow.written",
        "the object store has a version of a configuration, and the pointer does not name it",
    ),
    point(
        "worker.shadow.pointed",
        "version and pointer are in the object store, and that is not recorded",
    ),
    point("worker.guard.done", "the done marker of an event is never found"),
    point("worker.guard.expiry", "interactions do not expire after three seconds"),
    point("worker.guard.limit", "commands have no time limit"),
    point(
        "worker.guard.unreadable",
        "an unreadable message is retried at once instead of becoming a dead letter",
    ),
    point(
        "worker.guard.transient",
        "a transient failure of PostgreSQL is treated as a permanent one",
    ),
    point(
        "worker.guard.clock",
        "Discord's clock is taken to be equal to the local clock",
    ),
    point(
        "worker.guard.compare",
        "commands are registered even if they do not differ",
    ),
    point(
        "worker.guard.under_way",
        "a claim without a result counts as abandoned, whatever its age",
    ),
    point(
        "worker.guard.removed",
        "an original response that the worker itself deleted is not remembered",
    ),
    point(
        "worker.guard.broken_role",
        "a role that cannot be changed ends the job, with the roles behind it",
    ),
    point(
        "worker.guard.synthesis",
        "the state of a server is not written, and nothing that exists is adopted",
    ),
    point(
        "worker.guard.take_back",
        "stable workers leave what no canary worker takes",
    ),
    point(
        "worker.guard.canary_hold",
        "a step of `canary drive` ends with its second check",
    ),
    point("db.committing", "a tenant transaction is about to be committed"),
    point("db.committed", "a tenant transaction is committed"),
    point("db.guard.inbox", "a claim in the inbox always succeeds"),
    point(
        "db.guard.tenant",
        "a transaction keeps the tenant that its connection had first",
    ),
    point(
        "db.guard.breaker",
        "requests wait for a connection although the circuit breaker is open",
    ),
    point("discord.calling", "a call to Discord is about to be sent [route]"),
    point(
        "discord.called",
        "the response to a call to Discord is received [route]",
    ),
    point(
        "discord.guard.response",
        "the client does not repeat a first response that failed",
    ),
    point(
        "runtime.guard.connections",
        "a listener never closes its first connections, whatever they send",
    ),
    point("proxy.guard.pause", "the `Retry-After` of a 429 is ignored"),
    point("proxy.guard.repeat", "a POST whose response was lost is sent again"),
    point(
        "proxy.guard.response",
        "the proxy does not repeat a first response that failed",
    ),
    point(
        "proxy.guard.token",
        "a 401 is passed on and does not mark the token as refused",
    ),
    point(
        "proxy.guard.kill_switch",
        "neither the kill switch nor the freeze of a community refuses a call",
    ),
    point(
        "proxy.guard.confirmation",
        "writes are sent although nothing confirms that the kill switch is off",
    ),
    point("proxy.guard.budget", "the budget of invalid requests has no limit"),
    point(
        "proxy.guard.terminal",
        "a call that Discord refused permanently is sent again",
    ),
    point("proxy.guard.share", "without Redis every call is sent at once"),
    point(
        "proxy.guard.script",
        "a script that Redis no longer has is not sent again",
    ),
];
