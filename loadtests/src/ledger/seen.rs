//! A command as the emulator saw it, and whether what the member read is an answer.

use arrakis_emulator_client::{InteractionRecord, InteractionState};
use serde::Deserialize;
use serde_json::Value;

/// What a member reads who runs the same command again too soon.
const COOLDOWN: &str = "You have just used";
/// What a member reads while the command is tried again, and when it was given up: words of `failures.rs` in the worker. Not an
/// answer: the promise of one, or the word that none will come.
const NO_ANSWER: [&str; 2] = [
    "This is taking longer than it should.",
    "Something went wrong on my side, and I could not do this.",
];

/// An interaction as the ledger needs it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Seen {
    pub(super) state: InteractionState,
    #[serde(default)]
    pub(super) responses: Vec<Value>,
    /// The original response as it is now.
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    pub(super) followups: Vec<Value>,
}

impl From<InteractionRecord> for Seen {
    fn from(record: InteractionRecord) -> Self {
        Self {
            state: record.state,
            responses: record.responses,
            message: record.message,
            followups: record.followups,
        }
    }
}

impl Seen {
    /// Whether nothing more can come of it: it expired, or a real answer stands there.
    pub(super) fn is_over(&self) -> bool {
        self.has_expired() || self.is_answered()
    }

    /// Whether the member saw it fail.
    pub(super) fn has_expired(&self) -> bool {
        self.state == InteractionState::Expired
    }

    /// Whether the last thing that the member was told is an answer.
    pub(super) fn is_answered(&self) -> bool {
        let last = self
            .followups
            .last()
            .or(self.message.as_ref())
            .or(self.responses.last());
        self.state == InteractionState::Answered && !last.is_some_and(|said| says(said, &NO_ANSWER))
    }

    /// Whether the member was told to wait.
    pub(super) fn is_refused(&self) -> bool {
        let mut said = self.responses.iter().chain(&self.message).chain(&self.followups);
        said.any(|said| says(said, &[COOLDOWN]))
    }

    /// Whether it was answered more than once.
    pub(super) fn is_doubled(&self) -> bool {
        self.responses.len() > 1 || self.followups.len() > 1
    }
}

fn says(said: &Value, words: &[&str]) -> bool {
    let said = said.to_string();
    words.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The words as the worker writes them.
    const WORKER: &str = include_str!("../../../services/worker/src/interactions/failures.rs");

    fn seen(value: Value) -> Seen {
        serde_json::from_value(value).unwrap()
    }

    fn embed(words: &str) -> Value {
        json!({"embeds": [{"description": format!("{words}\nAnd more.")}]})
    }

    #[test]
    fn the_words_are_the_workers() {
        for words in NO_ANSWER {
            assert!(
                WORKER.contains(&format!("\"{words}\"")),
                "the worker does not say: {words}"
            );
        }
    }

    #[test]
    fn a_promise_of_an_answer_is_none() {
        for words in NO_ANSWER {
            let deferred = json!({"state": "answered", "responses": [{"type": 5}], "message": embed(words)});
            assert!(!seen(deferred).is_over(), "{words}");
            let at_once = json!({"state": "answered", "responses": [{"type": 4, "data": embed(words)}]});
            assert!(!seen(at_once).is_over(), "{words}");
            let behind = json!({"state": "answered", "responses": [{"type": 5}], "followups": [embed(words)]});
            assert!(!seen(behind).is_over(), "{words}");
        }
    }

    #[test]
    fn what_comes_after_the_promise_is_the_answer() {
        let edited = json!({"state": "answered", "responses": [{"type": 5}], "message": embed("You hold 69.")});
        assert!(seen(edited).is_answered());
        let followed = json!({
            "state": "answered", "responses": [{"type": 5}], "message": embed(NO_ANSWER[0]),
            "followups": [embed("You hold 69.")],
        });
        assert!(seen(followed).is_answered());
        let deferred = json!({"state": "deferred", "responses": [{"type": 5}], "message": embed("")});
        assert!(!seen(deferred).is_over());
        let expired = seen(json!({"state": "expired"}));
        assert!(expired.is_over() && !expired.is_answered());
    }

    #[test]
    fn who_was_told_to_wait_was_refused() {
        let edited = json!({"state": "answered", "responses": [{"type": 5}], "message": embed(COOLDOWN)});
        assert!(seen(edited).is_refused());
    }
}
