//! The table: what is done about a failure of a call, by the call's class.

use crate::class::CallClass;
use crate::failure::Failure;

/// What is done after an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The call has its effect. It is a success.
    Success,
    /// Send it again now, after a short pause, while attempts and time are left.
    Repeat {
        /// How the call ends when none are left.
        exhausted: Ending,
    },
    /// It is not sent again now.
    End(Ending),
}

/// How a call ends that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The whole call may be made again later, by the retry of its message, its job or the operator's next run: it did not take
    /// effect, or a second one does no harm.
    RepeatLater,
    /// It may have taken effect, and a second one might do it twice. It is recorded as unknown and never repeated.
    OutcomeUnknown,
    /// It did not take effect and never will. The caller's error says why.
    Refused,
}

impl Ending {
    /// In words for the docs.
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
    /// In words for the docs.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Success => "success".to_owned(),
            Self::Repeat { exhausted } => format!("repeat in place, then {}", exhausted.describe()),
            Self::End(ending) => ending.describe().to_owned(),
        }
    }
}

/// The table. One attempt alone; [`crate::Attempts`] adds what earlier attempts of the same call may have done.
#[must_use]
pub const fn decide(class: CallClass, failure: Failure) -> Decision {
    use CallClass::{Idempotent, Once, TimeBound};
    use Decision::{End, Repeat, Success};
    use Ending::{OutcomeUnknown, Refused, RepeatLater};
    match (class, failure) {
        (TimeBound, Failure::AlreadyAcknowledged) => Success,
        (Idempotent | Once, Failure::AlreadyAcknowledged) => End(Refused),
        (Idempotent | TimeBound | Once, Failure::InteractionOver | Failure::Gone | Failure::Refused) => End(Refused),
        // Not carried out. The discord-proxy asks Discord about the token before the call is made again.
        (Idempotent | Once, Failure::Unauthorized) => End(RepeatLater),
        // A first response carries no bot token: what is refused is the interaction's own.
        (TimeBound, Failure::Unauthorized) => End(Refused),
        (Idempotent | TimeBound | Once, Failure::RateLimited | Failure::NotSent) => Repeat { exhausted: RepeatLater },
        (
            Idempotent,
            Failure::ServerError | Failure::ConnectionLost | Failure::NoAnswer | Failure::UnreadableAnswer,
        ) => Repeat { exhausted: RepeatLater },
        (TimeBound, Failure::ServerError | Failure::ConnectionLost | Failure::NoAnswer | Failure::UnreadableAnswer) => {
            Repeat {
                exhausted: OutcomeUnknown,
            }
        }
        (Once, Failure::ServerError | Failure::ConnectionLost | Failure::NoAnswer | Failure::UnreadableAnswer) => {
            End(OutcomeUnknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_once_call_that_may_have_landed_is_never_repeated() {
        for failure in Failure::ALL {
            let decision = decide(CallClass::Once, failure);
            if failure.may_have_landed() {
                assert_eq!(decision, Decision::End(Ending::OutcomeUnknown), "{failure:?}");
            } else {
                assert_ne!(decision, Decision::End(Ending::OutcomeUnknown), "{failure:?}");
            }
        }
    }

    #[test]
    fn what_was_certainly_not_carried_out_is_never_unknown() {
        for class in CallClass::ALL {
            for failure in Failure::ALL.into_iter().filter(|failure| !failure.may_have_landed()) {
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
    fn an_idempotent_call_is_never_unknown() {
        for failure in Failure::ALL {
            let text = decide(CallClass::Idempotent, failure).describe();
            assert!(!text.contains("unknown"), "{failure:?}: {text}");
        }
    }
}
