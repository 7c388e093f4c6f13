//! The attempts of one call: the table, and what earlier attempts of the same call may have done.

use http::Method;

use crate::class::CallClass;
use crate::decision::{Decision, Ending, decide};
use crate::failure::Failure;

/// What is known of the attempts of one call.
#[derive(Debug, Clone)]
pub struct Attempts {
    class: CallClass,
    deletes: bool,
    reads: bool,
    may_have_landed: bool,
}

impl Attempts {
    /// No attempt yet.
    #[must_use]
    pub fn new(class: CallClass, method: &Method) -> Self {
        Self {
            class,
            deletes: *method == Method::DELETE,
            reads: *method == Method::GET,
            may_have_landed: false,
        }
    }

    /// The call's class.
    #[must_use]
    pub const fn class(&self) -> CallClass {
        self.class
    }

    /// Whether a failed attempt may have taken effect.
    #[must_use]
    pub const fn may_have_landed(&self) -> bool {
        self.may_have_landed
    }

    /// An attempt failed. Three things differ from the table when an earlier attempt may have landed:
    ///
    /// - A DELETE that is answered 404 or with an "unknown" code of its object succeeded: the earlier attempt deleted the object.
    /// - A first response that is refused afterwards (10062, 401, 403, 404, …) or not carried out (429, not sent) is unknown, not
    ///   refused: the refusal is about the later attempt alone.
    /// - A write of the class "idempotent" that is refused afterwards is repeated later: the next call alone finds out whether it
    ///   is refused. An object that is gone is gone, whatever the earlier attempt did.
    pub fn failed(&mut self, failure: Failure) -> Decision {
        let before = self.may_have_landed;
        self.may_have_landed |= failure.may_have_landed();
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

    /// The ending of a call of which one attempt ended so, now that all its attempts are known: a refusal, or an attempt without
    /// effect, says nothing about another one that may have landed.
    #[must_use]
    pub fn revised(&self, ending: Ending) -> Ending {
        if self.class == CallClass::TimeBound && self.may_have_landed {
            Ending::OutcomeUnknown
        } else {
            ending
        }
    }

    /// The ending when the deadline passes. `sent`: an attempt is in flight. Idempotent calls, and calls of which no attempt can
    /// have landed, are repeated later; all others have an unknown outcome.
    #[must_use]
    pub fn out_of_time(&self, sent: bool) -> Ending {
        if self.class != CallClass::Idempotent && (sent || self.may_have_landed) {
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
    fn a_404_after_a_lost_delete_is_success() {
        let twice = |method, first| after(CallClass::Idempotent, method, &[first, Failure::Gone]);
        assert_eq!(twice(&Method::DELETE, Failure::ServerError), Decision::Success);
        assert_eq!(twice(&Method::DELETE, Failure::ConnectionLost), Decision::Success);
        assert_eq!(
            twice(&Method::DELETE, Failure::NotSent),
            Decision::End(Ending::Refused),
            "nothing of ours deleted it"
        );
        assert_eq!(
            twice(&Method::PATCH, Failure::ServerError),
            Decision::End(Ending::Refused),
            "an edit of what is gone did not succeed"
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
    fn every_delete_whose_object_is_unknown_after_a_lost_answer_is_success() {
        let answered = |path: &str, code| {
            let segments: Vec<&str> = path.split('/').collect();
            Failure::of_answer(&Method::DELETE, &segments, StatusCode::NOT_FOUND, code).unwrap()
        };
        let lost = Failure::ALL.into_iter().filter(|failure| failure.may_have_landed());
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
                    "{path}: nothing of ours deleted it"
                );
            }
            assert_eq!(
                after(
                    CallClass::Idempotent,
                    &Method::DELETE,
                    &[first, answered("guilds/1/roles/2", 10_004)]
                ),
                Decision::End(Ending::RepeatLater),
                "a bot that left the server does not know whether the role is there"
            );
            assert_eq!(
                after(
                    CallClass::Idempotent,
                    &Method::DELETE,
                    &[first, answered("webhooks/1/t/messages/@original", 10_015)]
                ),
                Decision::End(Ending::Refused),
                "the token is over, and the message may be there"
            );
        }
    }

    #[test]
    fn a_first_response_that_came_too_late_after_a_lost_one_is_unknown() {
        let ends = |failures: &[Failure]| after(CallClass::TimeBound, &Method::POST, failures);
        assert_eq!(ends(&[Failure::InteractionOver]), Decision::End(Ending::Refused));
        assert_eq!(
            ends(&[Failure::NotSent, Failure::InteractionOver]),
            Decision::End(Ending::Refused)
        );
        assert_eq!(
            ends(&[Failure::ServerError, Failure::InteractionOver]),
            Decision::End(Ending::OutcomeUnknown)
        );
        assert_eq!(
            ends(&[Failure::NoAnswer, Failure::NotSent]),
            Decision::Repeat {
                exhausted: Ending::OutcomeUnknown
            }
        );
        assert_eq!(
            ends(&[Failure::NoAnswer, Failure::AlreadyAcknowledged]),
            Decision::Success
        );
    }

    #[test]
    fn refusal_after_an_attempt_that_may_have_landed_is_no_refusal() {
        let refusals = [
            Failure::InteractionOver,
            Failure::Gone,
            Failure::Refused,
            Failure::Unauthorized,
        ];
        for first in Failure::ALL.into_iter().filter(|first| first.may_have_landed()) {
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
    fn time_over_is_unknown_only_where_a_second_call_would_harm() {
        for (class, sent, wanted) in [
            (CallClass::Idempotent, true, Ending::RepeatLater),
            (CallClass::TimeBound, true, Ending::OutcomeUnknown),
            (CallClass::TimeBound, false, Ending::RepeatLater),
            (CallClass::Once, true, Ending::OutcomeUnknown),
            (CallClass::Once, false, Ending::RepeatLater),
        ] {
            assert_eq!(
                Attempts::new(class, &Method::POST).out_of_time(sent),
                wanted,
                "{class} {sent}"
            );
        }
    }
}
