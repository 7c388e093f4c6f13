//! The response of the score service, decoded and checked.

use std::time::Duration;

use arrakis_domain::{Address, Rank, U256};
use serde::Deserialize;
use time::OffsetDateTime;

use crate::answer::{Question, Score};

/// How far the service's clock may be ahead of ours.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
/// The highest activity.
const MAX_ACTIVITY: u8 = 100;
/// Code of a 404 that means "no data of this token", as opposed to a wrong base URL.
const UNKNOWN_TOKEN: &str = "unknown_token";

/// The body of a response with status 200. Unknown fields are ignored, so that the service can add some.
#[derive(Debug, Deserialize)]
struct ScoreBody<'a> {
    chain_id: u64,
    contract: Address,
    wallet: Address,
    rank: Option<Rank>,
    #[serde(borrow)]
    held: std::borrow::Cow<'a, str>,
    activity: Option<u8>,
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorCode,
}

#[derive(Debug, Deserialize)]
struct ErrorCode {
    code: String,
}

/// Decodes a body of status 200. `now` is compared with the time of its data.
///
/// # Errors
/// What is wrong with the body, without quoting it.
pub(super) fn decode(body: &[u8], question: &Question, now: OffsetDateTime) -> Result<Score, String> {
    let body: ScoreBody<'_> = serde_json::from_slice(body).map_err(|error| syntax(&error))?;
    if body.chain_id != question.chain_id || body.contract != question.token.contract {
        return Err("it describes another token than the requested one".to_owned());
    }
    if body.wallet != question.wallet {
        return Err("it describes another wallet than the requested one".to_owned());
    }
    if body.activity.is_some_and(|activity| activity > MAX_ACTIVITY) {
        return Err(format!("activity is above {MAX_ACTIVITY}"));
    }
    if body.as_of > now + CLOCK_TOLERANCE {
        return Err("as_of is in the future".to_owned());
    }
    Ok(Score {
        rank: body.rank,
        held: decimal(&body.held).ok_or("held is not a decimal number of at most 256 bits")?,
        activity: body.activity,
        as_of: body.as_of,
    })
}

/// Whether the body of a 404 means that the service has no data of the token.
pub(super) fn is_unknown_token(body: &[u8]) -> bool {
    serde_json::from_slice::<ErrorBody>(body).is_ok_and(|body| body.error.code == UNKNOWN_TOKEN)
}

/// Digits only: the parser of the number type would accept prefixes and underscores.
fn decimal(text: &str) -> Option<U256> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| U256::from_str_radix(text, 10).ok()).flatten()
}

/// Kind and place of a JSON error. Its own text may quote the body.
fn syntax(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or has a wrong type or value",
        serde_json::error::Category::Eof => "the JSON ends early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
    };
    format!("{kind} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use arrakis_chain::{Token, TokenStandard};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-08-01 12:00:00 UTC);

    fn question() -> Question {
        Question {
            chain_id: 80_094,
            token: Token {
                contract: Address::from_bytes([1; 20]),
                standard: TokenStandard::Erc20,
                ids: Vec::new(),
            },
            wallet: Address::from_bytes([2; 20]),
        }
    }

    fn body() -> Value {
        json!({
            "chain_id": 80_094, "contract": Address::from_bytes([1; 20]), "wallet": Address::from_bytes([2; 20]),
            "rank": 42, "held": "2500750000000000000000", "activity": 87, "as_of": "2026-08-01T11:58:00Z", "more": [1]
        })
    }

    fn read(body: &Value) -> Result<Score, String> {
        decode(body.to_string().as_bytes(), &question(), NOW)
    }

    fn with(field: &str, value: Value) -> Value {
        let mut body = body();
        body[field] = value;
        body
    }

    #[test]
    fn complete_body_is_read() {
        let score = read(&body()).unwrap();
        assert_eq!(score.rank, Rank::new(42));
        assert_eq!(score.held.to_string(), "2500750000000000000000");
        assert_eq!(score.activity, Some(87));
        assert_eq!(score.as_of, datetime!(2026-08-01 11:58:00 UTC));
        let unranked = with("rank", Value::Null);
        assert_eq!(read(&unranked).unwrap().rank, None);
    }

    #[test]
    fn body_that_the_api_does_not_define_is_refused() {
        for (field, value) in [
            ("chain_id", json!(1)),
            ("contract", json!(Address::from_bytes([9; 20]))),
            ("wallet", json!(Address::from_bytes([9; 20]))),
            ("rank", json!(0)),
            ("rank", json!(-1)),
            ("rank", json!("42")),
            ("held", json!(2500)),
            ("held", json!("")),
            ("held", json!("-1")),
            ("held", json!("0x10")),
            ("held", json!("1_000")),
            ("held", json!("1.5")),
            ("held", json!("9".repeat(78))),
            ("activity", json!(101)),
            ("activity", json!(87.5)),
            ("as_of", json!("2026-08-01T12:05:01Z")),
            ("as_of", json!(1_785_585_600)),
            ("as_of", Value::Null),
        ] {
            assert!(read(&with(field, value.clone())).is_err(), "{field}: {value}");
        }
    }

    #[test]
    fn error_does_not_quote_the_body() {
        let error =
            read(&with("held", json!("SEKRET"))).unwrap_err() + &read(&with("as_of", json!("SEKRET"))).unwrap_err();
        assert!(!error.contains("SEKRET"), "{error}");
    }

    #[test]
    fn only_the_code_unknown_token_means_no_data() {
        assert!(is_unknown_token(
            br#"{"error": {"code": "unknown_token", "message": "x"}}"#
        ));
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"error": {"code": "not_found"}}"#,
            r#"{"error": "unknown_token"}"#,
        ] {
            assert!(!is_unknown_token(body.as_bytes()), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes, &question(), NOW);
            let _ = is_unknown_token(&bytes);
        }
    }
}
