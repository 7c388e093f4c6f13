//! What can go wrong with a call, as far as a caller does something different about it.

use std::fmt;
use std::time::Duration;

use arrakis_causes::causes;

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// What the call was about does not exist (any more): 404, or a code that begins "Unknown …" (10003 channel, 10007
    /// member, 10011 role, 10062 interaction).
    #[error("gone: {message} (code {code})")]
    Gone {
        /// Discord's code, 0 where the answer had none.
        code: u64,
        /// Discord's words.
        message: String,
    },
    /// 40060: somebody acknowledged this interaction already, which for us is an earlier attempt of our own.
    #[error("the interaction has been acknowledged already (code 40060)")]
    AlreadyAcknowledged,
    /// 50027: the interaction's token is past its fifteen minutes.
    #[error("the interaction's token has expired (code 50027)")]
    TokenExpired,
    /// 403, with the code that says why: 50001 no access, 50007 takes no direct messages, 50013 permissions or a role above
    /// the bot's.
    #[error("forbidden: {message} (code {code})")]
    Forbidden {
        /// Discord's code, 0 where the answer had none.
        code: u64,
        /// Discord's words.
        message: String,
    },
    /// 429, from Discord or from a proxy where the call waited as long as it might.
    #[error("rate limited; come back in {} ms", retry_after.as_millis())]
    RateLimited {
        /// How long to stay away.
        retry_after: Duration,
    },
    /// Discord or every proxy is out of reach or failing. The call did not take effect, or repeating it does no harm: worth
    /// another try later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A call that must not be made twice (a first response, a creation) may or may not have taken effect: it was answered 5xx or
    /// not at all. A call that may be repeated never ends so; it is [`Error::Unavailable`].
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// Discord, or twilight's checks before sending, refused the content. The same call will be refused again.
    #[error("invalid: {message} (code {code}){}", Fields(fields))]
    Invalid {
        /// Discord's code (50035 for a form), 0 where we refused it ourselves.
        code: u64,
        /// Discord's words, or the check's.
        message: String,
        /// Each field at fault.
        fields: Vec<FieldError>,
    },
    /// The proxy refused this service: wrong credential, or a route that its allow-list lacks. A matter of configuration.
    #[error("the discord-proxy refused the call: {0}")]
    Refused(String),
    /// The answer was a success whose body cannot be read by this build. Repeating the call does no harm.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

/// One field of a form that Discord refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where it is, as in `embeds.0.title`.
    pub path: String,
    /// Discord's code, such as `BASE_TYPE_MAX_LENGTH`.
    pub code: String,
    /// Discord's words.
    pub message: String,
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

    /// Whether the same call may be made again later, and may succeed then without anybody changing anything.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unavailable(_) | Self::Unreadable(_)
        )
    }

    /// A refusal by our own checks, before anything was sent.
    pub(crate) fn unsendable(why: impl fmt::Display) -> Self {
        Self::Invalid {
            code: 0,
            message: why.to_string(),
            fields: Vec::new(),
        }
    }
}

impl From<twilight_http::Error> for Error {
    fn from(error: twilight_http::Error) -> Self {
        // twilight keeps the reason in the source ("embed title is 300 characters long …") and a category in the error.
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
