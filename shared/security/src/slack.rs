//! The signature of a request of Slack: HMAC-SHA256 over `v0:{timestamp}:{body}`, <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
//!
//! The body is the bytes that were received. A request is refused when its time differs from ours by more than five minutes, so that an old one
//! cannot be sent again; what a request of these five minutes does must not change when it is repeated.

use aws_lc_rs::hmac;
use time::OffsetDateTime;

/// Most seconds between the time of a request and ours.
const TOLERANCE_SECONDS: u64 = 5 * 60;
/// Version of the signature, its prefix.
const VERSION: &str = "v0=";

/// Why a request is not Slack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlackSignatureError {
    /// The header with the time is not a number.
    #[error("X-Slack-Request-Timestamp is missing or no time")]
    Time,
    /// The request is too old, or from the future.
    #[error("the time of the request differs from ours by more than five minutes")]
    Old,
    /// The signature has another form.
    #[error("X-Slack-Signature is missing or malformed")]
    Malformed,
    /// The signature is not of this request by this secret.
    #[error("the signature is wrong")]
    Wrong,
}

/// Checks the signature of a request in constant time. `timestamp` and `signature` are its headers `X-Slack-Request-Timestamp` and
/// `X-Slack-Signature`.
///
/// # Errors
/// Why the request is refused.
pub fn verify_slack_request(
    secret: &[u8],
    timestamp: &str,
    body: &[u8],
    signature: &str,
    now: OffsetDateTime,
) -> Result<(), SlackSignatureError> {
    let is_number =
        !timestamp.is_empty() && timestamp.len() <= 12 && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = match timestamp.parse() {
        Ok(seconds) if is_number => seconds,
        _ => return Err(SlackSignatureError::Time),
    };
    if now.unix_timestamp().abs_diff(seconds) > TOLERANCE_SECONDS {
        return Err(SlackSignatureError::Old);
    }
    let digits = signature.strip_prefix(VERSION).ok_or(SlackSignatureError::Malformed)?;
    let tag = hex::decode(digits).map_err(|_| SlackSignatureError::Malformed)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signed = [b"v0:".as_slice(), timestamp.as_bytes(), b":", body].concat();
    hmac::verify(&key, &signed, &tag).map_err(|_| SlackSignatureError::Wrong)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    /// The example of Slack's documentation.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const TIMESTAMP: &str = "1531420618";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn sent() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_531_420_618).unwrap()
    }

    fn verify(timestamp: &str, body: &[u8], signature: &str, now: OffsetDateTime) -> Result<(), SlackSignatureError> {
        verify_slack_request(SECRET, timestamp, body, signature, now)
    }

    #[test]
    fn published_example_is_accepted() {
        assert_eq!(verify(TIMESTAMP, BODY, SIGNATURE, sent()), Ok(()));
    }

    #[test]
    fn replay_after_five_minutes_is_refused() {
        for (seconds, accepted) in [(300, true), (-300, true), (301, false), (-301, false), (86_400, false)] {
            let verified = verify(TIMESTAMP, BODY, SIGNATURE, sent() + Duration::seconds(seconds));
            assert_eq!(verified.is_ok(), accepted, "{seconds}");
            assert!(accepted || verified == Err(SlackSignatureError::Old));
        }
    }

    #[test]
    fn altered_request_is_refused() {
        let wrong = Err(SlackSignatureError::Wrong);
        for position in [0, BODY.len() / 2, BODY.len() - 1] {
            let mut body = BODY.to_vec();
            body[position] ^= 1;
            assert_eq!(verify(TIMESTAMP, &body, SIGNATURE, sent()), wrong);
        }
        assert_eq!(verify("1531420619", BODY, SIGNATURE, sent()), wrong, "another time");
        assert_eq!(verify(TIMESTAMP, BODY, "v0=", sent()), wrong, "an empty signature");
        assert_eq!(verify(TIMESTAMP, BODY, &SIGNATURE[..61], sent()), wrong, "cut off");
        let other = verify_slack_request(b"another secret", TIMESTAMP, BODY, SIGNATURE, sent());
        assert_eq!(other, wrong);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for signature in ["", "v1=a2114d", "a2114d57", "v0=xyz", "v0=a2114"] {
            let verified = verify(TIMESTAMP, BODY, signature, sent());
            assert_eq!(verified, Err(SlackSignatureError::Malformed), "{signature}");
        }
        for timestamp in [
            "",
            "now",
            "+1531420618",
            " 1531420618",
            "1531420618.0",
            "99999999999999999999",
        ] {
            let verified = verify(timestamp, BODY, SIGNATURE, sent());
            assert_eq!(verified, Err(SlackSignatureError::Time), "{timestamp}");
        }
    }
}
