//! Mutated requests of callers, responses of Discord and configurations: see `arrakis-fuzz`.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use arrakis_config::{Reader, Service, Source};
use arrakis_discord_http::Response;
use arrakis_fuzz::{Fuzz, HttpInput};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::allow_list::AllowLists;
use crate::call::{Call, CallParts};
use crate::callers::{Callers, Credential};
use crate::config::Config;
use crate::limits::{Pause, RateLimitUpdate};
use crate::route::{CallRoute, segments};
use crate::server::call_options;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
/// Longest time for which a response may pause calls.
const DAY: Duration = Duration::from_secs(24 * 3_600 + 60);

/// Headers as hyper would read them.
fn headers(text: &HttpInput<'_>) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &[u8])| Some((HeaderName::from_str(name).ok()?, HeaderValue::from_bytes(value).ok()?));
    let mut map = HeaderMap::new();
    for (name, value) in text.headers.iter().filter_map(pair) {
        map.append(name, value);
    }
    map
}

/// Responses of Discord: the limits that are read from them are bounded.
#[test]
fn answers() {
    let words = [
        "x-ratelimit-bucket: ",
        "x-ratelimit-limit: ",
        "x-ratelimit-remaining: ",
        "x-ratelimit-reset-after: ",
        "x-ratelimit-scope: shared",
        "x-ratelimit-global: true",
        "retry-after: ",
        "\"retry_after\":",
        "\"global\":true",
        "HTTP 429",
    ];
    Fuzz::target(HERE, "answers")
        .dictionary(&words)
        .cases(6_000)
        .run(|input| {
            let text = HttpInput::read(input);
            let status = text.first.strip_prefix("HTTP ").and_then(|status| status.parse().ok());
            let status = status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::OK);
            let response = Response {
                status,
                headers: headers(&text),
                body: Bytes::copy_from_slice(text.body),
            };
            let (update, _) = RateLimitUpdate::read(&response);
            let pause = match &update.pause {
                Some(Pause::Global(wait) | Pause::Edge(wait) | Pause::Route(wait)) => Some(*wait),
                None => None,
            };
            assert!(pause.is_none_or(|wait| wait <= DAY), "a pause of {pause:?}");
            if let Some(bucket) = &update.bucket {
                assert!(bucket.hash.len() <= 128 && bucket.limit > 0, "{bucket:?}");
                assert!(bucket.reset_after <= DAY, "a bucket for {:?}", bucket.reset_after);
            }
            format!(
                "{} bucket {} pause {}",
                status.is_success(),
                update.bucket.is_some(),
                pause.is_some()
            )
        });
}

/// Requests to the port for callers.
#[test]
fn calls() {
    let credential: Credential = "worker=0123456789abcdef".parse().unwrap();
    let callers = Callers::new(vec![credential], &AllowLists::built_in().unwrap()).unwrap();
    let words = [
        "/api/v10/",
        "/guilds/",
        "/channels/",
        "/webhooks/",
        "/interactions/",
        "/@original",
        "x-arrakis-tenant: ",
        "x-arrakis-urgency: bulk",
        "x-arrakis-deadline-ms: ",
        "authorization: Bearer ",
        "content-type: application/json",
        "\"nonce\":",
        "\"enforce_nonce\":true",
        "%2e%2e",
    ];
    Fuzz::target(HERE, "calls")
        .dictionary(&words)
        .cases(6_000)
        .run(|input| {
            let text = HttpInput::read(input);
            let headers = headers(&text);
            let Some(caller) = callers.authenticate(&headers) else {
                return "no caller".to_owned();
            };
            let (method, target) = text.first.split_once(' ').unwrap_or(("GET", text.first));
            let Ok(method) = Method::from_str(method) else {
                return "no method".to_owned();
            };
            let path = target.split('?').next().unwrap_or_default();
            let segments = match segments(path) {
                Ok(segments) => segments,
                Err(error) => return error.to_string(),
            };
            let allowed = caller.allowed.allows(&method, &segments, 1).is_some();
            let route = CallRoute::of(&method, &segments);
            // A path has 1,024 bytes at most; its shortest segments become `{other}`.
            assert!(
                route.route.template.len() <= 4 * 1_024 + 16,
                "a template of {} bytes",
                route.route.template.len()
            );
            let options = match call_options(&headers) {
                Ok(options) => options,
                Err(refusal) => return refusal.message,
            };
            let parts = CallParts {
                method,
                path_and_query: path.to_owned(),
                route,
                headers: &headers,
                body: Bytes::copy_from_slice(text.body),
                arrived: Instant::now(),
                max_wait: Duration::from_secs(30),
            };
            let call = Call::new(caller, parts, options);
            assert!(
                !call.headers.contains_key("authorization"),
                "a credential would reach Discord"
            );
            format!("{allowed} {} {} {}", call.route.class, call.class, call.urgency.name())
        });
}

#[test]
fn configuration() {
    let names: Vec<_> = arrakis_config::VARIABLES
        .iter()
        .map(arrakis_config::Variable::assignment)
        .collect();
    let words: Vec<_> = names.iter().map(String::as_str).collect();
    let fuzz = Fuzz::target(HERE, "configuration")
        .dictionary(&words)
        .cases(400)
        .max_memory(64, 1 << 20);
    fuzz.run(|text| {
        let text = String::from_utf8_lossy(text);
        let pairs = arrakis_fuzz::variables(&text);
        match Reader::load(Service::DiscordProxy, Source::pairs(pairs), Config::read) {
            Ok(_) => "good".to_owned(),
            Err(errors) => errors.to_string().lines().last().unwrap_or_default().to_owned(),
        }
    });
}
