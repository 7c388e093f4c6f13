//! The edge that callers meet: reads a call, refuses what cannot be read or may not be asked, and answers.
//!
//! Everything that a caller can get wrong is answered here, in Discord's shape, with what to do. Nothing of Discord's is
//! decided here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrakis_contracts::proxy::{self, ProxyError, Urgency};
use arrakis_discord_http::CallClass;
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

use crate::call::{Call, Manner};
use crate::callers::{Caller, Callers};
use crate::config::Tuning;
use crate::forward::Forwarder;
use crate::operator::Operator;
use crate::refusal::Refusal;
use crate::route::{Route, segments};
use crate::secrets;

/// Bodies held at once by one replica, in KiB: calls that wait keep theirs.
const BODIES: u32 = 256 << 10;
/// Bound of receiving a body from a caller.
const RECEIVE: Duration = Duration::from_secs(30);
/// How much of a body too large is read away, so that its sender hears the refusal instead of a broken pipe.
const DRAINED: usize = 64 << 20;
/// Longest wait that a caller may name.
const LONGEST_DEADLINE: Duration = Duration::from_secs(900);
/// Longest query.
const LONGEST_QUERY: usize = 4_096;

/// What the edge needs.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    callers: Callers,
    /// The application whose webhooks and commands callers may use.
    application: u64,
    forwarder: Arc<Forwarder>,
    operator: Operator,
    tuning: Tuning,
    bodies: Arc<Semaphore>,
}

impl Edge {
    /// The edge before a forwarder.
    pub(crate) fn new(
        (callers, application): (Callers, u64),
        forwarder: Arc<Forwarder>,
        operator: Operator,
        tuning: Tuning,
    ) -> Self {
        Self {
            callers,
            application,
            forwarder,
            operator,
            tuning,
            bodies: Arc::new(Semaphore::new(BODIES as usize)),
        }
    }

    /// The one route that there is.
    pub(crate) fn router(self) -> Router {
        Router::new().fallback(handle).with_state(self)
    }
}

async fn handle(State(edge): State<Edge>, request: Request) -> Response {
    match answer(&edge, request).await {
        Ok(response) => response,
        Err(refusal) => {
            edge.forwarder.metrics.refused(refusal.error);
            tracing::info!(why = refusal.error.name(), message = refusal.message, "refused");
            refusal.into_response()
        }
    }
}

async fn answer(edge: &Edge, request: Request) -> Result<Response, Refusal> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    if let Some(response) = edge.operator.answer(&parts).await {
        return Ok(response);
    }
    let caller = edge.callers.authenticate(&parts.headers).ok_or_else(unknown_caller)?;
    let bad = |why: String| Refusal::new(ProxyError::BadRequest, why);
    let path = parts.uri.path();
    let segments = segments(path).map_err(|why| bad(why.to_string()))?;
    let route = Route::of(&parts.method, &segments);
    let hidden = match caller.allowed.allows(&parts.method, &segments, edge.application) {
        Some(hidden) => hidden.to_vec(),
        None if caller.allowed.allows_another_application(&parts.method, &segments) => {
            return Err(not_ours(&caller, &route, edge.application));
        }
        None => return Err(not_allowed(&caller, &route)),
    };
    let below = format!("/{}{}", segments.join("/"), query(parts.uri.query())?);
    let manner = manner(&parts.headers)?;
    let _room = room_for(edge, &parts.headers)?;
    let body = receive(body, &parts.headers, edge.tuning.largest_body).await?;
    let call = Arc::new(Call::new(
        caller,
        (parts.method, below),
        route,
        (&parts.headers, body),
        manner,
        (arrived, edge.tuning.longest_wait),
    ));
    let span = span_of(&call, &parts.headers);
    let mut forwarded = edge.forwarder.forward(Arc::clone(&call)).instrument(span).await?;
    secrets::hide(&mut forwarded.answer, &hidden);
    let mut response = Response::new(Body::from(forwarded.answer.body));
    *response.status_mut() = forwarded.answer.status;
    *response.headers_mut() = forwarded.answer.headers;
    response
        .headers_mut()
        .insert(proxy::ATTEMPTS, forwarded.attempts.into());
    Ok(response)
}

fn span_of(call: &Call, headers: &HeaderMap) -> tracing::Span {
    let trace = headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok()?.parse::<Traceparent>().ok())
        .map(|parent| parent.trace_id());
    tracing::info_span!(
        "proxy.call.forward",
        caller = call.caller.name,
        route = call.route.template,
        lane = call.route.lane.name(),
        tenant = &*call.tenant,
        urgency = call.urgency.name(),
        guild.id = call.route.guild,
        trace
    )
}

fn unknown_caller() -> Refusal {
    Refusal::new(
        ProxyError::UnknownCaller,
        "no known credential; send Authorization: Bearer with this service's credential, as PROXY_CREDENTIALS has it",
    )
}

fn not_allowed(caller: &Caller, route: &Route) -> Refusal {
    let (name, template) = (&caller.name, &route.template);
    Refusal::new(
        ProxyError::NotAllowed,
        format!("caller {name} may not ask {template}; if it should, add an entry with a reason to allow-lists.yaml"),
    )
}

fn not_ours(caller: &Caller, route: &Route, application: u64) -> Refusal {
    let (name, template) = (&caller.name, &route.template);
    Refusal::new(
        ProxyError::NotAllowed,
        format!(
            "caller {name} may ask {template} for our own application only, which is {application} (DISCORD_APPLICATION_ID of the \
             proxy, or the first part of its bot token)"
        ),
    )
}

fn query(query: Option<&str>) -> Result<String, Refusal> {
    match query {
        None => Ok(String::new()),
        Some(query) if query.len() <= LONGEST_QUERY => Ok(format!("?{query}")),
        Some(_) => Err(Refusal::new(
            ProxyError::BadRequest,
            format!("the query is longer than {LONGEST_QUERY} bytes"),
        )),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .map_err(|_| bad(format!("{name} has characters outside ASCII")))?;
    Ok(Some(value.trim()))
}

fn bad(why: String) -> Refusal {
    Refusal::new(ProxyError::BadRequest, why)
}

pub(crate) fn manner(headers: &HeaderMap) -> Result<Manner, Refusal> {
    let tenant = text(headers, proxy::TENANT)?;
    let speakable = |name: &str| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte))
    };
    if tenant.is_some_and(|tenant| !speakable(tenant)) {
        let name = proxy::TENANT;
        return Err(bad(format!(
            "{name} has 1 to 64 letters, digits and -_:. in it; it is usually a guild's id"
        )));
    }
    let urgency = text(headers, proxy::URGENCY)?
        .map(str::parse::<Urgency>)
        .transpose()
        .map_err(bad)?;
    let deadline = text(headers, proxy::DEADLINE_MS)?.map(read_deadline).transpose()?;
    let class = text(headers, proxy::CALL_CLASS)?
        .map(str::parse::<CallClass>)
        .transpose()
        .map_err(|why| bad(format!("{}: {why}", proxy::CALL_CLASS)))?;
    Ok(Manner {
        tenant: tenant.map(str::to_owned),
        urgency,
        deadline,
        class,
    })
}

fn read_deadline(value: &str) -> Result<Duration, Refusal> {
    let read = value.parse().ok().map(Duration::from_millis);
    read.filter(|wait| !wait.is_zero() && *wait <= LONGEST_DEADLINE)
        .ok_or_else(|| {
            let (name, most) = (proxy::DEADLINE_MS, LONGEST_DEADLINE.as_millis());
            bad(format!(
                "{name} is \"{value}\"; it is a number of milliseconds between 1 and {most}"
            ))
        })
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| HeaderValue::to_str(value).ok()?.parse().ok())
}

/// Room for a body, kept until the call is answered.
fn room_for(edge: &Edge, headers: &HeaderMap) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let bytes = length(headers).unwrap_or(if chunked { edge.tuning.largest_body } else { 0 });
    let kib = u32::try_from(bytes.min(edge.tuning.largest_body).div_ceil(1_024)).unwrap_or(BODIES);
    if kib == 0 {
        return Ok(None);
    }
    let room = Arc::clone(&edge.bodies).try_acquire_many_owned(kib);
    room.map(Some).map_err(|_| {
        let words = "the bodies of calls that wait fill the memory that this proxy has for them; Discord was not asked";
        Refusal::new(ProxyError::WaitedTooLong, words).retry_after(Duration::from_secs(2))
    })
}

async fn receive(body: Body, headers: &HeaderMap, largest: usize) -> Result<Bytes, Refusal> {
    let receive = async {
        let mut body = body.into_data_stream();
        let mut received = BytesMut::new();
        let mut seen = 0;
        let announced = length(headers).is_some_and(|length| length > largest);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| bad(format!("the body broke off: {error}")))?;
            seen += chunk.len();
            if seen > DRAINED {
                break;
            }
            if seen <= largest && !announced {
                received.extend_from_slice(&chunk);
            }
        }
        if announced || seen > largest {
            return Err(too_large(largest));
        }
        Ok(received.freeze())
    };
    tokio::time::timeout(RECEIVE, receive).await.unwrap_or_else(|_| {
        let seconds = RECEIVE.as_secs();
        Err(bad(format!("the body did not arrive within {seconds} s")))
    })
}

fn too_large(largest: usize) -> Refusal {
    Refusal::new(
        ProxyError::BodyTooLarge,
        format!("the body is larger than {largest} bytes, the most that Discord takes; send less or in parts"),
    )
}
