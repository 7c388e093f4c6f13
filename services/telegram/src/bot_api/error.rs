//! Errors of calls, and the envelope of answers: `{"ok": …, "result": …}`.

use std::time::Duration;

use arrakis_causes::causes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::MAX_RESPONSE;
use crate::config::Tuning;

/// Why a call of the [Bot API](https://core.telegram.org/bots/api#making-requests) failed. No text contains the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// There was no connection: Telegram has not received the call.
    #[error("no connection to Telegram: {0}")]
    NotSent(String),
    /// There was no answer, or a 5xx: whether the call was executed is unknown.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The response to this method is a success with a body that is not read to its end: whether the call was executed is unknown.
    #[error("the outcome is unknown: the response to {0} has more than {max} bytes", max = MAX_RESPONSE)]
    Oversized(&'static str),
    /// Too many calls (429).
    #[error("Telegram demands a pause of {} s", .0.as_secs())]
    Limited(Duration),
    /// Another process requests updates, or a webhook is set (409).
    #[error("{0}")]
    Conflict(String),
    /// The token is not accepted (401, 404).
    #[error("Telegram does not accept the bot token: {0}")]
    Token(String),
    /// The user has blocked the bot, or never wrote to it (403).
    #[error("the chat is closed: {0}")]
    Forbidden(String),
    /// Any other refusal.
    #[error("refused with {code}: {description}")]
    Refused {
        /// Telegram's code.
        code: u16,
        /// Telegram's text.
        description: String,
    },
}

impl CallError {
    /// The meaning of an error of the HTTP client: without a connection the call was not sent, otherwise its outcome is unknown.
    pub(super) fn of_transport(error: reqwest::Error) -> Self {
        let not_sent = error.is_connect() || error.is_builder();
        let text = causes(&error.without_url());
        if not_sent {
            Self::NotSent(text)
        } else {
            Self::Unknown(text)
        }
    }

    /// Whether Telegram certainly did not execute the call, and a later attempt may succeed.
    pub(crate) const fn is_not_executed(&self) -> bool {
        matches!(
            self,
            Self::NotSent(_) | Self::Limited(_) | Self::Conflict(_) | Self::Token(_)
        )
    }

    /// Whether Telegram may have executed the call.
    pub(crate) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Oversized(_))
    }

    /// The pause before the next attempt of a call that is repeated until it succeeds: the one that Telegram demands, within bounds.
    pub(crate) fn pause(&self, tuning: &Tuning) -> Duration {
        match self {
            Self::Limited(pause) => (*pause).min(tuning.max_pause),
            _ => tuning.pause,
        }
    }

    /// The label `outcome` of `arrakis_telegram_calls_total`.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::Unknown(_) | Self::Oversized(_) => "unknown",
            Self::Limited(_) => "limited",
            Self::Conflict(_) => "conflict",
            Self::Token(_) => "token",
            Self::Forbidden(_) => "forbidden",
            Self::Refused { .. } => "refused",
        }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    ok: bool,
    result: Option<T>,
    error_code: Option<u16>,
    #[serde(default)]
    description: String,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

/// The result in the response to a call.
///
/// # Errors
/// What the status and `error_code` mean; [`CallError::Unknown`] for a success that cannot be decoded.
pub(super) fn result<T: DeserializeOwned>(status: StatusCode, bytes: &[u8]) -> Result<T, CallError> {
    let envelope: Envelope<T> = match serde_json::from_slice(bytes) {
        Ok(envelope) => envelope,
        // A proxy's page, or a result of another form.
        Err(why) if status.is_success() => {
            return Err(CallError::Unknown(format!("not an answer of the Bot API: {why}")));
        }
        Err(_) => return Err(refusal(status.as_u16(), String::new(), None)),
    };
    match envelope.result {
        Some(result) if envelope.ok => Ok(result),
        _ => {
            let code = envelope.error_code.unwrap_or_else(|| status.as_u16());
            let pause = envelope.parameters.and_then(|parameters| parameters.retry_after);
            Err(refusal(code, envelope.description, pause))
        }
    }
}

fn refusal(code: u16, description: String, retry_after: Option<u64>) -> CallError {
    match code {
        429 => CallError::Limited(Duration::from_secs(retry_after.unwrap_or(1).max(1))),
        409 => CallError::Conflict(description),
        401 | 404 => CallError::Token(description),
        403 => CallError::Forbidden(description),
        500.. => CallError::Unknown(format!("{code} {description}")),
        _ => CallError::Refused { code, description },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> CallError {
        result::<u32>(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap_err()
    }

    #[test]
    fn demanded_pause_is_bounded() {
        let tuning = Tuning::default();
        assert_eq!(CallError::Limited(Duration::MAX).pause(&tuning), tuning.max_pause);
        let seven = Duration::from_secs(7);
        assert_eq!(CallError::Limited(seven).pause(&tuning), seven);
        assert_eq!(CallError::Oversized("getUpdates").pause(&tuning), tuning.pause);
    }

    #[test]
    fn answer_is_a_result_or_the_class_of_its_error() {
        assert_eq!(result::<u32>(StatusCode::OK, br#"{"ok":true,"result":7}"#), Ok(7));
        let limited = r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":7}}"#;
        assert_eq!(error(429, limited), CallError::Limited(Duration::from_secs(7)));
        assert!(matches!(error(429, "<html>"), CallError::Limited(_)));
        assert!(matches!(error(502, "<html>"), CallError::Unknown(_)));
        assert!(matches!(error(200, "<html>"), CallError::Unknown(_)));
        assert!(matches!(
            error(401, r#"{"ok":false,"error_code":401}"#),
            CallError::Token(_)
        ));
        let blocked = r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#;
        assert!(matches!(error(403, blocked), CallError::Forbidden(_)));
        assert!(matches!(
            error(400, r#"{"ok":false,"error_code":400}"#),
            CallError::Refused { code: 400, .. }
        ));
    }
}
