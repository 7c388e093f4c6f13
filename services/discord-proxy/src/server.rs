//! The HTTP server for callers: reads a request, checks credential, path, headers and allow-list, and writes the response.
//!
//! Every error of a caller is answered here, in Discord's error form, with advice. Nothing is decided here about Discord.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::{self, ProxyError, Urgency};
use arrakis_discord_http::CallClass;
use arrakis_telemetry::export::set_parent;
use arrakis_telemetry::trace::Traceparent;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use crate::call::{Call, CallOptions, CallParts};
use crate::callers::{Caller, Callers};
use crate::config::Tuning;
use crate::forward::Forwarder;
use crate::kill_switch_endpoint::KillSwitchEndpoint;
use crate::operator::Operator;
use crate::redaction;
use crate::refusal::Refusal;
use crate::route::{CallRoute, segments};

/// Request bodies that one replica buffers at once, in KiB: calls that wait keep theirs.
const MAX_BUFFERED_KIB: u32 = 256 << 10;
/// Longest time of receiving a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a body that is too large that are read, so that its sender receives the refusal instead of a reset connection.
const MAX_DISCARDED: usize = 64 << 20;
/// Longest deadline that a caller may set.
const MAX_DEADLINE: Duration = Duration::from_secs(900);
/// Longest query in bytes.
const MAX_QUERY: usize = 4_096;

/// The server for callers.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    callers: Callers,
    /// The application whose webhooks and commands callers may use.
    application: u64,
    forwarder: Arc<Forwarder>,
    operator: Operator,
    kill_switch: KillSwitchEndpoint,
    tuning: Tuning,
    /// Free KiB for request bodies.
    buffer: Arc<Semaphore>,
}

impl Server {
    /// A server that forwards the calls of `callers`, for one application.
    pub(crate) fn new(
        callers: Callers,
        application: u64,
        forwarder: Arc<Forwarder>,
        operator: Operator,
        kill_switch: KillSwitchEndpoint,
        tuning: Tuning,
    ) -> Self {
        Self {
            callers,
            application,
            forwarder,
            operator,
            kill_switch,
            tuning,
            buffer: Arc::new(Semaphore::new(MAX_BUFFERED_KIB as usize)),
        }
    }

    /// The router: one handler for every path.
    pub(crate) fn router(self) -> Router {
        Router::new().fallback(handle).with_state(self)
    }
}

async fn handle(State(server): State<Server>, request: Request) -> Response {
    match respond(&server, request).await {
        Ok(response) => response,
        Err(refusal) => {
            server.forwarder.metrics.refused(refusal.error);
            tracing::info!(error = refusal.error.name(), message = refusal.message, "call refused");
            refusal.into_response()
        }
    }
}

async fn respond(server: &Server, request: Request) -> Result<Response, Refusal> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    if let Some(response) = server.operator.respond(&parts).await {
        return Ok(response);
    }
    if server.kill_switch.is_for(&parts) {
        return Ok(server.kill_switch.respond(&parts, body).await);
    }
    let caller = server.callers.authenticate(&parts.headers).ok_or_else(unknown_caller)?;
    let segments = segments(parts.uri.path()).map_err(|error| bad_request(error.to_string()))?;
    let route = CallRoute::of(&parts.method, &segments);
    let removed_fields = match caller.allowed.allows(&parts.method, &segments, server.application) {
        Some(fields) => fields.to_vec(),
        None if caller.allowed.allows_another_application(&parts.method, &segments) => {
            return Err(wrong_application(&caller, &route, server.application));
        }
        None => return Err(not_allowed(&caller, &route)),
    };
    let path_and_query = format!("/{}{}", segments.join("/"), query(parts.uri.query())?);
    let options = call_options(&parts.headers)?;
    let _buffered = reserve_buffer(server, &parts.headers)?;
    let body = receive(body, &parts.headers, server.tuning.max_body).await?;
    let call_parts = CallParts {
        method: parts.method,
        path_and_query,
        route,
        headers: &parts.headers,
        body,
        arrived,
        max_wait: server.tuning.max_wait,
    };
    let call = Arc::new(Call::new(caller, call_parts, options));
    let span = span(&call, &parts.headers);
    let mut forwarded = server.forwarder.forward(Arc::clone(&call)).instrument(span).await?;
    redaction::remove_fields(&mut forwarded.response, &removed_fields);
    let mut response = Response::new(Body::from(forwarded.response.body));
    *response.status_mut() = forwarded.response.status;
    *response.headers_mut() = forwarded.response.headers;
    response
        .headers_mut()
        .insert(proxy::ATTEMPTS, forwarded.attempts.into());
    Ok(response)
}

fn span(call: &Call, headers: &HeaderMap) -> tracing::Span {
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let trace = traceparent
        .and_then(|text| text.parse::<Traceparent>().ok())
        .map(|parent| parent.trace_id());
    let span = tracing::info_span!(
        "proxy.call.forward",
        caller = call.caller.name,
        route = &*call.route.route.template,
        lane = call.route.lane.name(),
        tenant = &*call.tenant,
        urgency = call.urgency.name(),
        guild.id = call.route.guild,
        trace
    );
    if let Some(traceparent) = traceparent {
        set_parent(&span, traceparent);
    }
    span
}

fn unknown_caller() -> Refusal {
    Refusal::new(
        ProxyError::UnknownCaller,
        "missing or unknown credential; send Authorization: Bearer with this service's credential in PROXY_CREDENTIALS",
    )
}

fn not_allowed(caller: &Caller, route: &CallRoute) -> Refusal {
    let (name, template) = (&caller.name, &route.route.template);
    Refusal::new(
        ProxyError::NotAllowed,
        format!("caller {name} may not send {template}; to allow it, add an entry with a reason to allow-lists.yaml"),
    )
}

fn wrong_application(caller: &Caller, route: &CallRoute, application: u64) -> Refusal {
    let (name, template) = (&caller.name, &route.route.template);
    Refusal::new(
        ProxyError::NotAllowed,
        format!(
            "caller {name} may send {template} only for the bot's application, which is {application} (DISCORD_APPLICATION_ID of \
             the proxy, or the first part of its bot token)"
        ),
    )
}

fn query(query: Option<&str>) -> Result<String, Refusal> {
    match query {
        None => Ok(String::new()),
        Some(query) if query.len() <= MAX_QUERY => Ok(format!("?{query}")),
        Some(_) => Err(bad_request(format!("the query is longer than {MAX_QUERY} bytes"))),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .map_err(|_| bad_request(format!("{name} has characters outside ASCII")))?;
    Ok(Some(value.trim()))
}

fn bad_request(message: String) -> Refusal {
    Refusal::new(ProxyError::BadRequest, message)
}

/// Reads the options that a caller sets by headers.
pub(crate) fn call_options(headers: &HeaderMap) -> Result<CallOptions, Refusal> {
    let tenant = text(headers, proxy::TENANT)?;
    let is_valid = |name: &str| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte))
    };
    if tenant.is_some_and(|tenant| !is_valid(tenant)) {
        let name = proxy::TENANT;
        return Err(bad_request(format!(
            "{name} must have 1 to 64 letters, digits or characters of -_:. and is usually a guild's id"
        )));
    }
    let urgency = text(headers, proxy::URGENCY)?
        .map(str::parse::<Urgency>)
        .transpose()
        .map_err(bad_request)?;
    let deadline = text(headers, proxy::DEADLINE_MS)?.map(parse_deadline).transpose()?;
    let class = text(headers, proxy::CALL_CLASS)?
        .map(str::parse::<CallClass>)
        .transpose()
        .map_err(|error| bad_request(format!("{}: {error}", proxy::CALL_CLASS)))?;
    Ok(CallOptions {
        tenant: tenant.map(str::to_owned),
        urgency,
        deadline,
        class,
    })
}

fn parse_deadline(value: &str) -> Result<Duration, Refusal> {
    let deadline = value.parse().ok().map(Duration::from_millis);
    deadline
        .filter(|wait| !wait.is_zero() && *wait <= MAX_DEADLINE)
        .ok_or_else(|| {
            let (name, max) = (proxy::DEADLINE_MS, MAX_DEADLINE.as_millis());
            bad_request(format!(
                "{name} is \"{value}\"; it must be a number of milliseconds between 1 and {max}"
            ))
        })
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| HeaderValue::to_str(value).ok()?.parse().ok())
}

/// Reserves memory for a body until the call is answered.
fn reserve_buffer(server: &Server, headers: &HeaderMap) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    let max = server.tuning.max_body;
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let bytes = content_length(headers).unwrap_or(if chunked { max } else { 0 });
    let kib = u32::try_from(bytes.min(max).div_ceil(1_024)).unwrap_or(MAX_BUFFERED_KIB);
    if kib == 0 {
        return Ok(None);
    }
    let reserved = Arc::clone(&server.buffer).try_acquire_many_owned(kib);
    reserved.map(Some).map_err(|_| {
        let message = format!(
            "request queue is full: buffered request bodies exceed {} MiB; the call was not sent to Discord",
            MAX_BUFFERED_KIB >> 10
        );
        Refusal::new(ProxyError::WaitedTooLong, message).retry_after(Duration::from_secs(2))
    })
}

async fn receive(body: Body, headers: &HeaderMap, max: usize) -> Result<Bytes, Refusal> {
    let receive = async {
        let mut body = body.into_data_stream();
        let mut received = BytesMut::new();
        let mut read = 0;
        let is_announced_too_large = content_length(headers).is_some_and(|length| length > max);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| bad_request(format!("the body was cut off: {error}")))?;
            read += chunk.len();
            if read > MAX_DISCARDED {
                break;
            }
            if read <= max && !is_announced_too_large {
                received.extend_from_slice(&chunk);
            }
        }
        if is_announced_too_large || read > max {
            return Err(Refusal::new(
                ProxyError::BodyTooLarge,
                format!(
                    "the body is larger than {max} bytes, which Discord does not accept; send a smaller one, or several"
                ),
            ));
        }
        Ok(received.freeze())
    };
    tokio::time::timeout(BODY_TIMEOUT, receive).await.unwrap_or_else(|_| {
        let seconds = BODY_TIMEOUT.as_secs();
        Err(bad_request(format!("the body was not received within {seconds} s")))
    })
}
