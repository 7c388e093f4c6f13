//! What can go wrong with a call, as far as a caller does something different about it.

use std::fmt;

use http::StatusCode;
use serde_json::Value;

/// One field of a form that Discord refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where it is, as in `permission_overwrites.0.allow`.
    pub path: String,
    /// Discord's words.
    pub message: String,
}

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// 401.
    #[error(
        "Discord refuses this token (401); copy it again from the developer portal, page \"Bot\", into DISCORD_TOKEN"
    )]
    TokenRefused,
    /// Any other 4xx.
    #[error(
        "{call}: Discord refused it: {message} (status {status}, code {code}){}",
        Fields(fields)
    )]
    Refused {
        /// Method and path.
        call: String,
        /// Status.
        status: u16,
        /// Discord's code, 0 where the answer had none.
        code: u64,
        /// Discord's words.
        message: String,
        /// Each field at fault.
        fields: Vec<FieldError>,
    },
    /// The discord-proxy refused it; Discord did not get it.
    #[error("{call}: the discord-proxy refused it: {why}")]
    Denied {
        /// Method and path.
        call: String,
        /// Why, and what to do.
        why: String,
    },
    /// Discord is out of reach, or failing, and nothing has happened there.
    #[error("{call}: Discord cannot be reached: {why}; what is done so far is in the state: run the same again later")]
    Unavailable {
        /// Method and path.
        call: String,
        /// The last reason.
        why: String,
    },
    /// The call may have taken effect; its answer was lost and it was not repeated.
    #[error(
        "{call}: it is not known whether it took effect: {why}; run the same again, it looks before it repeats anything"
    )]
    OutcomeUnknown {
        /// Method and path.
        call: String,
        /// What happened.
        why: String,
    },
    /// Somebody asked to stop, and this call was not made.
    #[error("stopped before {call}; what is done so far is in the state: run the same again to finish")]
    Cancelled {
        /// Method and path.
        call: String,
    },
    /// The call took effect, but its answer cannot be read.
    #[error("{call}: the answer cannot be read: {why}; is DISCORD_API_BASE an API of Discord's, version 10?")]
    Unreadable {
        /// Method and path.
        call: String,
        /// What is wrong with it.
        why: String,
    },
}

impl CallError {
    /// What the call was about does not exist (any more): 404, or one of Discord's "Unknown …" codes.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
            || matches!(
                self,
                Self::Refused {
                    code: 10_001..=10_999,
                    ..
                }
            )
    }

    /// Discord's code, where it refused.
    #[must_use]
    pub const fn code(&self) -> Option<u64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Reads a refusal.
    pub(super) fn refused(call: &str, status: StatusCode, body: &[u8]) -> Self {
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut fields = Vec::new();
        collect(&parsed["errors"], &mut Vec::new(), &mut fields);
        Self::Refused {
            call: call.to_owned(),
            status: status.as_u16(),
            code: parsed["code"].as_u64().unwrap_or(0),
            message: parsed["message"].as_str().map_or_else(
                || status.canonical_reason().unwrap_or("no reason given").to_owned(),
                str::to_owned,
            ),
            fields,
        }
    }
}

/// Longest part of a body that is not JSON to be shown, in characters.
const BODY_SHOWN: usize = 200;

/// A server error in words: the status and what the body says, so that repeated failures can be reported to Discord.
pub(super) fn server_error(status: StatusCode, body: &[u8]) -> String {
    let mut text = format!("status {}", status.as_u16());
    if let Some(reason) = status.canonical_reason() {
        text.push_str(&format!(" {reason}"));
    }
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = parsed["code"].as_u64().filter(|code| *code > 0);
    let said = match parsed["message"].as_str() {
        Some(message) => match code {
            Some(code) => format!("{message} (code {code})"),
            None => message.to_owned(),
        },
        None => printable(body),
    };
    if !said.is_empty() {
        text.push_str(&format!(", body: {said}"));
    }
    text
}

/// The start of a body on one line, without markup and control characters.
fn printable(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body.get(..4_096).unwrap_or(body));
    let mut text = String::new();
    let mut in_tag = false;
    for sign in body.chars() {
        match sign {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            sign if sign.is_control() => text.push(' '),
            sign => text.push(sign),
        }
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(BODY_SHOWN).collect();
    match shown.len() < words.len() {
        true => format!("{shown}…"),
        false => shown,
    }
}

/// Discord nests form errors by field, with `_errors` at the leaves.
fn collect(value: &Value, path: &mut Vec<String>, fields: &mut Vec<FieldError>) {
    let Some(object) = value.as_object() else { return };
    for (key, inner) in object {
        if key == "_errors" {
            for error in inner.as_array().into_iter().flatten() {
                fields.push(FieldError {
                    path: path.join("."),
                    message: error["message"].as_str().unwrap_or("no reason given").to_owned(),
                });
            }
        } else if path.len() < 16 {
            path.push(key.clone());
            collect(inner, path, fields);
            path.pop();
        }
    }
}

struct Fields<'a>(&'a [FieldError]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            let before = if index == 0 { ": " } else { "; " };
            write!(f, "{before}{} {}", field.path, field.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_error_names_its_fields() {
        let body = br#"{"code": 50035, "message": "Invalid Form Body",
            "errors": {"permission_overwrites": {"0": {"allow": {"_errors": [{"code": "X", "message": "too many bits"}]}}}}}"#;
        let error = CallError::refused("POST /guilds/1/channels", StatusCode::BAD_REQUEST, body);
        assert_eq!(
            error.to_string(),
            "POST /guilds/1/channels: Discord refused it: Invalid Form Body (status 400, code 50035): \
             permission_overwrites.0.allow too many bits"
        );
        assert!(!error.is_gone());
    }

    #[test]
    fn server_error_shows_the_body() {
        let json = br#"{"message": "Internal database error", "code": 0}"#;
        assert_eq!(
            server_error(StatusCode::INTERNAL_SERVER_ERROR, json),
            "status 500 Internal Server Error, body: Internal database error"
        );
        let html = b"<html>\n<head><title>502 Bad Gateway</title></head>\n<center>cloudflare</center></html>";
        assert_eq!(
            server_error(StatusCode::BAD_GATEWAY, html),
            "status 502 Bad Gateway, body: 502 Bad Gateway cloudflare"
        );
        assert_eq!(
            server_error(StatusCode::SERVICE_UNAVAILABLE, b""),
            "status 503 Service Unavailable"
        );
        let long = server_error(StatusCode::BAD_GATEWAY, "x".repeat(5_000).as_bytes());
        assert!(long.chars().count() < 250 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn gone_is_told_apart() {
        assert!(CallError::refused("x", StatusCode::NOT_FOUND, b"").is_gone());
        let unknown_role = br#"{"code": 10011, "message": "Unknown Role"}"#;
        assert!(CallError::refused("x", StatusCode::BAD_REQUEST, unknown_role).is_gone());
        assert!(!CallError::refused("x", StatusCode::FORBIDDEN, br#"{"code": 50013}"#).is_gone());
    }
}
