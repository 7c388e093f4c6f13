//! The failures that a client of Discord distinguishes.

use http::{Method, StatusCode};

use crate::error_body::ErrorBody;

/// Discord's error codes that the table distinguishes.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>
pub mod codes {
    /// The interaction already has its first response.
    pub const ALREADY_ACKNOWLEDGED: u64 = 40_060;
    /// The interaction is older than three seconds, or does not exist.
    pub const UNKNOWN_INTERACTION: u64 = 10_062;
    /// The bot is not on the server, or there is none.
    pub const UNKNOWN_GUILD: u64 = 10_004;
    /// Of a call that responds to an interaction: its token belongs to no webhook (any more). Of a call about a webhook: the webhook
    /// does not exist.
    pub const UNKNOWN_WEBHOOK: u64 = 10_015;
    /// The interaction's token is older than fifteen minutes.
    pub const INVALID_WEBHOOK_TOKEN: u64 = 50_027;
    /// The range of all "Unknown …" codes.
    pub const UNKNOWN: std::ops::Range<u64> = 10_001..11_000;
}

/// Why one attempt of a call did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Code 40060: the interaction has its first response.
    AlreadyAcknowledged,
    /// Codes 10062, 10015, 50027 of a call that responds to an interaction: the interaction, or its token, does not exist any more.
    InteractionExpired,
    /// 404 or another "Unknown …" code: the object of the call does not exist.
    Gone,
    /// Any other 4xx in Discord's error form: the call did not take effect, and the same call will be refused again.
    Refused,
    /// 401: the call did not take effect. Whether the token is invalid is decided by the discord-proxy's check.
    Unauthorized,
    /// 429, or a wait that is longer than the caller's deadline. The call did not take effect.
    RateLimited,
    /// 5xx, or 408 of an intermediary: the call may or may not have taken effect.
    ServerError,
    /// No byte of the request was sent: name not resolved, connection refused, TLS failed, connecting timed out.
    NotSent,
    /// The request was sent, and the connection ended before a complete response was received: reset, closed, response cut off.
    ConnectionLost,
    /// The request was sent, and no complete response was received in time.
    NoResponse,
    /// A response that Discord does not send: 1xx, 3xx, a 4xx without Discord's error form, a 2xx whose body is not JSON or not what
    /// the caller needs. An intermediary may have made it, before or after the call took effect.
    UnreadableResponse,
}

impl Failure {
    /// All failures, in the order of `docs/failures.md`.
    pub const ALL: [Self; 11] = [
        Self::AlreadyAcknowledged,
        Self::InteractionExpired,
        Self::Gone,
        Self::Refused,
        Self::Unauthorized,
        Self::RateLimited,
        Self::ServerError,
        Self::NotSent,
        Self::ConnectionLost,
        Self::NoResponse,
        Self::UnreadableResponse,
    ];

    /// The failure of a complete response; `None` for a success. A 4xx counts as Discord's only in Discord's error form
    /// ([`ErrorBody::discord_code`]): a proxy, a firewall or a captive portal also returns 403 and 404. `method` and `segments` as for
    /// [`Failure::of_discord`].
    #[must_use]
    pub fn of_response(method: &Method, segments: &[&str], status: StatusCode, body: &[u8]) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        match ErrorBody::read(body).discord_code() {
            Some(code) => Self::of_discord(method, segments, status, code),
            // A 429 of the edge has another form; its limit counts all the same.
            None if status.is_client_error() && !matches!(status.as_u16(), 408 | 429) => Some(Self::UnreadableResponse),
            None => Self::of_discord(method, segments, status, 0),
        }
    }

    /// The failure of a response that Discord made; `None` for a success. `method` and `segments` are the call's (see
    /// [`crate::segments`]); `code` is Discord's error code, 0 where the body has none.
    ///
    /// The codes of an interaction's webhook are also those of any other webhook: of a call about the webhook itself, 10015 is that
    /// webhook's own "unknown" code, as 10003 is a channel's.
    #[must_use]
    pub fn of_discord(method: &Method, segments: &[&str], status: StatusCode, code: u64) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        Some(match (status.as_u16(), code) {
            // Discord's API sends neither: an intermediary did, before or after the call took effect.
            (..=199 | 300..=399, _) => Self::UnreadableResponse,
            (500.., _) | (408, _) => Self::ServerError,
            (429, _) => Self::RateLimited,
            (_, codes::ALREADY_ACKNOWLEDGED) => Self::AlreadyAcknowledged,
            (_, codes::UNKNOWN_WEBHOOK) if is_about_webhook(method, segments) => Self::Gone,
            // The bot is no longer on the server, and the object may still exist.
            (_, codes::UNKNOWN_GUILD) if *method == Method::DELETE && segments.len() > 2 => Self::Refused,
            (_, codes::UNKNOWN_INTERACTION | codes::UNKNOWN_WEBHOOK | codes::INVALID_WEBHOOK_TOKEN) => {
                Self::InteractionExpired
            }
            (404, _) => Self::Gone,
            (_, code) if codes::UNKNOWN.contains(&code) => Self::Gone,
            (401, _) => Self::Unauthorized,
            _ => Self::Refused,
        })
    }

    /// The failure of a success whose body is not Discord's: Discord's API returns JSON or nothing. Only the first character is
    /// examined, which distinguishes HTML from JSON; the reader of the JSON decides whether it can be used.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Option<Self> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
        let json = first.is_ascii_digit() || b"{[\"-tfn".contains(first);
        (!json).then_some(Self::UnreadableResponse)
    }

    /// Whether the call may have taken effect although this attempt failed.
    #[must_use]
    pub const fn may_have_taken_effect(self) -> bool {
        match self {
            Self::ServerError | Self::ConnectionLost | Self::NoResponse | Self::UnreadableResponse => true,
            Self::AlreadyAcknowledged
            | Self::InteractionExpired
            | Self::Gone
            | Self::Refused
            | Self::Unauthorized
            | Self::RateLimited
            | Self::NotSent => false,
        }
    }

    /// The text for this failure in `docs/failures.md`.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::AlreadyAcknowledged => "code 40060, already acknowledged",
            Self::InteractionExpired => {
                "codes 10062, 10015, 50027 of an interaction's calls: interaction or token expired"
            }
            Self::Gone => "404, other \"Unknown …\" codes",
            Self::Refused => "any other 4xx in Discord's error form",
            Self::Unauthorized => "401",
            Self::RateLimited => "429, or a wait beyond the deadline",
            Self::ServerError => "5xx, 408",
            Self::NotSent => "not sent: connection refused, TLS or connect timeout",
            Self::ConnectionLost => "connection reset, closed, or response cut off after sending",
            Self::NoResponse => "no complete response in time",
            Self::UnreadableResponse => {
                "not a response of Discord's: 1xx, 3xx, 4xx without Discord's error form, 2xx without JSON"
            }
        }
    }
}

/// Whether the object of a call is a webhook: `/webhooks/{id}` or, other than to execute it, `/webhooks/{id}/{token}`; or webhooks
/// of a channel or server.
fn is_about_webhook(method: &Method, segments: &[&str]) -> bool {
    match segments {
        ["webhooks", _] => true,
        ["webhooks", _, _] => *method != Method::POST,
        ["webhooks" | "interactions", ..] => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_that_is_not_json_is_unreadable() {
        for json in ["", " ", "{}", "[1]", "\n{\"a\":1}", "null", "true", "12", "-1", "\"a\""] {
            assert_eq!(Failure::of_body(json.as_bytes()), None, "{json:?}");
        }
        for other in ["<html>", "error code: 1015", " upstream"] {
            assert_eq!(
                Failure::of_body(other.as_bytes()),
                Some(Failure::UnreadableResponse),
                "{other:?}"
            );
        }
    }

    #[test]
    fn failure_is_derived_from_status_and_code() {
        for (status, code, wanted) in [
            (200, 0, None),
            (204, 0, None),
            (101, 0, Some(Failure::UnreadableResponse)),
            (302, 0, Some(Failure::UnreadableResponse)),
            (307, 50_035, Some(Failure::UnreadableResponse)),
            (400, 40_060, Some(Failure::AlreadyAcknowledged)),
            (404, 10_062, Some(Failure::InteractionExpired)),
            (404, 10_015, Some(Failure::InteractionExpired)),
            (401, 50_027, Some(Failure::InteractionExpired)),
            (404, 10_008, Some(Failure::Gone)),
            (404, 0, Some(Failure::Gone)),
            (400, 10_011, Some(Failure::Gone)),
            (401, 0, Some(Failure::Unauthorized)),
            (403, 50_013, Some(Failure::Refused)),
            (400, 50_035, Some(Failure::Refused)),
            (408, 0, Some(Failure::ServerError)),
            (429, 0, Some(Failure::RateLimited)),
            (500, 0, Some(Failure::ServerError)),
            (502, 40_060, Some(Failure::ServerError)),
            (599, 0, Some(Failure::ServerError)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let segments = ["webhooks", "1", "t", "messages", "@original"];
            let failure = Failure::of_discord(&Method::PATCH, &segments, status, code);
            assert_eq!(failure, wanted, "{status} {code}");
        }
    }

    #[test]
    fn unknown_webhook_is_gone_where_the_call_is_about_the_webhook() {
        for (method, path, wanted) in [
            (Method::DELETE, "webhooks/1", Failure::Gone),
            (Method::DELETE, "webhooks/1/t", Failure::Gone),
            (Method::PATCH, "webhooks/1", Failure::Gone),
            (Method::GET, "webhooks/1/t", Failure::Gone),
            (Method::POST, "webhooks/1/t", Failure::InteractionExpired),
            (
                Method::DELETE,
                "webhooks/1/t/messages/@original",
                Failure::InteractionExpired,
            ),
            (Method::POST, "interactions/1/t/callback", Failure::InteractionExpired),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            let failure = Failure::of_discord(&method, &segments, StatusCode::NOT_FOUND, 10_015);
            assert_eq!(failure, Some(wanted), "{method} {path}");
        }
    }

    #[test]
    fn refusal_without_discords_error_form_is_unreadable() {
        let form = br#"{"message":"404: Not Found","code":0}"#;
        let of = |status, body: &[u8]| {
            Failure::of_response(
                &Method::PATCH,
                &["webhooks", "1", "t", "messages", "@original"],
                StatusCode::from_u16(status).unwrap(),
                body,
            )
        };
        for (status, wanted) in [
            (400, Failure::Refused),
            (401, Failure::Unauthorized),
            (403, Failure::Refused),
            (404, Failure::Gone),
            (405, Failure::Refused),
        ] {
            assert_eq!(of(status, form), Some(wanted), "{status}");
            for other in [
                "",
                "<html>",
                "{}",
                r#"{"message":"no route matched"}"#,
                r#"{"code":"403","message":"x"}"#,
                r#"["message"]"#,
            ] {
                let found = of(status, other.as_bytes());
                assert_eq!(found, Some(Failure::UnreadableResponse), "{status} {other:?}");
            }
        }
        assert_eq!(of(429, b"<html>"), Some(Failure::RateLimited));
        assert_eq!(of(408, b""), Some(Failure::ServerError));
        assert_eq!(of(503, b"<html>"), Some(Failure::ServerError));
        assert_eq!(of(101, b""), Some(Failure::UnreadableResponse));
        assert_eq!(of(204, b""), None);
    }
}
