//! The table: what is done about a failure of a call, by the call's class.

use crate::class::CallClass;
use crate::failure::Failure;

/// What is done after an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The call took effect: it is a success.
    Success,
    /// Send it again now, after a short pause, while attempts and time are left.
    Repeat {
        /// How the call ends when none are left.
        exhausted: Ending,
    },
    /// The call ends; it is not sent again now.
    End(Ending),
}

/// How a call that did not succeed ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The call may be made again later, by the retry of its message, its job or the operator's next run: it did not take effect, or
    /// a second call has no further effect.
    RepeatLater,
    /// The call may have taken effect, and a second call could have a second effect. It is recorded as unknown and never repeated.
    OutcomeUnknown,
    /// The call did not take effect, and the same call will be refused again. The caller's error has the reason.
    Refused,
}

impl Ending {
    /// The text for this ending in `docs/failures.md`.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::RepeatLater => "repeat later",
            Self::OutcomeUnknown => "outcome unknown",
            Self::Refused => "refuse",
        }
    }
}

impl Decision {
    /// The text for this decision in `docs/failures.md`.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Success => "success".to_owned(),
            Self::Repeat { exhausted } => format!("repeat in place, then {}", exhausted.describe()),
            Self::End(ending) => ending.describe().to_owned(),
        }
    }
}

/// The table: what is done about the failure of a single attempt. [`crate::Attempts`] also takes earlier attempts of the same call
/// into account.
#[must_use]
pub const fn decide(class: CallClass, failure: Failure) -> Decision {
    use CallClass::{Idempotent, Once, TimeBound};
    use Decision::{End, Repeat, Success};
    use Ending::{OutcomeUnknown, Refused, RepeatLater};
    match (class, failure) {
        (TimeBound, Failure::AlreadyAcknowledged) => Success,
        (Idempotent | Once, Failure::AlreadyAcknowledged) => End(Refused),
        (Idempotent | TimeBound | Once, Failure::InteractionExpired | Failure::Gone | Failure::Refused) => End(Refused),
        // Without effect. The discord-proxy checks the token before the call is made again.
        (Idempotent | Once, Failure::Unauthorized) => End(RepeatLater),
        // A first response carries no bot token: Discord refuses the interaction's token.
        (TimeBound, Failure::Unauthorized) => End(Refused),
        (Idempotent | TimeBound | Once, Failure::RateLimited | Failure::NotSent) => Repeat { exhausted: RepeatLater },
        (
            Idempotent,
            Failure::ServerError | Failure::ConnectionLost | Failure::NoResponse | Failure::UnreadableResponse,
        ) => Repeat { exhausted: RepeatLater },
        (
            TimeBound,
            Failure::ServerError | Failure::ConnectionLost | Failure::NoResponse | Failure::UnreadableResponse,
        ) => Repeat {
            exhausted: OutcomeUnknown,
        },
        (Once, Failure::ServerError | Failure::ConnectionLost | Failure::NoResponse | Failure::UnreadableResponse) => {
            End(OutcomeUnknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_call_that_may_have_taken_effect_is_never_repeated() {
        for failure in Failure::ALL {
            let decision = decide(CallClass::Once, failure);
            if failure.may_have_taken_effect() {
                assert_eq!(decision, Decision::End(Ending::OutcomeUnknown), "{failure:?}");
            } else {
                assert_ne!(decision, Decision::End(Ending::OutcomeUnknown), "{failure:?}");
            }
        }
    }

    #[test]
    fn failure_without_effect_is_never_unknown() {
        for class in CallClass::ALL {
            for failure in Failure::ALL
                .into_iter()
                .filter(|failure| !failure.may_have_taken_effect())
            {
                let unknown = matches!(
                    decide(class, failure),
                    Decision::End(Ending::OutcomeUnknown)
                        | Decision::Repeat {
                            exhausted: Ending::OutcomeUnknown
                        }
                );
                assert!(!unknown, "{class} {failure:?}");
            }
        }
    }

    #[test]
    fn idempotent_call_is_never_unknown() {
        for failure in Failure::ALL {
            let text = decide(CallClass::Idempotent, failure).describe();
            assert!(!text.contains("unknown"), "{failure:?}: {text}");
        }
    }
}
