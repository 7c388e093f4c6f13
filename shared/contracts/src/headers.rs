//! Names of the AMQP headers that carry labels.

/// Contract version of labels and body.
pub const VERSION: &str = "v";
/// Shard the event came on.
pub const SHARD: &str = "shard";
/// Number of shards in all.
pub const SHARDS: &str = "shards";
/// Gateway session id.
pub const SESSION: &str = "session";
/// Sequence number in the session.
pub const SEQ: &str = "seq";
/// Guild id, when the event has one.
pub const GUILD: &str = "guild";
/// When the ingestor received the frame: microseconds since 1970 on the ingestor's clock.
pub const RECEIVED_US: &str = "received_us";
/// Discord's clock minus the ingestor's, in milliseconds, from the `Date` header of `GET /gateway/bot`.
pub const CLOCK_OFFSET_MS: &str = "clock_offset_ms";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// How many times handling was tried and failed; ours, since brokers count differently.
pub const ATTEMPTS: &str = "attempts";
/// How often it was given to a consumer that died over it or gave it back, where the queue does not count (classic queues); ours.
pub const RETURNS: &str = "returns";
/// Why the last attempt failed.
pub const LAST_ERROR: &str = "last_error";
/// Routing key the message was first published with.
pub const ORIGIN_KEY: &str = "origin_key";
/// Queue the message was consumed from.
pub const ORIGIN_QUEUE: &str = "origin_queue";
/// When it was dead-lettered: milliseconds since 1970.
pub const DEAD_AT_MS: &str = "dead_at_ms";
/// Whether the failure was permanent (`permanent`) or retries ran out (`exhausted`) or nothing could read it (`unreadable`).
pub const DEAD_REASON: &str = "dead_reason";
/// How many times an operator replayed it.
pub const REPLAYS: &str = "replays";
