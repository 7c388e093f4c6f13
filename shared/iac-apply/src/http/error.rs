//! Errors of a call, as far as a caller handles them differently.

use std::fmt;

use arrakis_discord_http::{ErrorBody, FieldError, codes};
use http::StatusCode;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// 401: Discord does not accept the bot token.
    #[error(
        "Discord refuses this token (401); copy it again from the developer portal, page \"Bot\", into DISCORD_TOKEN"
    )]
    TokenRefused,
    /// Any other 4xx: Discord refused the call.
    #[error(
        "{call}: Discord refused the call: {message} (status {status}, code {code}){}",
        Fields(fields)
    )]
    Refused {
        /// Method and path.
        call: String,
        /// Status.
        status: u16,
        /// Discord's error code, 0 where the response had none.
        code: u64,
        /// Discord's text.
        message: String,
        /// Errors of a form, by field.
        fields: Vec<FieldError>,
    },
    /// The discord-proxy refused the call; it was not sent to Discord.
    #[error("{call}: the discord-proxy refused the call: {why}")]
    Denied {
        /// Method and path.
        call: String,
        /// The reason, and how to correct it.
        why: String,
    },
    /// Discord cannot be reached, fails, or does not send the response; the call did not take effect.
    #[error("{call}: {why}")]
    Unavailable {
        /// Method and path.
        call: String,
        /// The cause, and the reason of the last attempt.
        why: String,
    },
    /// The call may have taken effect; no response was received, and the call was not repeated.
    #[error(
        "{call}: the outcome is unknown: {why}; run the same command again: it reads the server before it repeats a creation"
    )]
    OutcomeUnknown {
        /// Method and path.
        call: String,
        /// The reason.
        why: String,
    },
    /// The run was cancelled before this call.
    #[error("stopped before {call}; completed steps are in the state; run the same command again to finish")]
    Cancelled {
        /// Method and path.
        call: String,
    },
    /// The call took effect, but the response cannot be read.
    #[error(
        "{call}: the response cannot be read: {why}; check that DISCORD_API_BASE is the address of Discord's API, version 10"
    )]
    Unreadable {
        /// Method and path.
        call: String,
        /// The parser's error.
        why: String,
    },
}

impl CallError {
    /// Whether the object of the call does not exist (any more): 404, or one of Discord's "Unknown …" codes.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status, code, .. } if *status == 404 || codes::UNKNOWN.contains(code))
    }

    /// Discord's error code, where Discord refused the call.
    #[must_use]
    pub const fn code(&self) -> Option<u64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The error of a refusal by Discord.
    pub(super) fn refused(call: &str, status: StatusCode, body: &[u8]) -> Self {
        let body = ErrorBody::read(body);
        let fields = body.field_errors();
        Self::Refused {
            call: call.to_owned(),
            status: status.as_u16(),
            code: body.code.unwrap_or(0),
            message: body
                .message
                .unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned()),
            fields,
        }
    }
}

/// Longest part of a body that is not JSON to be shown, in characters.
const BODY_SHOWN: usize = 200;

/// Status and body of a server error, so that repeated failures can be reported to Discord.
pub(super) fn server_error(status: StatusCode, body: &[u8]) -> String {
    let mut text = format!("status {}", status.as_u16());
    if let Some(reason) = status.canonical_reason() {
        text.push_str(&format!(" {reason}"));
    }
    let parsed = ErrorBody::read(body);
    let shown = match (parsed.message, parsed.code.filter(|code| *code > 0)) {
        (Some(message), Some(code)) => format!("{message} (code {code})"),
        (Some(message), None) => message,
        (None, _) => printable(body),
    };
    if !shown.is_empty() {
        text.push_str(&format!(", body: {shown}"));
    }
    text
}

/// The start of a body on one line, without markup and control characters.
fn printable(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body.get(..4_096).unwrap_or(body));
    let mut text = String::new();
    let mut in_tag = false;
    for character in body.chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            character if character.is_control() => text.push(' '),
            character => text.push(character),
        }
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(BODY_SHOWN).collect();
    match shown.len() < words.len() {
        true => format!("{shown}…"),
        false => shown,
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
    fn form_error_names_its_fields() {
        let body = br#"{"code": 50035, "message": "Invalid Form Body",
            "errors": {"permission_overwrites": {"0": {"allow": {"_errors": [{"code": "X", "message": "too many bits"}]}}}}}"#;
        let error = CallError::refused("POST /guilds/1/channels", StatusCode::BAD_REQUEST, body);
        assert_eq!(
            error.to_string(),
            "POST /guilds/1/channels: Discord refused the call: Invalid Form Body (status 400, code 50035): \
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
    fn unknown_object_is_gone() {
        assert!(CallError::refused("x", StatusCode::NOT_FOUND, b"").is_gone());
        let unknown_role = br#"{"code": 10011, "message": "Unknown Role"}"#;
        assert!(CallError::refused("x", StatusCode::BAD_REQUEST, unknown_role).is_gone());
        assert!(!CallError::refused("x", StatusCode::FORBIDDEN, br#"{"code": 50013}"#).is_gone());
    }
}
