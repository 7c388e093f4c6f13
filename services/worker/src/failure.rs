//! Failing is a choice, and it is made here: try again, give up, or let go.
//!
//! Every error that reaches a consumer becomes one of these; the tables below say which, so that no handler decides by
//! accident.

use std::fmt;

use arrakis_broker::Verdict;
use arrakis_causes::causes;
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_db::DbError;
use arrakis_discord::Error as DiscordError;
use arrakis_runtime::fail_point;

/// What to do with a message whose handling failed.
#[derive(Debug)]
pub enum Failure {
    /// The same message may succeed later: after 5, 25 and 125 s, then it is a dead letter.
    Retry(anyhow::Error),
    /// Trying again cannot help: a dead letter at once.
    Permanent(anyhow::Error),
    /// Nobody needs it any more: the member left, the token expired. Logged, counted, acknowledged.
    Drop(String),
}

impl Failure {
    /// A failure that passes, in words.
    pub fn retry(why: impl fmt::Display) -> Self {
        Self::Retry(anyhow::anyhow!("{why}"))
    }

    /// A failure that stays, in words.
    pub fn permanent(why: impl fmt::Display) -> Self {
        Self::Permanent(anyhow::anyhow!("{why}"))
    }

    /// Something of no more use, in words.
    pub fn drop(why: impl Into<String>) -> Self {
        Self::Drop(why.into())
    }

    /// Name for metrics.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Permanent(_) => "permanent",
            Self::Drop(_) => "drop",
        }
    }

    /// Says what was being done.
    #[must_use]
    pub fn while_doing(self, what: &'static str) -> Self {
        match self {
            Self::Retry(error) => Self::Retry(error.context(what)),
            Self::Permanent(error) => Self::Permanent(error.context(what)),
            Self::Drop(reason) => Self::Drop(reason),
        }
    }
}

/// The error with its causes, on one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(error) | Self::Permanent(error) => f.write_str(&causes(error.as_ref())),
            Self::Drop(reason) => f.write_str(reason),
        }
    }
}

/// What the consumer does about a failure.
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
            // Only a call that must not be made twice ends so: the dead letter is the record.
            DiscordError::OutcomeUnknown(_) => Self::Permanent(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn discords_errors_are_sorted() {
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
    fn a_failure_says_what_was_done_and_why_it_failed() {
        let failure = Failure::retry("connection refused").while_doing("giving a role");
        assert_eq!(failure.to_string(), "giving a role: connection refused");
    }
}
