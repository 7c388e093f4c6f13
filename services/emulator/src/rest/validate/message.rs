//! Message forms. Creation, edit, webhooks and interactions share most fields.
//!
//! Source: <https://discord.com/developers/docs/resources/message#create-message>. Whether a message is empty depends on
//! [`MessageForm::is_empty`] and the files of the request. The route checks mentions and referenced messages.

use serde_json::Value;

use super::{
    component::read_components,
    embed::read_embeds,
    form::{Form, FormField, Length},
};

/// Message flags that a bot may set.
pub mod flag {
    #![expect(missing_docs, reason = "the names are Discord's own")]
    pub const CROSSPOSTED: u64 = 1;
    pub const SUPPRESS_EMBEDS: u64 = 1 << 2;
    pub const EPHEMERAL: u64 = 1 << 6;
    pub const LOADING: u64 = 1 << 7;
    pub const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
    pub const IS_COMPONENTS_V2: u64 = 1 << 15;
}

/// Sender of a form; allowed fields depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A bot, to a channel.
    Bot,
    /// A webhook, by its token.
    Webhook,
    /// A response to an interaction, or a follow-up.
    Interaction,
}

/// Allowed mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedMentions {
    /// Types of mentions that are parsed from the content: `users`, `roles`, `everyone`.
    pub parse: Vec<String>,
    /// Users that may be mentioned.
    pub users: Vec<u64>,
    /// Roles that may be mentioned.
    pub roles: Vec<u64>,
    /// Whether the author of the replied message is mentioned.
    pub replied_user: bool,
}

/// Entry of `attachments`: a file of the request, or a file that an edit keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentForm {
    /// Index `n` of `files[n]`, or the id of a kept attachment.
    pub id: u64,
    /// Name in place of the file's own.
    pub filename: Option<String>,
    /// Alternative text, up to 1,024 characters.
    pub description: Option<String>,
}

/// `type` of a message reference.
const REPLY: i64 = 0;
/// `type` of a message reference.
const FORWARD: i64 = 1;

/// Message that it replies to or forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceForm {
    /// The message.
    pub message_id: u64,
    /// Whether a missing message is an error.
    pub fail_if_not_exists: bool,
    /// 0 reply, 1 forward.
    pub kind: i64,
    /// Channel of a forwarded message.
    pub channel_id: Option<u64>,
}

/// Form of a message.
#[derive(Clone, Debug)]
pub struct MessageForm {
    /// Up to 2,000 characters.
    pub content: FormField<String>,
    /// Embeds in the form of responses.
    pub embeds: FormField<Vec<Value>>,
    /// Components in the form of responses.
    pub components: FormField<Vec<Value>>,
    /// Entries of `attachments`.
    pub attachments: FormField<Vec<AttachmentForm>>,
    /// Flags of the body.
    pub flags: FormField<u64>,
    /// Mentions.
    pub allowed_mentions: FormField<AllowedMentions>,
    /// Text to speech.
    pub tts: bool,
    /// Copied into `MESSAGE_CREATE`; a string of up to 25 characters or a number.
    pub nonce: Option<Value>,
    /// Whether a nonce that was used within a few minutes returns the earlier message.
    pub enforce_nonce: bool,
    /// Message that it replies to or forwards.
    pub reference: Option<ReferenceForm>,
    /// Displayed name, webhooks only.
    pub username: Option<String>,
    /// Displayed avatar, webhooks only.
    pub avatar_url: Option<String>,
    /// Name of the new forum thread, webhooks only.
    pub thread_name: Option<String>,
    /// Path of the form in the body, for errors of later checks.
    pub path: Vec<String>,
}

impl MessageForm {
    /// Whether it has no content besides files.
    pub fn is_empty(&self) -> bool {
        let filled = |list: &FormField<Vec<Value>>| list.as_value().is_some_and(|list| !list.is_empty());
        self.content.as_value().is_none_or(String::is_empty) && !filled(&self.embeds) && !filled(&self.components)
    }

    /// The message that this one forwards.
    pub fn forwarded(&self) -> Option<ReferenceForm> {
        self.reference.filter(|reference| reference.kind == FORWARD)
    }
}

/// Reads a message form. `current_flags` are the flags of the edited message, 0 for a new one.
pub fn read_message(form: &Form<'_>, sender: Sender, current_flags: u64) -> MessageForm {
    let flags = form
        .integer("flags", 0, i64::from(u32::MAX))
        .map(|bits| u64::try_from(bits).unwrap_or(0));
    let v2 = (flags.as_value().copied().unwrap_or(0) | current_flags) & flag::IS_COMPONENTS_V2 != 0;
    if v2 {
        refuse_legacy_fields(form);
    }
    let webhook = sender == Sender::Webhook;
    MessageForm {
        content: form.text("content", Length::up_to(2_000)),
        embeds: read_embeds(form),
        components: read_components(form, v2),
        attachments: read_attachments(form),
        flags,
        allowed_mentions: form.form("allowed_mentions").map(|mentions| read_mentions(&mentions)),
        tts: form.flag("tts").value().unwrap_or(false),
        nonce: read_nonce(form),
        enforce_nonce: form.flag("enforce_nonce").value().unwrap_or(false),
        reference: form
            .form("message_reference")
            .value()
            .and_then(|reference| read_reference(&reference)),
        username: webhook.then(|| read_username(form)).flatten(),
        avatar_url: webhook
            .then(|| form.url("avatar_url", 2_048, &["http", "https"]).value())
            .flatten(),
        thread_name: webhook
            .then(|| form.text("thread_name", Length::up_to(100)).value())
            .flatten(),
        path: form.path_of(""),
    }
}

fn refuse_legacy_fields(form: &Form<'_>) {
    for key in ["content", "embeds", "poll", "sticker_ids"] {
        let used = match form.raw(key) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(_) => true,
        };
        if used {
            form.refuse(
                key,
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                format!("The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"),
            );
        }
    }
}

/// A webhook's name for one message: <https://discord.com/developers/docs/resources/webhook#create-webhook>.
fn read_username(form: &Form<'_>) -> Option<String> {
    let name = form.text("username", Length::between(1, 80)).value()?;
    refuse_webhook_name(form, "username", &name);
    Some(name)
}

/// Refuses names that are not allowed for webhooks.
pub fn refuse_webhook_name(form: &Form<'_>, key: &str, name: &str) {
    let lower = name.to_lowercase();
    for word in ["clyde", "discord"] {
        if lower.contains(word) {
            form.refuse(
                key,
                "USERNAME_INVALID_CONTAINS",
                format!("Username cannot contain \"{word}\""),
            );
        }
    }
}

fn read_nonce(form: &Form<'_>) -> Option<Value> {
    match form.raw("nonce") {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Some(Value::Number(number.clone())),
        Some(Value::String(text)) if text.chars().count() <= 25 => Some(Value::String(text.clone())),
        Some(Value::String(_)) => {
            form.refuse("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.");
            None
        }
        Some(_) => {
            form.refuse("nonce", "NONCE_TYPE_INVALID_TYPE", "Nonce must be string or int");
            None
        }
    }
}

fn read_reference(form: &Form<'_>) -> Option<ReferenceForm> {
    if !form.require("message_id") {
        return None;
    }
    let kind = form.choice("type", &[REPLY, FORWARD]).value().unwrap_or(REPLY);
    if kind == FORWARD {
        form.require("channel_id");
    }
    Some(ReferenceForm {
        message_id: form.snowflake("message_id").value()?,
        fail_if_not_exists: form.flag("fail_if_not_exists").value().unwrap_or(true),
        kind,
        channel_id: form.snowflake("channel_id").value(),
    })
}

fn read_attachments(form: &Form<'_>) -> FormField<Vec<AttachmentForm>> {
    form.forms("attachments", Length::up_to(10)).map(|entries| {
        entries
            .iter()
            .filter_map(|entry| {
                if !entry.require("id") {
                    return None;
                }
                Some(AttachmentForm {
                    id: entry.snowflake("id").value()?,
                    filename: entry.text("filename", Length::between(1, 1_024)).value(),
                    description: entry.text("description", Length::up_to(1_024)).value(),
                })
            })
            .collect()
    })
}

fn read_mentions(form: &Form<'_>) -> AllowedMentions {
    let mut parse = Vec::new();
    if let FormField::Value(entries) = form.entries("parse", Length::up_to(3)) {
        for (index, entry) in entries.iter().enumerate() {
            match entry.as_str() {
                Some(word @ ("users" | "roles" | "everyone")) => parse.push(word.to_owned()),
                _ => form.refuse(
                    &format!("parse.{index}"),
                    "BASE_TYPE_CHOICES",
                    "Value must be one of ('users', 'roles', 'everyone').",
                ),
            }
        }
    }
    let read = |key: &str| form.snowflakes(key, Length::up_to(100)).value().unwrap_or_default();
    let mentions = AllowedMentions {
        users: read("users"),
        roles: read("roles"),
        replied_user: form.flag("replied_user").value().unwrap_or(false),
        parse,
    };
    for (word, list) in [("users", &mentions.users), ("roles", &mentions.roles)] {
        if !list.is_empty() && mentions.parse.iter().any(|parsed| parsed == word) {
            form.refuse(
                "",
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                format!("parse:[\"{word}\"] and {word}: [ids...] are mutually exclusive."),
            );
        }
    }
    mentions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::{errors::ApiResult, validate::form::read_body};

    fn read(body: &Value) -> ApiResult<MessageForm> {
        read_body(body, |form| read_message(form, Sender::Bot, 0))
    }

    #[test]
    fn two_thousand_characters_and_no_more() {
        assert!(read(&json!({"content": "x".repeat(2_000)})).is_ok());
        let errors = read(&json!({"content": "x".repeat(2_001)}))
            .unwrap_err()
            .errors
            .unwrap();
        assert_eq!(
            errors["content"]["_errors"][0]["message"],
            "Must be 2000 or fewer in length."
        );
    }

    #[test]
    fn message_without_content_is_empty() {
        assert!(
            read(&json!({"content": "  ", "embeds": [], "components": []}))
                .unwrap()
                .is_empty()
        );
        assert!(!read(&json!({"embeds": [{"title": "x"}]})).unwrap().is_empty());
    }

    #[test]
    fn mentions_are_parsed_or_listed_not_both() {
        let errors = read(&json!({"content": "x", "allowed_mentions": {"parse": ["users", "all"], "users": ["1"]}}))
            .unwrap_err()
            .errors
            .unwrap();
        assert_eq!(
            errors["allowed_mentions"]["parse"]["1"]["_errors"][0]["code"],
            "BASE_TYPE_CHOICES"
        );
        let errors = read(&json!({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}))
            .unwrap_err()
            .errors
            .unwrap();
        assert_eq!(
            errors["allowed_mentions"]["_errors"][0]["code"],
            "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
        );
    }

    #[test]
    fn components_v2_excludes_the_older_fields() {
        let body =
            json!({"flags": flag::IS_COMPONENTS_V2, "content": "x", "components": [{"type": 10, "content": "y"}]});
        let errors = read(&body).unwrap_err().errors.unwrap();
        assert_eq!(
            errors["content"]["_errors"][0]["code"],
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
        );
        // Without the flag the same component is refused.
        assert!(read(&json!({"components": [{"type": 10, "content": "y"}]})).is_err());
    }

    #[test]
    fn a_nonce_is_short() {
        assert!(read(&json!({"content": "x", "nonce": "n".repeat(25)})).is_ok());
        assert!(read(&json!({"content": "x", "nonce": "n".repeat(26)})).is_err());
        assert!(read(&json!({"content": "x", "nonce": 1.5})).is_err());
    }
}
