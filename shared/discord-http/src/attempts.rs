//! The attempts of one call: the table, and the effects that earlier attempts of the same call may have had.

use http::Method;

use crate::class::CallClass;
use crate::decision::{Decision, Ending, decide};
use crate::failure::Failure;

/// The attempts of one call so far: its class, and whether one of them may have taken effect.
#[derive(Debug, Clone)]
pub struct Attempts {
    class: CallClass,
    deletes: bool,
    reads: bool,
    may_have_taken_effect: bool,
}

impl Attempts {
    /// A call without attempts.
    #[must_use]
    pub fn new(class: CallClass, method: &Method) -> Self {
        Self {
            class,
            deletes: *method == Method::DELETE,
            reads: *method == Method::GET,
            may_have_taken_effect: false,
        }
    }

    /// The call's class.
    #[must_use]
    pub const fn class(&self) -> CallClass {
        self.class
    }

    /// Whether a failed attempt may have taken effect.
    #[must_use]
    pub const fn may_have_taken_effect(&self) -> bool {
        self.may_have_taken_effect
    }

    /// Records that an attempt failed, and decides what is done. Three things differ from the table when an earlier attempt may have
    /// taken effect:
    ///
    /// - A DELETE answered 404 or with the "unknown" code of its object succeeded: the earlier attempt deleted the object.
    /// - A first response that is refused afterwards (10062, 401, 403, 404, …), limited (429) or not sent has an unknown outcome: the
    ///   failure concerns the later attempt only.
    /// - A write of the class "idempotent" that is refused afterwards is repeated later: the next call, alone, shows whether it is
    ///   refused. An object that does not exist is gone, whatever the earlier attempt did.
    pub fn failed(&mut self, failure: Failure) -> Decision {
        let before = self.may_have_taken_effect;
        self.may_have_taken_effect |= failure.may_have_taken_effect();
        let decision = decide(self.class, failure);
        if !before {
            return decision;
        }
        match (self.class, failure, decision) {
            (CallClass::Idempotent, Failure::Gone, _) if self.deletes => Decision::Success,
            (CallClass::TimeBound, _, Decision::Repeat { .. }) => Decision::Repeat {
                exhausted: Ending::OutcomeUnknown,
            },
            (CallClass::TimeBound, _, Decision::End(ending)) => Decision::End(self.revised(ending)),
            (CallClass::Idempotent, Failure::Refused, Decision::End(_)) if !self.reads => {
                Decision::End(Ending::RepeatLater)
            }
            _ => decision,
        }
    }

    /// Corrects `ending`, which one attempt caused while others were in flight. For a first response to an interaction of which
    /// another attempt may have taken effect, the outcome is unknown, since a refusal of one attempt does not describe the
    /// others.
    #[must_use]
    pub fn revised(&self, ending: Ending) -> Ending {
        if self.class == CallClass::TimeBound && self.may_have_taken_effect {
            Ending::OutcomeUnknown
        } else {
            ending
        }
    }

    /// The ending when the deadline passes. `in_flight`: whether an attempt is in flight. Idempotent calls, and calls of which no
    /// attempt can have taken effect, are repeated later; all others have an unknown outcome.
    #[must_use]
    pub fn deadline_passed(&self, in_flight: bool) -> Ending {
        if self.class != CallClass::Idempotent && (in_flight || self.may_have_taken_effect) {
            Ending::OutcomeUnknown
        } else {
            Ending::RepeatLater
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn after(class: CallClass, method: &Method, failures: &[Failure]) -> Decision {
        let mut attempts = Attempts::new(class, method);
        let mut last = Decision::Success;
        for failure in failures {
            last = attempts.failed(*failure);
        }
        last
    }

    #[test]
    fn delete_answered_404_after_a_lost_response_is_success() {
        let twice = |method, first| after(CallClass::Idempotent, method, &[first, Failure::Gone]);
        assert_eq!(twice(&Method::DELETE, Failure::ServerError), Decision::Success);
        assert_eq!(twice(&Method::DELETE, Failure::ConnectionLost), Decision::Success);
        assert_eq!(
            twice(&Method::DELETE, Failure::NotSent),
            Decision::End(Ending::Refused),
            "no earlier attempt deleted it"
        );
        assert_eq!(
            twice(&Method::PATCH, Failure::ServerError),
            Decision::End(Ending::Refused),
            "an edit of a deleted object did not succeed"
        );
    }

    /// Every DELETE of Discord's OpenAPI document whose object has an "unknown" code, with that code.
    const DELETES: [(&str, u64); 28] = [
        ("applications/1/commands/2", 10_063),
        ("applications/1/emojis/2", 10_014),
        ("applications/1/entitlements/2", 10_029),
        ("applications/1/guilds/2/commands/3", 10_063),
        ("channels/1", 10_003),
        ("channels/1/messages/2", 10_008),
        ("channels/1/messages/pins/2", 10_008),
        ("channels/1/messages/2/reactions/x/@me", 10_014),
        ("channels/1/messages/2/reactions/x/3", 10_014),
        ("channels/1/permissions/2", 10_009),
        ("channels/1/pins/2", 10_008),
        ("channels/1/recipients/2", 10_013),
        ("channels/1/thread-members/2", 10_007),
        ("guilds/1/auto-moderation/rules/2", 10_066),
        ("guilds/1/bans/2", 10_026),
        ("guilds/1/emojis/2", 10_014),
        ("guilds/1/integrations/2", 10_005),
        ("guilds/1/members/2", 10_007),
        ("guilds/1/members/2/roles/3", 10_011),
        ("guilds/1/roles/2", 10_011),
        ("guilds/1/scheduled-events/2", 10_070),
        ("guilds/1/soundboard-sounds/2", 10_097),
        ("guilds/1/stickers/2", 10_060),
        ("guilds/1/templates/x", 10_057),
        ("invites/x", 10_006),
        ("stage-instances/1", 10_067),
        ("webhooks/1", 10_015),
        ("webhooks/1/t", 10_015),
    ];

    #[test]
    fn delete_whose_object_is_unknown_after_a_lost_response_is_success() {
        let answered = |path: &str, code| {
            let segments: Vec<&str> = path.split('/').collect();
            Failure::of_discord(&Method::DELETE, &segments, StatusCode::NOT_FOUND, code).unwrap()
        };
        let lost = Failure::ALL
            .into_iter()
            .filter(|failure| failure.may_have_taken_effect());
        for first in lost {
            for (path, code) in DELETES {
                let again = answered(path, code);
                assert_eq!(
                    after(CallClass::Idempotent, &Method::DELETE, &[first, again]),
                    Decision::Success,
                    "{path} {code} after {first:?}"
                );
                assert_eq!(
                    after(CallClass::Idempotent, &Method::DELETE, &[again]),
                    Decision::End(Ending::Refused),
                    "{path}: no earlier attempt deleted it"
                );
            }
            assert_eq!(
                after(
                    CallClass::Idempotent,
                    &Method::DELETE,
                    &[first, answered("guilds/1/roles/2", 10_004)]
                ),
                Decision::End(Ending::RepeatLater),
                "without access to the server the role may still exist"
            );
            assert_eq!(
                after(
                    CallClass::Idempotent,
                    &Method::DELETE,
                    &[first, answered("webhooks/1/t/messages/@original", 10_015)]
                ),
                Decision::End(Ending::Refused),
                "the token expired, and the message may still exist"
            );
        }
    }

    #[test]
    fn expired_first_response_after_a_lost_one_is_unknown() {
        let ends = |failures: &[Failure]| after(CallClass::TimeBound, &Method::POST, failures);
        assert_eq!(ends(&[Failure::InteractionExpired]), Decision::End(Ending::Refused));
        assert_eq!(
            ends(&[Failure::NotSent, Failure::InteractionExpired]),
            Decision::End(Ending::Refused)
        );
        assert_eq!(
            ends(&[Failure::ServerError, Failure::InteractionExpired]),
            Decision::End(Ending::OutcomeUnknown)
        );
        assert_eq!(
            ends(&[Failure::NoResponse, Failure::NotSent]),
            Decision::Repeat {
                exhausted: Ending::OutcomeUnknown
            }
        );
        assert_eq!(
            ends(&[Failure::NoResponse, Failure::AlreadyAcknowledged]),
            Decision::Success
        );
    }

    #[test]
    fn refusal_after_an_attempt_that_may_have_taken_effect_is_not_final() {
        let refusals = [
            Failure::InteractionExpired,
            Failure::Gone,
            Failure::Refused,
            Failure::Unauthorized,
        ];
        for first in Failure::ALL.into_iter().filter(|first| first.may_have_taken_effect()) {
            for refusal in refusals {
                assert_eq!(
                    after(CallClass::TimeBound, &Method::POST, &[first, refusal]),
                    Decision::End(Ending::OutcomeUnknown),
                    "{first:?} {refusal:?}"
                );
                assert_ne!(
                    after(CallClass::Idempotent, &Method::PUT, &[first, Failure::Refused]),
                    Decision::End(Ending::Refused),
                    "{first:?}"
                );
            }
            assert_eq!(
                after(CallClass::Idempotent, &Method::GET, &[first, Failure::Refused]),
                Decision::End(Ending::Refused),
                "a read has no effect"
            );
        }
        for refusal in refusals {
            let decision = after(CallClass::TimeBound, &Method::POST, &[Failure::NotSent, refusal]);
            assert_eq!(decision, Decision::End(Ending::Refused), "{refusal:?}");
        }
    }

    #[test]
    fn passed_deadline_is_unknown_only_where_a_second_call_has_an_effect() {
        for (class, sent, wanted) in [
            (CallClass::Idempotent, true, Ending::RepeatLater),
            (CallClass::TimeBound, true, Ending::OutcomeUnknown),
            (CallClass::TimeBound, false, Ending::RepeatLater),
            (CallClass::Once, true, Ending::OutcomeUnknown),
            (CallClass::Once, false, Ending::RepeatLater),
        ] {
            assert_eq!(
                Attempts::new(class, &Method::POST).deadline_passed(sent),
                wanted,
                "{class} {sent}"
            );
        }
    }
}
