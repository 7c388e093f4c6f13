//! The protocol between callers and the discord-proxy: Discord's own paths, and these headers.
//!
//! A caller sends `Authorization: Bearer {credential}`. The proxy removes it, checks the caller's allow-list, adds
//! `Authorization: Bot {token}` where Discord requires it, and returns Discord's response. A response of the proxy's own has the
//! header [`PROXY_ERROR`] and a body in the form of Discord's errors.

use std::fmt;
use std::str::FromStr;

/// Request header: the tenant of the call, as guild id. The fair queue shares a limit among tenants.
pub const TENANT: &str = "x-arrakis-tenant";
/// Request header: the urgency of the call, see [`Urgency`].
pub const URGENCY: &str = "x-arrakis-urgency";
/// Request header: the call class, `idempotent`, `time-bound` or `once` (`arrakis-discord-http`). The proxy derives the class from
/// method, route and body; the header can only make it stricter (`once`).
pub const CALL_CLASS: &str = "x-arrakis-call-class";
/// Request header: how long the caller waits, in milliseconds. The proxy responds within this time.
pub const DEADLINE_MS: &str = "x-arrakis-deadline-ms";
/// Response header: the error of a response that the proxy made itself, see [`ProxyError`].
pub const PROXY_ERROR: &str = "x-arrakis-proxy-error";
/// Response header: how many times the proxy sent the request to Discord.
pub const ATTEMPTS: &str = "x-arrakis-attempts";

/// Order in which waiting calls are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A member waits for the result; sent first.
    Interactive,
    /// Role changes of a member; sent second.
    Sync,
    /// Bulk work; sent last.
    Bulk,
}

impl Urgency {
    /// Value of the header [`URGENCY`].
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
            .ok_or_else(|| format!("{URGENCY} is \"{text}\"; expected interactive, sync or bulk"))
    }
}

/// Why the proxy responded itself instead of returning Discord's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// 401: the credential is missing or unknown.
    UnknownCaller,
    /// 403: the caller's allow-list does not contain the endpoint.
    NotAllowed,
    /// 400: a header or the path is invalid.
    BadRequest,
    /// 413: the body is larger than Discord accepts. The request was not sent to Discord.
    BodyTooLarge,
    /// 429: the call waited until its deadline; see `Retry-After`. The request was not sent to Discord.
    WaitedTooLong,
    /// 503: this caller, route and tenant, or all callers together, caused too many invalid requests (responses 401, 403 and
    /// 429). The request was not sent to Discord.
    InvalidRequestBudget,
    /// 503: Discord refused the bot token. Requests that need it are not sent.
    TokenDead,
    /// 503: the kill switch is on: no write is sent to Discord. The request was not sent.
    KillSwitch,
    /// 503: the community of the call is frozen: no role and no structure of its server is changed until the freeze ends. The request was
    /// not sent to Discord.
    Frozen,
    /// 503: this replica is shutting down. The request was not sent to Discord; another replica can send it.
    ShuttingDown,
    /// 502: Discord is unreachable. The request had no effect.
    Unreachable,
    /// 504: the call may have taken effect: Discord responded with 5xx, or its response was lost. A call of class `once` was not
    /// repeated; others were repeated without success.
    OutcomeUnknown,
}

impl ProxyError {
    /// Every error.
    pub const ALL: [Self; 12] = [
        Self::UnknownCaller,
        Self::NotAllowed,
        Self::BadRequest,
        Self::BodyTooLarge,
        Self::WaitedTooLong,
        Self::InvalidRequestBudget,
        Self::TokenDead,
        Self::KillSwitch,
        Self::Frozen,
        Self::ShuttingDown,
        Self::Unreachable,
        Self::OutcomeUnknown,
    ];

    /// Value of the header [`PROXY_ERROR`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownCaller => "unknown-caller",
            Self::NotAllowed => "not-allowed",
            Self::BadRequest => "bad-request",
            Self::BodyTooLarge => "body-too-large",
            Self::WaitedTooLong => "waited-too-long",
            Self::InvalidRequestBudget => "invalid-request-budget",
            Self::TokenDead => "token-dead",
            Self::KillSwitch => "kill-switch",
            Self::Frozen => "frozen",
            Self::ShuttingDown => "shutting-down",
            Self::Unreachable => "unreachable",
            Self::OutcomeUnknown => "outcome-unknown",
        }
    }

    /// HTTP status of the response.
    pub const fn status(self) -> u16 {
        match self {
            Self::UnknownCaller => 401,
            Self::NotAllowed => 403,
            Self::BadRequest => 400,
            Self::BodyTooLarge => 413,
            Self::WaitedTooLong => 429,
            Self::InvalidRequestBudget | Self::TokenDead | Self::KillSwitch | Self::Frozen | Self::ShuttingDown => 503,
            Self::Unreachable => 502,
            Self::OutcomeUnknown => 504,
        }
    }

    /// The error with this header value.
    pub fn from_name(name: &str) -> Option<Self> {
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
            assert_eq!(ProxyError::from_name(error.name()), Some(error));
        }
        for urgency in [Urgency::Interactive, Urgency::Sync, Urgency::Bulk] {
            assert_eq!(urgency.name().parse(), Ok(urgency));
        }
    }
}
