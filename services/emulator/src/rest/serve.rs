//! Path of a request: edge, route, fault, token, limits, handler, record.

use std::{net::SocketAddr, time::Instant};

use axum::{
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use http::{HeaderMap, header};

use super::{
    Rest,
    body::{self, shorten},
    call::Call,
    errors::{ApiError, ApiResult, ErrorCode},
    limits::Scope,
    response::{Delivery, RestResponse},
    route::{Access, Route, RouteMatch, find},
    validate::query::Query,
};
use crate::{
    faults::{FaultResponse, RestFault, RestFaultEnd},
    http_server::ResetOnClose,
    model::Timestamp,
    traffic::RestCall,
};

/// Handles every request of the REST listener.
pub async fn serve(State(rest): State<Rest>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request) -> Response {
    let started = Instant::now();
    let now_ms = rest.app.clock.now_ms();
    let reset = request.extensions().get::<ResetOnClose>().cloned();
    let mut record = RestCall {
        at_ms: now_ms,
        method: request.method().to_string(),
        path: below_version(request.uri().path()).1.to_owned()
            + &request
                .uri()
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default(),
        caller: bearer(request.headers()).map(fingerprint),
        ..RestCall::default()
    };
    let reply = match rest.limits.banned_for(peer.ip(), now_ms) {
        Some(for_ms) if rest.app.options.rate_limits => RestResponse::banned(for_ms),
        _ => answer(&rest, request, &mut record).await,
    };
    record.status = reply.status.as_u16();
    record.limit_scope = reply.scope.map(|scope| scope.name().to_owned());
    record.invalid = reply.counts_as_invalid();
    record.fault |= reply.fault;
    let json = reply
        .content_type
        .as_deref()
        .is_some_and(|kind| kind.starts_with("application/json"));
    if json && !reply.body.is_empty() && rest.app.traffic.is_watched() {
        record.response = Some(shorten(String::from_utf8_lossy(&reply.body).into_owned()));
    }
    record.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    if record.invalid && rest.app.options.rate_limits {
        rest.limits.count_invalid(peer.ip(), now_ms);
    }
    rest.app.traffic.rest(record);
    match reply.delivery {
        Delivery::Hangs => return std::future::pending().await,
        Delivery::Lost if reply.resets => {
            if let Some(reset) = reset {
                reset.set();
            }
        }
        _ => {}
    }
    reply.into_response(rest.app.clock.now_ms())
}

/// Prefix of a path.
enum Version {
    /// `/api`, `/api/v6` to `/api/v10`.
    Known,
    /// `/api/v<other>`.
    Unknown,
    /// The content network.
    Outside,
}

/// Splits `/api/v10/users/@me` into version and `/users/@me`.
fn below_version(path: &str) -> (Version, &str) {
    let Some(rest) = path
        .strip_prefix("/api")
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return (Version::Outside, path);
    };
    let Some(numbered) = rest.strip_prefix("/v") else {
        return (Version::Known, rest);
    };
    let end = numbered.find('/').unwrap_or(numbered.len());
    match numbered[..end].parse::<u8>() {
        Ok(6..=10) => (Version::Known, &numbered[end..]),
        Ok(_) => (Version::Unknown, &numbered[end..]),
        // Not a version: `/api/voice/regions`.
        Err(_) => (Version::Known, rest),
    }
}

async fn answer(rest: &Rest, request: Request, record: &mut RestCall) -> RestResponse {
    let (parts, body) = request.into_parts();
    let (version, path) = below_version(parts.uri.path());
    let found = match version {
        Version::Unknown => return RestResponse::of_error(&ErrorCode::InvalidApiVersion.into()),
        Version::Known => find(&rest.routes, &parts.method, path),
        Version::Outside => find(super::routes::CDN, &parts.method, path),
    };
    let (route, params) = match found {
        RouteMatch::Route(route, params) => (*route, params),
        RouteMatch::WrongMethod => return RestResponse::of_error(&ErrorCode::MethodNotAllowed.into()),
        RouteMatch::NotFound => return RestResponse::of_error(&ErrorCode::NotFound.into()),
    };
    record.route = Some(route.template.to_owned());
    let body = match body::read(&parts.headers, body).await {
        Ok(body) => body,
        Err(error) => return RestResponse::of_error(&error),
    };
    record.request = body.logged();
    let fault = rest.app.faults.for_rest(parts.method.as_str(), route.template, path);
    let mut end = None;
    if let Some(RestFault { delay, answer }) = fault {
        record.fault = true;
        tokio::time::sleep(delay).await;
        match answer {
            Some(FaultResponse {
                after_effect: false,
                end,
            }) => return faulty_response(RestResponse::of_status(200), end),
            Some(FaultResponse {
                after_effect: true,
                end: after,
            }) => end = Some(after),
            None => {}
        }
    }
    let reply = limited(rest, &route, &params, &parts.headers, record, || {
        let call = Call {
            app: rest.app.clone(),
            limits: std::sync::Arc::clone(&rest.limits),
            query: Query::parse(parts.uri.query()),
            reason: read_reason(&parts.headers)?,
            now: Timestamp(rest.app.clock.now_ms()),
            params: params.clone(),
            body,
        };
        (route.handler)(&call)
    });
    if let Some(reason) = parts
        .headers
        .get("x-audit-log-reason")
        .and_then(|value| value.to_str().ok())
    {
        record.reason = Some(
            percent_encoding::percent_decode_str(reason)
                .decode_utf8_lossy()
                .into_owned(),
        );
    }
    record.effect_status = Some(reply.status.as_u16());
    match end {
        Some(end) => faulty_response(reply, end),
        None => reply,
    }
}

/// The response to the caller of a call to which a fault applies.
fn faulty_response(mut reply: RestResponse, end: RestFaultEnd) -> RestResponse {
    reply.fault = true;
    match end {
        RestFaultEnd::Status(status) => return RestResponse::of_status(status),
        RestFaultEnd::RateLimited { scope, retry_after } => return faulty_limit(&scope, retry_after),
        RestFaultEnd::Garbage => return RestResponse::garbage(),
        RestFaultEnd::Cut => reply.delivery = Delivery::Lost,
        RestFaultEnd::Reset => (reply.delivery, reply.resets) = (Delivery::Lost, true),
        RestFaultEnd::Hang => reply.delivery = Delivery::Hangs,
        RestFaultEnd::Half => {
            // The response needs a body, of which half can be missing.
            if reply.body.is_empty() {
                reply = RestResponse::of_status(200);
            }
            reply.delivery = Delivery::Half;
        }
        RestFaultEnd::SlowBody(time) => reply.delivery = Delivery::Slow(time),
    }
    reply
}

/// Token, global limit, bucket, then the handler.
fn limited(
    rest: &Rest,
    route: &Route,
    params: &[(&'static str, String)],
    headers: &HeaderMap,
    record: &mut RestCall,
    handle: impl FnOnce() -> ApiResult<super::call::RouteResponse>,
) -> RestResponse {
    let caller = match authorise(rest, route, headers) {
        Ok(caller) => caller,
        Err(error) => return RestResponse::of_error(&error),
    };
    record.counts_globally = caller.is_some() && route.access != Access::Interaction;
    let now_ms = rest.app.clock.now_ms();
    let limits_on = rest.app.options.rate_limits;
    if let Some(caller) = caller.filter(|_| limits_on && record.counts_globally)
        && let Err(refusal) = rest.limits.take_global(caller, now_ms)
    {
        return RestResponse::refused(&refusal);
    }
    let mut bucket = None;
    if limits_on && let Some(key) = route.bucket(params) {
        match rest.limits.take_bucket(key, now_ms) {
            Ok(state) => bucket = Some(state),
            Err(refusal) => return RestResponse::refused(&refusal),
        }
    }
    let mut reply = match handle() {
        Ok(answer) => RestResponse::of_answer(answer),
        Err(error) => match error.retry_after_ms {
            Some(retry_after_ms) => {
                RestResponse::rate_limited_as(Scope::User, retry_after_ms, error.code, &error.message)
            }
            None => RestResponse::of_error(&error),
        },
    };
    if let Some(bucket) = bucket {
        reply.add_bucket(&bucket);
    }
    reply
}

/// The bot token of a call, when it is valid. A token sent to a route that needs none is checked too.
fn authorise<'a>(rest: &Rest, route: &Route, headers: &'a HeaderMap) -> ApiResult<Option<&'a str>> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = sent.and_then(|value| value.strip_prefix("Bot "));
    let valid = token.filter(|token| rest.app.world.read(|state| state.token == *token));
    match (route.access, sent, valid) {
        (Access::Interaction, ..) | (Access::Open, None, _) => Ok(None),
        (_, _, Some(token)) => Ok(Some(token)),
        _ => Err(ErrorCode::Unauthorized.into()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// The part of a token that identifies callers and cannot be used as a token.
fn fingerprint(authorization: &str) -> String {
    let token = authorization.strip_prefix("Bot ").unwrap_or(authorization);
    token.chars().take(10).collect::<String>() + "…"
}

/// `X-Audit-Log-Reason`, decoded: <https://discord.com/developers/docs/resources/audit-log>.
fn read_reason(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(value) = headers.get("x-audit-log-reason") else {
        return Ok(None);
    };
    let text = percent_encoding::percent_decode(value.as_bytes())
        .decode_utf8_lossy()
        .trim()
        .to_owned();
    match text.chars().count() {
        0 => Ok(None),
        1..=512 => Ok(Some(text)),
        _ => Err(ApiError::field(
            "X-Audit-Log-Reason",
            "BASE_TYPE_BAD_LENGTH",
            "Must be between 1 and 512 in length.",
        )),
    }
}

fn faulty_limit(scope: &str, retry_after: f64) -> RestResponse {
    let scope = match scope {
        "global" => Scope::Global,
        "shared" => Scope::Shared,
        _ => Scope::User,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a waiting time given by hand, clamped"
    )]
    let ms = (retry_after.clamp(0.0, 1e6) * 1_000.0) as u64;
    RestResponse {
        fault: true,
        ..RestResponse::rate_limited(scope, ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_off() {
        for (path, below) in [
            ("/api/v10/users/@me", "/users/@me"),
            ("/api/v9/gateway", "/gateway"),
            ("/api/gateway", "/gateway"),
            ("/api/voice/regions", "/voice/regions"),
        ] {
            assert!(
                matches!(below_version(path), (Version::Known, rest) if rest == below),
                "{path}"
            );
        }
        assert!(matches!(below_version("/api/v11/users/@me").0, Version::Unknown));
        assert!(matches!(below_version("/attachments/1/2/x.png").0, Version::Outside));
        assert!(matches!(below_version("/apis").0, Version::Outside));
    }

    #[test]
    fn reasons_are_decoded_and_bounded() {
        let mut headers = HeaderMap::new();
        assert_eq!(read_reason(&headers).unwrap(), None);
        headers.insert("x-audit-log-reason", "wegen%20L%C3%A4rm".parse().unwrap());
        assert_eq!(read_reason(&headers).unwrap().as_deref(), Some("wegen Lärm"));
        headers.insert("x-audit-log-reason", "x".repeat(513).parse().unwrap());
        assert_eq!(read_reason(&headers).unwrap_err().code, 50035);
    }
}
