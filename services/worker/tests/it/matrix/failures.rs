//! The failures that the matrix injects, and the expected outcome of each by the class of the call.

use arrakis_discord_http::{CallClass, Failure};
use arrakis_emulator_client::Fault;

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// The call succeeds.
    Success,
    /// The call fails, and is repeated later by its message, job or run.
    RepeatLater,
    /// The outcome is unknown; the call is never repeated.
    Unknown,
    /// The call is refused.
    Refused,
}

impl CallOutcome {
    /// Text for the docs.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RepeatLater => "repeat later",
            Self::Unknown => "outcome unknown",
            Self::Refused => "refused",
        }
    }
}

/// Where a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTarget {
    /// In the emulator, with this fault.
    Emulator(&'static str),
    /// In the emulator, with a proxy of its own, which keeps the token status apart from other cases.
    OwnProxy(&'static str),
    /// A proxy for an address without a listener.
    Unreachable,
}

/// A failure of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureCase {
    pub name: &'static str,
    pub failure: Failure,
    pub target: FaultTarget,
    /// Whether the failed call takes effect.
    pub effect: bool,
    /// Whether every attempt fails, or only the first.
    pub lasting: bool,
}

const fn once(name: &'static str, failure: Failure, effect: bool, fault: &'static str) -> FailureCase {
    FailureCase {
        name,
        failure,
        target: FaultTarget::Emulator(fault),
        effect,
        lasting: false,
    }
}

const fn lasting(name: &'static str, failure: Failure, effect: bool, fault: &'static str) -> FailureCase {
    FailureCase {
        lasting: true,
        ..once(name, failure, effect, fault)
    }
}

/// Every failure, before and after the effect.
pub const FAILURES: [FailureCase; 24] = [
    lasting("403", Failure::Refused, false, r#"{"kind":"rest_status","status":403}"#),
    lasting("404", Failure::Gone, false, r#"{"kind":"rest_status","status":404}"#),
    FailureCase {
        target: FaultTarget::OwnProxy(r#"{"kind":"rest_status","status":401}"#),
        ..once("401", Failure::Unauthorized, false, "")
    },
    once(
        "429",
        Failure::RateLimited,
        false,
        r#"{"kind":"rest_rate_limit","retry_after":0.2}"#,
    ),
    once(
        "429 with a wait of 1 s",
        Failure::RateLimited,
        false,
        r#"{"kind":"rest_rate_limit","retry_after":1.0}"#,
    ),
    once(
        "429 three times",
        Failure::RateLimited,
        false,
        r#"{"kind":"rest_rate_limit","retry_after":0.05,"count":3}"#,
    ),
    once(
        "500 before the effect",
        Failure::ServerError,
        false,
        r#"{"kind":"rest_status","status":500}"#,
    ),
    once(
        "502 before the effect",
        Failure::ServerError,
        false,
        r#"{"kind":"rest_status","status":502}"#,
    ),
    once(
        "502 after the effect",
        Failure::ServerError,
        true,
        r#"{"kind":"rest_status","status":502,"after_effect":true}"#,
    ),
    once(
        "504 after the effect",
        Failure::ServerError,
        true,
        r#"{"kind":"rest_status","status":504,"after_effect":true}"#,
    ),
    lasting(
        "503 before the effect, lasting",
        Failure::ServerError,
        false,
        r#"{"kind":"rest_status","status":503}"#,
    ),
    lasting(
        "502 after the effect, lasting",
        Failure::ServerError,
        true,
        r#"{"kind":"rest_status","status":502,"after_effect":true}"#,
    ),
    FailureCase {
        name: "not sent: connection refused",
        failure: Failure::NotSent,
        target: FaultTarget::Unreachable,
        effect: false,
        lasting: true,
    },
    once(
        "connection reset before the effect",
        Failure::ConnectionLost,
        false,
        r#"{"kind":"rest_reset"}"#,
    ),
    once(
        "connection reset after the effect",
        Failure::ConnectionLost,
        true,
        r#"{"kind":"rest_reset","after_effect":true}"#,
    ),
    once(
        "connection closed before the effect",
        Failure::ConnectionLost,
        false,
        r#"{"kind":"rest_lost_answer","after_effect":false}"#,
    ),
    once(
        "connection closed after the effect",
        Failure::ConnectionLost,
        true,
        r#"{"kind":"rest_lost_answer"}"#,
    ),
    once(
        "response cut off before the effect",
        Failure::ConnectionLost,
        false,
        r#"{"kind":"rest_half_answer","after_effect":false}"#,
    ),
    once(
        "response cut off after the effect",
        Failure::ConnectionLost,
        true,
        r#"{"kind":"rest_half_answer"}"#,
    ),
    once(
        "no response, before the effect",
        Failure::NoResponse,
        false,
        r#"{"kind":"rest_lost_answer","mode":"hang","after_effect":false}"#,
    ),
    once(
        "no response, after the effect",
        Failure::NoResponse,
        true,
        r#"{"kind":"rest_lost_answer","mode":"hang"}"#,
    ),
    once(
        "response body takes longer than the attempt",
        Failure::NoResponse,
        true,
        r#"{"kind":"rest_slow_body","ms":30000}"#,
    ),
    once(
        "200 with HTML, before the effect",
        Failure::UnreadableResponse,
        false,
        r#"{"kind":"rest_garbage","after_effect":false}"#,
    ),
    once(
        "200 with HTML, after the effect",
        Failure::UnreadableResponse,
        true,
        r#"{"kind":"rest_garbage"}"#,
    ),
];

impl FailureCase {
    /// The expected outcome of a call of this class. It does not use the table in the code, so that it checks the table.
    pub fn expected(&self, class: CallClass) -> CallOutcome {
        use CallClass::{Idempotent, Once, TimeBound};
        match (self.failure, class) {
            (Failure::Refused | Failure::Gone, _) | (Failure::Unauthorized, TimeBound) => CallOutcome::Refused,
            (Failure::Unauthorized | Failure::NotSent, _) => CallOutcome::RepeatLater,
            (Failure::RateLimited, _) => CallOutcome::Success,
            (_, Once) => CallOutcome::Unknown,
            (_, Idempotent) if self.lasting => CallOutcome::RepeatLater,
            (_, TimeBound) if self.lasting => CallOutcome::Unknown,
            (_, Idempotent | TimeBound) => CallOutcome::Success,
        }
    }

    /// Expected number of effects of a call of this class, minimum and maximum. An idempotent call may take effect again, with the same
    /// result.
    pub fn effects(&self, class: CallClass) -> (usize, usize) {
        let effect = usize::from(self.effect);
        match (self.expected(class), class) {
            (CallOutcome::Success, CallClass::Idempotent) => (1, 2),
            (CallOutcome::Success, CallClass::TimeBound | CallClass::Once) => (1, 1),
            (CallOutcome::RepeatLater, CallClass::Idempotent) if self.effect => (1, usize::MAX),
            (CallOutcome::RepeatLater | CallOutcome::Refused, _) => (0, 0),
            (CallOutcome::Unknown, _) => (effect, effect),
        }
    }

    /// The fault for the emulator's control API, for calls with this method, route and part of the path.
    pub fn fault(&self, method: &str, route: &str, path: &str) -> Option<Fault> {
        let (FaultTarget::Emulator(fault) | FaultTarget::OwnProxy(fault)) = self.target else {
            return None;
        };
        let fault: Fault = serde_json::from_str(fault).unwrap();
        let fault = fault.method(method).route(route).path(path);
        let count = fault.count.or((!self.lasting).then_some(1));
        Some(Fault { count, ..fault })
    }

    /// Whether the failed call takes effect and its caller receives no response.
    pub fn has_unknown_effect(&self) -> bool {
        self.effect && !self.lasting && self.failure.may_have_taken_effect()
    }
}
