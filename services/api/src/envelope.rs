//! What surrounds every request: its id, its client, its time limit, metrics and log, and what every response has: the body of a problem,
//! security headers, `x-request-id`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use arrakis_cache::RateLimit;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::{Instrument as _, field};

use crate::problem::{Problem, ProblemKind};
use crate::services::ApiState;

/// Header with the id of the request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Media type of a problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// Policy of responses that are not pages: nothing is loaded, and no page may frame them.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// One year, as browsers' preload lists demand.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Longest request id of a reverse proxy.
const MAX_REQUEST_ID: usize = 64;

/// Extension of an error response whose body is kept. The body of any other error response is replaced by a problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnBody {
    /// The `code` of the body, for the log.
    pub(crate) code: &'static str,
}

/// Extension of a request: the client address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

/// The outermost layer: gives each request an id, a span and a time limit, catches panics, and writes errors as problems.
pub(crate) async fn envelope(State(services): State<ApiState>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), |info| info.0);
    let request_id = request_id(request.headers(), services.trusted_proxies.is_proxy(peer));
    let client = services.trusted_proxies.client(peer, request.headers());
    request.extensions_mut().insert(Client(client));
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let span = tracing::info_span!(
        "api.request.handle",
        request.id = request_id,
        method = method.as_str(),
        route,
        api_key = field::Empty,
        trace_id = field::Empty,
        otel.status_code = field::Empty,
    );
    if let Some(trace) = span.in_scope(arrakis_telemetry::export::current) {
        span.record("trace_id", trace.trace_id());
    }
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let handled = tokio::time::timeout(services.tuning.request_time, handled);
    let response = match handled.instrument(span.clone()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Problem::internal(format!("the handler panicked: {}", panic_text(&*panic))).into_response(),
        Err(_) => timed_out(services.tuning.request_time).into_response(),
    };
    services.refusals.note(&route, client, &response);
    let mut response = with_problem_body(response, &request_id);
    let took = began.elapsed();
    log(&span, &response, took);
    services.metrics.response(&route, &method, response.status(), took);
    // Pages of other routes have bodies of their own, too.
    if let Some(refusal) = response.extensions().get::<OwnBody>()
        && route.starts_with("/verify/")
    {
        services.metrics.page_refused(refusal.code);
    }
    set_headers(response.headers_mut(), &route, services.public_address.is_https());
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn timed_out(limit: Duration) -> Problem {
    let detail = format!(
        "the request was not handled within {} s; send it again later",
        limit.as_secs()
    );
    Problem::new(ProblemKind::TimedOut, detail).retry_after(Duration::from_secs(5))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

/// The id that a trusted proxy sent, or a new one. Ids of clients are not used: two requests could have one id.
fn request_id(headers: &HeaderMap, is_from_proxy: bool) -> String {
    let is_valid = |id: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (8..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(allowed)
    };
    let sent = headers.get(REQUEST_ID).filter(|_| is_from_proxy);
    let sent = sent.and_then(|value| value.to_str().ok()).filter(is_valid);
    sent.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

/// Writes the body of the problem that the response carries. An error of the router or of an extractor becomes a problem, too.
fn with_problem_body(mut response: Response, request_id: &str) -> Response {
    let status = response.status();
    if response.extensions().get::<OwnBody>().is_some() {
        return response;
    }
    let problem = response.extensions_mut().remove::<Problem>();
    let problem = match problem {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => problem_of(status),
        None => return response,
    };
    let mut headers = std::mem::take(response.headers_mut());
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(time) = problem.retry_after {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, seconds.max(1).into());
    }
    let mut with_body = Response::new(Body::from(problem.body(request_id)));
    *with_body.status_mut() = problem.kind.status();
    *with_body.headers_mut() = headers;
    with_body.extensions_mut().insert(problem);
    with_body
}

/// The problem of a response that the router or an extractor of the library made.
fn problem_of(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::new(
            ProblemKind::UnknownRoute,
            "no route has this path; /openapi.json lists all routes",
        ),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            ProblemKind::MethodNotAllowed,
            "this route does not have this method; the header Allow lists its methods",
        ),
        StatusCode::BAD_REQUEST => Problem::new(
            ProblemKind::InvalidParameter,
            "the path is not valid percent-encoded UTF-8",
        ),
        other => Problem::internal(format!("a response without a problem has the status {other}")),
    }
}

fn log(span: &tracing::Span, response: &Response, took: Duration) {
    let (status, duration_ms) = (
        response.status().as_u16(),
        u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    );
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let problem = response.extensions().get::<Problem>();
    let code = code_of(response);
    match problem.and_then(|problem| problem.cause.as_deref()) {
        Some(error) => tracing::error!(parent: span, status, duration_ms, code, error, "request failed"),
        None if status >= 400 => tracing::info!(parent: span, status, duration_ms, code, "request refused"),
        None => tracing::debug!(parent: span, status, duration_ms, "request handled"),
    }
}

/// The `code` of the body of an error response; empty for other responses.
fn code_of(response: &Response) -> &'static str {
    let extensions = response.extensions();
    if let Some(problem) = extensions.get::<Problem>() {
        return problem.kind.code();
    }
    extensions.get::<OwnBody>().map_or("", |body| body.code)
}

fn set_headers(headers: &mut HeaderMap, route: &str, is_https: bool) {
    let mut default = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    default(header::CONTENT_SECURITY_POLICY, DATA_POLICY);
    default(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    default(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    default(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    default(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    // Errors must not be cached either.
    default(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_https {
        default(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    if route.starts_with("/admin") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Adds the headers of a rate limit, as in the IETF's draft `draft-ietf-httpapi-ratelimit-headers`.
pub(crate) fn add_rate_limit(headers: &mut HeaderMap, limit: &str, bucket: arrakis_cache::Bucket, result: RateLimit) {
    let (left, wait) = match result {
        RateLimit::Within { left } => (left, bucket.refill.saturating_mul(bucket.burst.saturating_sub(left))),
        RateLimit::Exceeded { retry_after } => (0, retry_after),
        RateLimit::Uncounted => return,
    };
    let seconds = |time: Duration| time.as_millis().div_ceil(1000).max(1);
    let window = seconds(bucket.window());
    let texts = [
        ("ratelimit-policy", format!("\"{limit}\";q={};w={window}", bucket.burst)),
        ("ratelimit", format!("\"{limit}\";r={left};t={}", seconds(wait))),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_the_log_is_that_of_the_body() {
        let mut refused = StatusCode::GONE.into_response();
        assert_eq!(code_of(&refused), "");
        refused.extensions_mut().insert(OwnBody { code: "expired" });
        assert_eq!(code_of(&refused), "expired");
        let unknown = with_problem_body(StatusCode::NOT_FOUND.into_response(), "request-1");
        assert_eq!(code_of(&unknown), ProblemKind::UnknownRoute.code());
    }
}
