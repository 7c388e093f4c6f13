//! What happens to a message whose handling failed: it is retried, moved to the dead letters, or dropped.
//!
//! Every error that reaches a consumer is converted to a [`Failure`] here, so that all handlers treat it alike.

use std::fmt;

use arrakis_broker::Verdict;
use arrakis_causes::causes;
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_db::DbError;
use arrakis_discord::Error as DiscordError;
use arrakis_runtime::fail_point;

/// Why handling a message failed, by what happens to the message.
#[derive(Debug)]
pub enum Failure {
    /// A temporary error: the message is retried after 5, 25 and 125 s, then it becomes a dead letter.
    Retry(anyhow::Error),
    /// A permanent error: the message becomes a dead letter at once.
    Permanent(anyhow::Error),
    /// The message has no use any more, for this reason (the member left, the token expired): it is logged, counted and
    /// acknowledged.
    Drop(String),
}

/// Records in the span of a message that its handling failed, so that a trace shows it as an error.
pub(crate) fn record_status(span: &tracing::Span, verdict: &Verdict) {
    if matches!(verdict, Verdict::Retry { .. } | Verdict::DeadLetter { .. }) {
        span.record("otel.status_code", "ERROR");
    }
}

impl Failure {
    /// A [`Failure::Retry`] with this text.
    pub fn retry(why: impl fmt::Display) -> Self {
        Self::Retry(anyhow::anyhow!("{why}"))
    }

    /// A [`Failure::Permanent`] with this text.
    pub fn permanent(why: impl fmt::Display) -> Self {
        Self::Permanent(anyhow::anyhow!("{why}"))
    }

    /// A [`Failure::Drop`]: the message has no use any more, for this reason.
    pub fn drop(why: impl Into<String>) -> Self {
        Self::Drop(why.into())
    }

    /// The value of the metrics' label `outcome`.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Permanent(_) => "permanent",
            Self::Drop(_) => "drop",
        }
    }
}

/// The error and its causes, on one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::Permanent(error) => f.write_str(&causes(error.as_ref())),
            Self::Drop(reason) => f.write_str(reason),
        }
    }
}

/// What the consumer does with the message.
impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(_) => Self::Retry {
                error: failure.to_string(),
            },
            Failure::Permanent(_) => Self::DeadLetter {
                reason: DeadLetterReason::Permanent,
                error: failure.to_string(),
            },
            Failure::Drop(why) => Self::Drop { why },
        }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        if error.is_transient() && !fail_point::skips("worker.guard.transient") {
            Self::Retry(error.into())
        } else {
            Self::Permanent(error.into())
        }
    }
}

impl From<DiscordError> for Failure {
    fn from(error: DiscordError) -> Self {
        match &error {
            DiscordError::RateLimited { .. } | DiscordError::Unavailable(_) | DiscordError::Unreadable(_) => {
                Self::Retry(error.into())
            }
            DiscordError::Gone { .. } | DiscordError::AlreadyAcknowledged | DiscordError::TokenExpired => {
                Self::Drop(error.to_string())
            }
            DiscordError::Forbidden { .. } | DiscordError::Invalid { .. } | DiscordError::Refused(_) => {
                Self::Permanent(error.into())
            }
            // Only a call that must not be repeated has an unknown outcome: the dead letter records it.
            DiscordError::OutcomeUnknown(_) => Self::Permanent(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn discord_error_decides_whether_the_message_is_retried() {
        let class = |error: DiscordError| Failure::from(error).class();
        assert_eq!(class(DiscordError::Unavailable("x".to_owned())), "retry");
        assert_eq!(
            class(DiscordError::RateLimited {
                retry_after: Duration::ZERO
            }),
            "retry"
        );
        assert_eq!(class(DiscordError::Unreadable("x".to_owned())), "retry");
        assert_eq!(class(DiscordError::OutcomeUnknown("x".to_owned())), "permanent");
        assert_eq!(class(DiscordError::TokenExpired), "drop");
        let forbidden = DiscordError::Forbidden {
            code: 50013,
            message: "Missing Permissions".to_owned(),
        };
        assert_eq!(class(forbidden), "permanent");
    }

    #[test]
    fn failure_is_printed_with_its_causes() {
        let failure = Failure::Retry(anyhow::anyhow!("connection refused").context("assigning a role"));
        assert_eq!(failure.to_string(), "assigning a role: connection refused");
    }
}
