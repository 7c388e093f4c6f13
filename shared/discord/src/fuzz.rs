//! What Discord, a proxy or whatever stands between answers, and what none of it may do to a worker: see `arrakis-fuzz`.

use std::str::FromStr as _;
use std::time::Duration;

use arrakis_fuzz::{Fuzz, HttpInput};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::clock::DiscordClock;
use crate::error::Error;

fn answer(input: &[u8]) -> Answer {
    let text = HttpInput::read(input);
    let mut headers = HeaderMap::new();
    for (name, value) in &text.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let status = text.first.strip_prefix("HTTP ").and_then(|status| status.parse().ok());
    Answer {
        status: status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::BAD_REQUEST),
        headers,
        body: Bytes::copy_from_slice(text.body),
    }
}

#[test]
fn answers() {
    let words = [
        "\"code\":",
        "\"message\":\"",
        "\"errors\":{",
        "\"_errors\":[",
        "{},",
        "\"retry_after\":",
        "retry-after: ",
        "x-arrakis-proxy-error: ",
        "waited-too-long",
        "HTTP 400",
        "date: ",
    ];
    let fuzz = Fuzz::target(env!("CARGO_MANIFEST_DIR"), "answers")
        .dictionary(&words)
        .max_memory(128, 256 << 10)
        .cases(6_000);
    fuzz.run(|input| {
        let answer = answer(input);
        let clock = DiscordClock::default();
        if let Some(date) = answer.discords_date() {
            let sent = Instant::now();
            clock.observe(date, sent, sent + Duration::from_millis(80));
        }
        let _ = (clock.offset_ms(), clock.least_offset_ms(0), answer.asked());
        match answer
            .failed(&http::Method::PATCH, "webhooks/1/t/messages/@original")
            .map(|failed| failed.error)
        {
            None => "a success".to_owned(),
            Some(error) => {
                if let Error::RateLimited { retry_after } = &error {
                    assert!(
                        *retry_after <= Duration::from_secs(24 * 3_600),
                        "stay away for {retry_after:?}"
                    );
                }
                // It goes into logs, and into a header of the retried message.
                let words = error.to_string();
                assert!(words.len() <= 8 << 10, "an error of {} bytes", words.len());
                words
            }
        }
    });
}
