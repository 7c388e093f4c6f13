//! The failures that the matrix injects, and what each must come to by the class of the call.

use arrakis_discord_http::{CallClass, Failure};
use arrakis_emulator_client::Fault;

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// It succeeds.
    Success,
    /// It fails, and its message, job or run repeats it later.
    RepeatLater,
    /// It fails as unknown, and is never repeated.
    Unknown,
    /// It fails for good.
    Refused,
}

impl Ends {
    /// In words for the docs.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RepeatLater => "repeat later",
            Self::Unknown => "outcome unknown",
            Self::Refused => "refused",
        }
    }
}

/// Where a failure is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The emulator strikes the call with this fault.
    Emulator(&'static str),
    /// The same, behind a proxy of the case's own: what it learns of the token stays with it.
    OwnProxy(&'static str),
    /// Nothing listens at the API's address.
    Nowhere,
}

/// A failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub name: &'static str,
    pub failure: Failure,
    pub place: Place,
    /// Whether the struck call is carried out.
    pub effect: bool,
    /// Whether every attempt is struck, or the first alone.
    pub lasting: bool,
}

const fn once(name: &'static str, failure: Failure, effect: bool, fault: &'static str) -> Row {
    Row {
        name,
        failure,
        place: Place::Emulator(fault),
        effect,
        lasting: false,
    }
}

const fn lasting(name: &'static str, failure: Failure, effect: bool, fault: &'static str) -> Row {
    Row {
        lasting: true,
        ..once(name, failure, effect, fault)
    }
}

/// Every failure, before and after the effect.
pub const ROWS: [Row; 24] = [
    lasting("403", Failure::Refused, false, r#"{"kind":"rest_status","status":403}"#),
    lasting("404", Failure::Gone, false, r#"{"kind":"rest_status","status":404}"#),
    Row {
        place: Place::OwnProxy(r#"{"kind":"rest_status","status":401}"#),
        ..once("401", Failure::Unauthorized, false, "")
    },
    once(
        "429",
        Failure::RateLimited,
        false,
        r#"{"kind":"rest_rate_limit","retry_after":0.2}"#,
    ),
    once(
        "429 that asks for 1 s",
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
    Row {
        name: "not sent: connection refused",
        failure: Failure::NotSent,
        place: Place::Nowhere,
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
        "answer cut off before the effect",
        Failure::ConnectionLost,
        false,
        r#"{"kind":"rest_half_answer","after_effect":false}"#,
    ),
    once(
        "answer cut off after the effect",
        Failure::ConnectionLost,
        true,
        r#"{"kind":"rest_half_answer"}"#,
    ),
    once(
        "no answer, before the effect",
        Failure::NoAnswer,
        false,
        r#"{"kind":"rest_lost_answer","mode":"hang","after_effect":false}"#,
    ),
    once(
        "no answer, after the effect",
        Failure::NoAnswer,
        true,
        r#"{"kind":"rest_lost_answer","mode":"hang"}"#,
    ),
    once(
        "body takes longer than the attempt",
        Failure::NoAnswer,
        true,
        r#"{"kind":"rest_slow_body","ms":30000}"#,
    ),
    once(
        "200 with HTML, before the effect",
        Failure::UnreadableAnswer,
        false,
        r#"{"kind":"rest_garbage","after_effect":false}"#,
    ),
    once(
        "200 with HTML, after the effect",
        Failure::UnreadableAnswer,
        true,
        r#"{"kind":"rest_garbage"}"#,
    ),
];

impl Row {
    /// What a call of this class must come to. Written down here by hand and not asked of the table, so that the one checks the
    /// other.
    pub fn expected(&self, class: CallClass) -> Ends {
        use CallClass::{Idempotent, Once, TimeBound};
        match (self.failure, class) {
            (Failure::Refused | Failure::Gone, _) | (Failure::Unauthorized, TimeBound) => Ends::Refused,
            (Failure::Unauthorized | Failure::NotSent, _) => Ends::RepeatLater,
            (Failure::RateLimited, _) => Ends::Success,
            (_, Once) => Ends::Unknown,
            (_, Idempotent) if self.lasting => Ends::RepeatLater,
            (_, TimeBound) if self.lasting => Ends::Unknown,
            (_, Idempotent | TimeBound) => Ends::Success,
        }
    }

    /// How often a call of this class must have had its effect, at least and at most. An idempotent call may have it again: that
    /// changes nothing.
    pub fn effects(&self, class: CallClass) -> (usize, usize) {
        let struck = usize::from(self.effect);
        match (self.expected(class), class) {
            (Ends::Success, CallClass::Idempotent) => (1, 2),
            (Ends::Success, CallClass::TimeBound | CallClass::Once) => (1, 1),
            (Ends::RepeatLater, CallClass::Idempotent) if self.effect => (1, usize::MAX),
            (Ends::RepeatLater | Ends::Refused, _) => (0, 0),
            (Ends::Unknown, _) => (struck, struck),
        }
    }

    /// The fault for the control API, for this method, route and part of the path.
    pub fn fault(&self, method: &str, route: &str, path: &str) -> Option<Fault> {
        let (Place::Emulator(fault) | Place::OwnProxy(fault)) = self.place else {
            return None;
        };
        let fault: Fault = serde_json::from_str(fault).unwrap();
        let fault = fault.method(method).route(route).path(path);
        let count = fault.count.or((!self.lasting).then_some(1));
        Some(Fault { count, ..fault })
    }

    /// Whether a call that it strikes is carried out, and its caller cannot know.
    pub fn may_have_landed(&self) -> bool {
        self.effect && !self.lasting && self.failure.may_have_landed()
    }
}
