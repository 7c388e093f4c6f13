//! The failures that a client of Discord can tell apart.

use http::{Method, StatusCode};

/// Discord's error codes that the table distinguishes.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>
pub mod codes {
    /// The interaction has its first response already.
    pub const ALREADY_ACKNOWLEDGED: u64 = 40_060;
    /// The interaction is older than three seconds, or does not exist.
    pub const UNKNOWN_INTERACTION: u64 = 10_062;
    /// The bot is not on the server, or there is none.
    pub const UNKNOWN_GUILD: u64 = 10_004;
    /// Of a call that answers an interaction: its token belongs to no webhook (any more). Of a call about a webhook: there is no such
    /// webhook.
    pub const UNKNOWN_WEBHOOK: u64 = 10_015;
    /// The interaction's token is older than fifteen minutes.
    pub const INVALID_WEBHOOK_TOKEN: u64 = 50_027;
    /// "Unknown …" of every kind.
    pub const UNKNOWN: std::ops::Range<u64> = 10_001..11_000;
}

/// Why one attempt of a call did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Code 40060: the interaction has its first response.
    AlreadyAcknowledged,
    /// Codes 10062, 10015, 50027 of a call that answers an interaction: the interaction, or its token, does not exist any more.
    InteractionOver,
    /// 404 or another "Unknown …" code: the object of the call does not exist.
    Gone,
    /// Any other 3xx or 4xx: Discord did not carry the call out and will not.
    Refused,
    /// 401: this call was refused and not carried out. Whether the token is invalid is decided by the discord-proxy's check.
    Unauthorized,
    /// 429, or a wait that is longer than the caller's deadline. The call was not carried out.
    RateLimited,
    /// 5xx, or 408 of an intermediary: the call may have been carried out before the failure, or not.
    ServerError,
    /// No byte of the request left: name not resolved, connection refused, TLS failed, connecting timed out.
    NotSent,
    /// The request was sent, and the connection ended before a whole answer arrived: reset, closed, answer cut off.
    ConnectionLost,
    /// The request was sent, and no whole answer arrived in time.
    NoAnswer,
    /// A 2xx answer whose body is not Discord's: no JSON, or not what the caller needs. Something between us and Discord may have
    /// made it.
    UnreadableAnswer,
}

impl Failure {
    /// All failures, in the order of the docs.
    pub const ALL: [Self; 11] = [
        Self::AlreadyAcknowledged,
        Self::InteractionOver,
        Self::Gone,
        Self::Refused,
        Self::Unauthorized,
        Self::RateLimited,
        Self::ServerError,
        Self::NotSent,
        Self::ConnectionLost,
        Self::NoAnswer,
        Self::UnreadableAnswer,
    ];

    /// The failure of an answer that arrived whole; `None` for a success. `method` and `segments` are the call's (its path below the
    /// API version, split at slashes, without query); `code` is Discord's error code, 0 where the body has none.
    ///
    /// The codes of an interaction's webhook are also those of any other webhook: of a call about the webhook itself, 10015 is that
    /// webhook's own "unknown" code, as 10003 is a channel's.
    #[must_use]
    pub fn of_answer(method: &Method, segments: &[&str], status: StatusCode, code: u64) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        Some(match (status.as_u16(), code) {
            (500.., _) | (408, _) => Self::ServerError,
            (429, _) => Self::RateLimited,
            (_, codes::ALREADY_ACKNOWLEDGED) => Self::AlreadyAcknowledged,
            (_, codes::UNKNOWN_WEBHOOK) if is_about_webhook(method, segments) => Self::Gone,
            // The bot is not on the server any more, and what is on it may be there as before.
            (_, codes::UNKNOWN_GUILD) if *method == Method::DELETE && segments.len() > 2 => Self::Refused,
            (_, codes::UNKNOWN_INTERACTION | codes::UNKNOWN_WEBHOOK | codes::INVALID_WEBHOOK_TOKEN) => {
                Self::InteractionOver
            }
            (404, _) => Self::Gone,
            (_, code) if codes::UNKNOWN.contains(&code) => Self::Gone,
            (401, _) => Self::Unauthorized,
            _ => Self::Refused,
        })
    }

    /// The failure of a success whose body is not Discord's: Discord's API answers JSON or nothing. Looks at the first character
    /// alone, which tells HTML from JSON; whether the JSON can be used, its reader decides.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Option<Self> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
        let json = first.is_ascii_digit() || b"{[\"-tfn".contains(first);
        (!json).then_some(Self::UnreadableAnswer)
    }

    /// Whether the call may have taken effect although this attempt failed.
    #[must_use]
    pub const fn may_have_landed(self) -> bool {
        match self {
            Self::ServerError | Self::ConnectionLost | Self::NoAnswer | Self::UnreadableAnswer => true,
            Self::AlreadyAcknowledged
            | Self::InteractionOver
            | Self::Gone
            | Self::Refused
            | Self::Unauthorized
            | Self::RateLimited
            | Self::NotSent => false,
        }
    }

    /// What it is, in words for the docs.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::AlreadyAcknowledged => "code 40060, already acknowledged",
            Self::InteractionOver => "codes 10062, 10015, 50027 of an interaction's calls: interaction or token over",
            Self::Gone => "404, other \"Unknown …\" codes",
            Self::Refused => "any other 3xx or 4xx",
            Self::Unauthorized => "401",
            Self::RateLimited => "429, or a wait beyond the deadline",
            Self::ServerError => "5xx, 408",
            Self::NotSent => "not sent: connection refused, TLS or connect timeout",
            Self::ConnectionLost => "connection reset, closed, or answer cut off after sending",
            Self::NoAnswer => "no whole answer in time",
            Self::UnreadableAnswer => "2xx whose body is not Discord's",
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
    fn a_body_that_is_no_json_is_not_discords() {
        for json in ["", " ", "{}", "[1]", "\n{\"a\":1}", "null", "true", "12", "-1", "\"a\""] {
            assert_eq!(Failure::of_body(json.as_bytes()), None, "{json:?}");
        }
        for other in ["<html>", "error code: 1015", " upstream"] {
            assert_eq!(
                Failure::of_body(other.as_bytes()),
                Some(Failure::UnreadableAnswer),
                "{other:?}"
            );
        }
    }

    #[test]
    fn answers_are_sorted_by_status_and_code() {
        for (status, code, wanted) in [
            (200, 0, None),
            (204, 0, None),
            (302, 0, Some(Failure::Refused)),
            (400, 40_060, Some(Failure::AlreadyAcknowledged)),
            (404, 10_062, Some(Failure::InteractionOver)),
            (404, 10_015, Some(Failure::InteractionOver)),
            (401, 50_027, Some(Failure::InteractionOver)),
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
            let failure = Failure::of_answer(&Method::PATCH, &segments, status, code);
            assert_eq!(failure, wanted, "{status} {code}");
        }
    }

    #[test]
    fn an_unknown_webhook_is_gone_where_the_call_is_about_the_webhook() {
        for (method, path, wanted) in [
            (Method::DELETE, "webhooks/1", Failure::Gone),
            (Method::DELETE, "webhooks/1/t", Failure::Gone),
            (Method::PATCH, "webhooks/1", Failure::Gone),
            (Method::GET, "webhooks/1/t", Failure::Gone),
            (Method::POST, "webhooks/1/t", Failure::InteractionOver),
            (
                Method::DELETE,
                "webhooks/1/t/messages/@original",
                Failure::InteractionOver,
            ),
            (Method::POST, "interactions/1/t/callback", Failure::InteractionOver),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            let failure = Failure::of_answer(&method, &segments, StatusCode::NOT_FOUND, 10_015);
            assert_eq!(failure, Some(wanted), "{method} {path}");
        }
    }
}
