//! Errors of a call, as far as a caller handles them differently.

use std::fmt;
use std::time::Duration;

use arrakis_causes::causes;
pub use arrakis_discord_http::FieldError;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The object of the call does not exist (any more): 404, or an "Unknown …" code (10003 channel, 10007 member, 10011 role, 10062
    /// interaction).
    #[error("gone: {message} (code {code})")]
    Gone {
        /// Discord's error code, 0 where the response had none.
        code: u64,
        /// Discord's text.
        message: String,
    },
    /// 40060: the interaction already has its first response, by an earlier attempt.
    #[error("the interaction has been acknowledged already (code 40060)")]
    AlreadyAcknowledged,
    /// 50027: the interaction's token is older than fifteen minutes.
    #[error("the interaction's token has expired (code 50027)")]
    TokenExpired,
    /// Status 403. The code states the reason: 50001 no access, 50007 the member accepts no direct messages, 50013 missing permissions or a
    /// role above the bot's.
    #[error("forbidden: {message} (code {code})")]
    Forbidden {
        /// Discord's error code, 0 where the response had none.
        code: u64,
        /// Discord's text.
        message: String,
    },
    /// 429 by Discord, or by a proxy where the call waited until its deadline.
    #[error("rate limited; retry after {} ms", retry_after.as_millis())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Discord or every proxy cannot be reached or fails. The call did not take effect, or a second call has no further effect: it may
    /// be repeated later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A call that must not be made twice (a first response, a creation) may or may not have taken effect: 5xx, or no response. A call
    /// that may be repeated is [`Error::Unavailable`] instead.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// Discord, or a check before sending, refused the content. The same call will be refused again.
    #[error("invalid: {message} (code {code}){}", Fields(fields))]
    Invalid {
        /// Discord's error code (50035 for a form), 0 where a check before sending refused it.
        code: u64,
        /// Text of Discord or of the check.
        message: String,
        /// Errors of a form, by field.
        fields: Vec<FieldError>,
    },
    /// A configuration error: the proxy refused the credential or the call (allow-list), or Discord returned 401.
    #[error("the discord-proxy refused the call: {0}")]
    Refused(String),
    /// The response is a success whose body this build cannot read. A second call has no further effect.
    #[error("the response cannot be read: {0}")]
    Unreadable(String),
}

impl Error {
    /// Short name for metrics and logs.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Gone { .. } => "gone",
            Self::AlreadyAcknowledged => "already_acknowledged",
            Self::TokenExpired => "token_expired",
            Self::Forbidden { .. } => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Invalid { .. } => "invalid",
            Self::Refused(_) => "refused",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Whether the same call may be repeated later, and may succeed then without a change by an operator.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unavailable(_) | Self::Unreadable(_)
        )
    }

    /// Whether the same call may succeed later: it failed for a transient reason, or the proxy refuses it until an operator has changed its
    /// configuration.
    pub const fn may_succeed_later(&self) -> bool {
        self.is_transient() || matches!(self, Self::Refused(_))
    }

    /// A refusal by a check before sending.
    pub(crate) fn unsendable(reason: impl fmt::Display) -> Self {
        Self::Invalid {
            code: 0,
            message: reason.to_string(),
            fields: Vec::new(),
        }
    }
}

impl From<twilight_http::Error> for Error {
    fn from(error: twilight_http::Error) -> Self {
        // twilight's error is a category; the reason is in its source ("embed title is 300 characters long …").
        Self::unsendable(causes(&error))
    }
}

struct Fields<'a>(&'a [FieldError]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            let before = if index == 0 { ": " } else { "; " };
            write!(f, "{before}{} {} ({})", field.path, field.message, field.code)?;
        }
        Ok(())
    }
}
