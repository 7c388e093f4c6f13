//! The protocol between callers and the discord-proxy: Discord's own paths, and these headers.
//!
//! A caller sends `Authorization: Bearer {credential}`. The proxy takes it off, checks the caller's allow-list, adds
//! `Authorization: Bot {token}` only where Discord wants one, and answers what Discord answered. An answer that the proxy
//! made by itself carries [`PROXY_ERROR`] and a body in Discord's shape.

use std::fmt;
use std::str::FromStr;

/// Which tenant a call is for: the guild's id. Waiters take turns by tenant.
pub const TENANT: &str = "x-arrakis-tenant";
/// How urgent a call is: see [`Urgency`].
pub const URGENCY: &str = "x-arrakis-urgency";
/// What a second call would do: `idempotent`, `time-bound` or `once` (`arrakis-discord-http`). The proxy derives the class from
/// method, route and body; the header can make a call stricter (`once`), never laxer.
pub const CALL_CLASS: &str = "x-arrakis-call-class";
/// How long the caller waits, in milliseconds; the proxy gives up no later.
pub const DEADLINE_MS: &str = "x-arrakis-deadline-ms";
/// On answers made by the proxy itself: see [`ProxyError`].
pub const PROXY_ERROR: &str = "x-arrakis-proxy-error";
/// On every answer: how many times the proxy asked Discord.
pub const ATTEMPTS: &str = "x-arrakis-attempts";

/// Who goes first when calls wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A member is waiting.
    Interactive,
    /// A member's roles.
    Sync,
    /// Bulk work.
    Bulk,
}

impl Urgency {
    /// Name, as it travels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Sync => "sync",
            Self::Bulk => "bulk",
        }
    }
}

impl FromStr for Urgency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Interactive, Self::Sync, Self::Bulk]
            .into_iter()
            .find(|urgency| urgency.name() == text)
            .ok_or_else(|| format!("{URGENCY} is \"{text}\"; it is interactive, sync or bulk"))
    }
}

/// Why the proxy answered by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// 401: no credential, or an unknown one.
    UnknownCaller,
    /// 403: the caller's allow-list does not have this method and route.
    NotAllowed,
    /// 400: a header or path that cannot be read.
    BadRequest,
    /// 413: the body is larger than Discord would take. Discord was not asked.
    BodyTooLarge,
    /// 429: the call waited as long as it may; `Retry-After` says when to come back. Discord was not asked.
    WaitedTooLong,
    /// 503: too many invalid requests; the cause is stopped for a while. Discord was not asked.
    InvalidRequestBudget,
    /// 503: Discord refused the bot token. Nothing that needs it is sent any more.
    TokenDead,
    /// 503: this replica is leaving. Discord was not asked; another replica answers.
    ShuttingDown,
    /// 502: Discord could not be reached, and nothing can have happened there.
    Unreachable,
    /// 504: the call may have taken effect: Discord answered 5xx, or its answer was lost. A call of the class `once` was not
    /// repeated; others were, without success.
    OutcomeUnknown,
}

impl ProxyError {
    const ALL: [Self; 10] = [
        Self::UnknownCaller,
        Self::NotAllowed,
        Self::BadRequest,
        Self::BodyTooLarge,
        Self::WaitedTooLong,
        Self::InvalidRequestBudget,
        Self::TokenDead,
        Self::ShuttingDown,
        Self::Unreachable,
        Self::OutcomeUnknown,
    ];

    /// Name, as it travels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownCaller => "unknown-caller",
            Self::NotAllowed => "not-allowed",
            Self::BadRequest => "bad-request",
            Self::BodyTooLarge => "body-too-large",
            Self::WaitedTooLong => "waited-too-long",
            Self::InvalidRequestBudget => "invalid-request-budget",
            Self::TokenDead => "token-dead",
            Self::ShuttingDown => "shutting-down",
            Self::Unreachable => "unreachable",
            Self::OutcomeUnknown => "outcome-unknown",
        }
    }

    /// Status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownCaller => 401,
            Self::NotAllowed => 403,
            Self::BadRequest => 400,
            Self::BodyTooLarge => 413,
            Self::WaitedTooLong => 429,
            Self::InvalidRequestBudget | Self::TokenDead | Self::ShuttingDown => 503,
            Self::Unreachable => 502,
            Self::OutcomeUnknown => 504,
        }
    }

    /// Reads a header's value.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.name() == name)
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for error in ProxyError::ALL {
            assert_eq!(ProxyError::named(error.name()), Some(error));
        }
        for urgency in [Urgency::Interactive, Urgency::Sync, Urgency::Bulk] {
            assert_eq!(urgency.name().parse(), Ok(urgency));
        }
    }
}
