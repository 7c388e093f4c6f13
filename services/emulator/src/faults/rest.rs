//! The effect of an armed fault on a REST call: whether the call takes effect, and the response.

use std::time::Duration;

use super::{DeadHost, FaultKind};

/// The fault of one REST call. `rest` applies it before anything else but recording.
#[derive(Clone, Debug, PartialEq)]
pub struct RestFault {
    /// Delay before the call is handled.
    pub delay: Duration,
    /// How the call ends after the delay; `None` handles it as usual.
    pub answer: Option<FaultResponse>,
}

/// How a fault ends a call.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultResponse {
    /// Whether the call takes effect before the fault ends it.
    pub after_effect: bool,
    /// What the caller receives.
    pub end: RestFaultEnd,
}

/// What the caller of a call receives to which a fault applies.
#[derive(Clone, Debug, PartialEq)]
pub enum RestFaultEnd {
    /// This status.
    Status(u16),
    /// 429 with this scope (`user`, `global`, `shared`) and `Retry-After` in seconds.
    RateLimited {
        /// `X-RateLimit-Scope`.
        scope: String,
        /// Seconds.
        retry_after: f64,
    },
    /// The connection is closed without a byte.
    Cut,
    /// The connection is reset (TCP RST) without a byte.
    Reset,
    /// The connection stays open without a byte.
    Hang,
    /// Status, headers and half of the body, then the connection is closed.
    Half,
    /// 200 with a body that is not JSON.
    Garbage,
    /// The usual response, whose body takes this long.
    SlowBody(Duration),
}

impl FaultResponse {
    /// Ends the call without effect.
    #[must_use]
    pub const fn before(end: RestFaultEnd) -> Self {
        Self {
            after_effect: false,
            end,
        }
    }

    /// Ends the call after it took effect.
    #[must_use]
    pub const fn after(end: RestFaultEnd) -> Self {
        Self {
            after_effect: true,
            end,
        }
    }

    const fn when(after_effect: bool, end: RestFaultEnd) -> Self {
        Self { after_effect, end }
    }
}

impl FaultKind {
    /// The end of a REST call: `None` for a fault of the gateway, `Some(None)` for one that only delays.
    pub(super) fn rest(&self) -> Option<Option<FaultResponse>> {
        let answer = match self {
            Self::RestLatency { .. } => return Some(None),
            Self::RestStatus { status } => FaultResponse::before(RestFaultEnd::Status(*status)),
            Self::RestStatusAfterEffect { status } => FaultResponse::after(RestFaultEnd::Status(*status)),
            Self::RestRateLimit { scope, retry_after } => FaultResponse::before(RestFaultEnd::RateLimited {
                scope: scope.clone(),
                retry_after: *retry_after,
            }),
            Self::RestLostAnswer { mode } => FaultResponse::after(dead(*mode)),
            Self::RestNoAnswer { mode } => FaultResponse::before(dead(*mode)),
            Self::RestReset { after_effect } => FaultResponse::when(*after_effect, RestFaultEnd::Reset),
            Self::RestHalfAnswer { after_effect } => FaultResponse::when(*after_effect, RestFaultEnd::Half),
            Self::RestGarbage { after_effect } => FaultResponse::when(*after_effect, RestFaultEnd::Garbage),
            Self::RestSlowBody { ms } => FaultResponse::after(RestFaultEnd::SlowBody(Duration::from_millis(*ms))),
            Self::GatewayNoHeartbeatAck
            | Self::GatewayDuplicateDispatch { .. }
            | Self::GatewayDeadResumeHost { .. }
            | Self::GatewayRefuseResume
            | Self::GatewayResumeAnswer { .. }
            | Self::GatewayIdentifyAnswer { .. } => return None,
        };
        Some(Some(answer))
    }
}

const fn dead(mode: DeadHost) -> RestFaultEnd {
    match mode {
        DeadHost::Refuse => RestFaultEnd::Cut,
        DeadHost::Hang => RestFaultEnd::Hang,
    }
}
