//! The emulator's record of a command, and whether its reply is final.

use arrakis_emulator_client::{InteractionRecord, InteractionState};
use serde::Deserialize;
use serde_json::Value;

/// Beginning of the reply when the same command is run again too soon.
const COOLDOWN: &str = "You have just used";
/// Beginnings of the notices that a command is retried and that it has failed, from the worker's `failures.rs`. They are not
/// the command's reply.
const NOTICES: [&str; 2] = [
    "This is taking longer than it should.",
    "Something went wrong on my side, and I could not do this.",
];

/// The parts of an interaction's record that the ledger uses.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CommandRecord {
    pub(super) state: InteractionState,
    #[serde(default)]
    pub(super) responses: Vec<Value>,
    /// The present original response.
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    pub(super) followups: Vec<Value>,
}

impl From<InteractionRecord> for CommandRecord {
    fn from(record: InteractionRecord) -> Self {
        Self {
            state: record.state,
            responses: record.responses,
            message: record.message,
            followups: record.followups,
        }
    }
}

impl CommandRecord {
    /// Whether nothing can follow: the interaction expired, or its real reply exists.
    pub(super) fn is_over(&self) -> bool {
        self.has_expired() || self.is_answered()
    }

    /// Whether Discord showed the member "The application did not respond".
    pub(super) fn has_expired(&self) -> bool {
        self.state == InteractionState::Expired
    }

    /// Whether the last reply is the command's reply and not a notice.
    pub(super) fn is_answered(&self) -> bool {
        let last = self
            .followups
            .last()
            .or(self.message.as_ref())
            .or(self.responses.last());
        self.state == InteractionState::Answered && !last.is_some_and(|message| contains_any(message, &NOTICES))
    }

    /// Whether the command was refused for its cooldown.
    pub(super) fn is_refused(&self) -> bool {
        let mut messages = self.responses.iter().chain(&self.message).chain(&self.followups);
        messages.any(|message| contains_any(message, &[COOLDOWN]))
    }

    /// Whether there is more than one first response or follow-up.
    pub(super) fn is_doubled(&self) -> bool {
        self.responses.len() > 1 || self.followups.len() > 1
    }
}

fn contains_any(message: &Value, texts: &[&str]) -> bool {
    let message = message.to_string();
    texts.iter().any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The worker's source with the notices.
    const WORKER: &str = include_str!("../../../services/worker/src/interactions/failures.rs");

    fn seen(value: Value) -> CommandRecord {
        serde_json::from_value(value).unwrap()
    }

    fn embed(text: &str) -> Value {
        json!({"embeds": [{"description": format!("{text}\nAnd more.")}]})
    }

    #[test]
    fn notices_match_the_workers_texts() {
        for text in NOTICES {
            assert!(
                WORKER.contains(&format!("\"{text}\"")),
                "the worker's source does not contain: {text}"
            );
        }
    }

    #[test]
    fn notice_of_a_delay_or_failure_is_no_reply() {
        for text in NOTICES {
            let deferred = json!({"state": "answered", "responses": [{"type": 5}], "message": embed(text)});
            assert!(!seen(deferred).is_over(), "{text}");
            let at_once = json!({"state": "answered", "responses": [{"type": 4, "data": embed(text)}]});
            assert!(!seen(at_once).is_over(), "{text}");
            let behind = json!({"state": "answered", "responses": [{"type": 5}], "followups": [embed(text)]});
            assert!(!seen(behind).is_over(), "{text}");
        }
    }

    #[test]
    fn reply_after_the_notice_counts() {
        let edited = json!({"state": "answered", "responses": [{"type": 5}], "message": embed("You hold 69.")});
        assert!(seen(edited).is_answered());
        let followed = json!({
            "state": "answered", "responses": [{"type": 5}], "message": embed(NOTICES[0]),
            "followups": [embed("You hold 69.")],
        });
        assert!(seen(followed).is_answered());
        let deferred = json!({"state": "deferred", "responses": [{"type": 5}], "message": embed("")});
        assert!(!seen(deferred).is_over());
        let expired = seen(json!({"state": "expired"}));
        assert!(expired.is_over() && !expired.is_answered());
    }

    #[test]
    fn cooldown_notice_counts_as_refused() {
        let edited = json!({"state": "answered", "responses": [{"type": 5}], "message": embed(COOLDOWN)});
        assert!(seen(edited).is_refused());
    }
}
