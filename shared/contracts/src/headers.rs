//! Names of AMQP headers.

/// Contract version of labels and body.
pub const VERSION: &str = "v";
/// Shard that received the event.
pub const SHARD: &str = "shard";
/// Total number of shards.
pub const SHARDS: &str = "shards";
/// Id of the gateway session (`session_id` of READY).
pub const SESSION: &str = "session";
/// Sequence number of the dispatch (`s`) in its gateway session.
pub const SEQ: &str = "seq";
/// Guild id, when the event has one.
pub const GUILD: &str = "guild";
/// When the ingestor received the frame: microseconds since 1970 on the ingestor's clock.
pub const RECEIVED_US: &str = "received_us";
/// Discord's clock minus the ingestor's, in milliseconds, from the `Date` header of `GET /gateway/bot`.
pub const CLOCK_OFFSET_MS: &str = "clock_offset_ms";
/// [W3C trace context](https://www.w3.org/TR/trace-context/) of the event, `00-{trace}-{span}-{flags}`.
pub const TRACEPARENT: &str = "traceparent";
/// Number of failed attempts to handle the message. A header of Arrakis, because brokers count differently.
pub const ATTEMPTS: &str = "attempts";
/// Number of redeliveries of a message in a classic queue, which does not count them. A header of Arrakis.
pub const RETURNS: &str = "returns";
/// Error of the last attempt.
pub const LAST_ERROR: &str = "last_error";
/// Routing key with which the message was first published.
pub const ORIGIN_KEY: &str = "origin_key";
/// Queue from which the message was consumed.
pub const ORIGIN_QUEUE: &str = "origin_queue";
/// When the message became a dead letter: milliseconds since 1970.
pub const DEAD_AT_MS: &str = "dead_at_ms";
/// Why the message is a dead letter: see [`crate::dead_letter::DeadLetterReason`].
pub const DEAD_REASON: &str = "dead_reason";
/// Number of times that an operator replayed the message.
pub const REPLAYS: &str = "replays";
