//! Tier 2: the score service, an HTTP API that rates wallets. `docs/score-service.md` defines it.

mod client;
mod wire;

pub(crate) use client::ScoreClient;

use std::time::Duration;

use crate::answer::DegradedBecause;

/// Why the score service gave no rating. Contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreFailure {
    /// The circuit breaker is open: no request was sent.
    #[error("the circuit breaker is open")]
    BreakerOpen,
    /// No complete response within the time limit.
    #[error("no complete response within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// No connection, or it was lost.
    #[error("request failed: {0}")]
    Transport(String),
    /// The service refuses the key.
    #[error("HTTP {0}: the score service refuses SCORE_API_KEY")]
    Unauthorized(u16),
    /// Another HTTP status than 200.
    #[error("HTTP {0}")]
    Status(u16),
    /// The response is larger than the limit.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// The body is not what the API defines, or describes another wallet.
    #[error("malformed response: {0}")]
    Malformed(String),
    /// The service has no data of this token: a valid response.
    #[error("the service has no data of this token")]
    NotCovered,
}

impl ScoreFailure {
    /// The failure's name: the label `outcome` of `arrakis_worker_score_requests_total`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker_open",
            Self::TimedOut(_) => "timed_out",
            Self::Transport(_) => "transport",
            Self::Unauthorized(_) => "unauthorized",
            Self::Status(_) => "status",
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
            Self::NotCovered => "not_covered",
        }
    }

    /// Why an answer is degraded by this failure.
    pub(crate) const fn because(&self) -> DegradedBecause {
        match self {
            Self::BreakerOpen => DegradedBecause::BreakerOpen,
            Self::TimedOut(_) => DegradedBecause::Late,
            Self::NotCovered => DegradedBecause::NotCovered,
            _ => DegradedBecause::Failed,
        }
    }
}
