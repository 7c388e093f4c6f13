//! Assertions about the messages that Discord received.

use serde_json::Value;

/// The only embed of a message.
pub fn embed(message: &Value) -> &Value {
    assert!(message["embeds"][0].is_object(), "no embed in {message:#}");
    &message["embeds"][0]
}

/// The description of a message's embed.
pub fn description(message: &Value) -> &str {
    embed(message)["description"].as_str().unwrap()
}

/// The description of a message's embed contains this text.
#[track_caller]
pub fn assert_description(message: &Value, text: &str) {
    let description = description(message);
    assert!(description.contains(text), "no {text:?} in {description:?}");
}

/// Whether only the member sees the message.
pub fn is_ephemeral(message: &Value) -> bool {
    message["flags"].as_u64().unwrap_or(0) & 64 != 0
}

/// The message is a refusal with this text: ephemeral, with an embed.
#[track_caller]
pub fn assert_refusal(message: &Value, text: &str) {
    assert!(is_ephemeral(message), "not ephemeral: {message:#}");
    assert_description(message, text);
}

/// The follow-ups of an interaction.
pub fn follow_ups(interaction: &Value) -> &Vec<Value> {
    interaction["followups"].as_array().unwrap()
}
