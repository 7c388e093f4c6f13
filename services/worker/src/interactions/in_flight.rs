//! One interaction with what each stage of the pipeline needs.

use arrakis_broker::Verdict;
use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_runtime::fail_point;

use super::received::{Handled, Received};
use crate::at_most_once::AtMostOnce;
use crate::commands::{CommandEntry, CommandScope, Commands, MfaNeed, ResponseMode};
use crate::interaction::invocation::InvocationData;
use crate::load_shedding::LoadShedding;
use crate::services::Services;

/// One interaction with what each stage needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight<'a> {
    pub(super) services: &'a Services,
    pub(super) commands: &'a Commands,
    pub(super) load_shedding: &'a LoadShedding,
    pub(super) received: &'a Received,
}

impl<'a> InFlight<'a> {
    /// The first response to this interaction, if its command is this one.
    pub(super) fn response_mode(self, entry: &CommandEntry) -> ResponseMode {
        match &self.received.invocation.data {
            InvocationData::Command { .. } => entry.definition.response,
            // A modal asks for the code.
            InvocationData::Component { .. } if self.asks_for_a_code(entry) => ResponseMode::Modal,
            InvocationData::Component { custom_id, .. } | InvocationData::ModalSubmit { custom_id, .. } => {
                entry.definition.response_to(custom_id)
            }
            // Suggestions cannot be deferred.
            InvocationData::Autocomplete { .. } => ResponseMode::Immediate,
        }
    }

    fn asks_for_a_code(self, entry: &CommandEntry) -> bool {
        let need = entry.definition.mfa_need(&self.received.invocation.data);
        need == Some(MfaNeed::Ask) && !self.services.admin_commands_without_mfa
    }

    /// Where this interaction can be used, if its command is this one.
    pub(super) fn scope(self, entry: &CommandEntry) -> CommandScope {
        match &self.received.invocation.data {
            InvocationData::Command { .. } | InvocationData::Autocomplete { .. } => entry.definition.scope,
            InvocationData::Component { custom_id, .. } | InvocationData::ModalSubmit { custom_id, .. } => {
                entry.definition.scope_of(custom_id)
            }
        }
    }

    /// Whether the interaction was not started and is too late to start.
    pub(super) fn is_shed(self) -> bool {
        if self.received.may_have_been_started() || fail_point::skips("worker.guard.expiry") {
            return false;
        }
        let deadline = &self.received.deadline;
        self.load_shedding.sheds(deadline.age(), deadline.response_is_late())
    }

    /// Counts an interaction that no first response reached in time.
    pub(super) fn expired(self, why: impl Into<String>) -> Handled {
        self.services.metrics.expired.inc();
        if let Some(expired) = self.load_shedding.count_expired() {
            let age_ms = u64::try_from(self.received.deadline.age().as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                expired,
                age_ms,
                "interactions expired: no first response within three seconds"
            );
        }
        self.unanswerable("expired", why)
    }

    /// Discord takes no reply to the interaction any more. One that an operator replayed stays a dead letter, with the reason;
    /// dropped, it would look answered.
    pub(super) fn unanswerable(self, outcome: &'static str, why: impl Into<String>) -> Handled {
        let why = why.into();
        if !self.received.is_replayed() {
            return Handled::dropped(outcome, why);
        }
        Handled {
            outcome,
            verdict: Verdict::DeadLetter {
                reason: DeadLetterReason::Expired,
                error: format!("replayed, but Discord accepts no reply to this interaction any more: {why}"),
            },
        }
    }

    /// A call to Discord for this interaction that is made at most once. `call` names it among the interaction's calls.
    pub(super) fn at_most_once(self, call: &'static str) -> AtMostOnce<'a> {
        AtMostOnce {
            services: self.services,
            guild: self.received.invocation.guild,
            event: self.received.labels.event_id.as_str(),
            call,
        }
    }
}
