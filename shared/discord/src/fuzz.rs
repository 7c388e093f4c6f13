//! Mutated responses of Discord, of a proxy and of intermediaries: see `arrakis-fuzz`.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use arrakis_discord_http::{DiscordClock, Response};
use arrakis_fuzz::{Fuzz, HttpInput};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::Error;
use crate::response::ProxyResponse;

fn response(input: &[u8]) -> ProxyResponse {
    let text = HttpInput::read(input);
    let mut headers = HeaderMap::new();
    for (name, value) in &text.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let status = text.first.strip_prefix("HTTP ").and_then(|status| status.parse().ok());
    ProxyResponse(Response {
        status: status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::BAD_REQUEST),
        headers,
        body: Bytes::copy_from_slice(text.body),
    })
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
        .cases(1_500);
    fuzz.run(|input| {
        let response = response(input);
        let clock = DiscordClock::default();
        if let Some(date) = response.discord_date() {
            let sent = Instant::now();
            let _ = clock.observe(date, sent, sent + Duration::from_millis(80));
        }
        let _ = (clock.offset(), clock.least_offset_ms(0), response.proxy_attempts());
        match response
            .failed(&http::Method::PATCH, "webhooks/1/t/messages/@original")
            .map(|failed| failed.error)
        {
            None => "a success".to_owned(),
            Some(error) => {
                if let Error::RateLimited { retry_after } = &error {
                    assert!(
                        *retry_after <= Duration::from_secs(24 * 3_600),
                        "a wait of {retry_after:?}"
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
