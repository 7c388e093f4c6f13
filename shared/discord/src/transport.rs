//! Sends one request to a replica of the proxy, and to the next one where the table of `arrakis-discord-http` allows it.
//!
//! Repeated here is what failed before or behind a proxy: a replica that refuses this service, is shutting down, hangs, loses the
//! connection or cannot reach Discord. A failure that Discord returned was already retried by the proxy. Two exceptions: first
//! responses, whose time is short, are also repeated here, and a 429 is waited for where one attempt was too short for its wait.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_causes::causes;
use arrakis_contracts::proxy::DEADLINE_MS;
use arrakis_discord_http::{Attempts, CallClass, Decision, Ending, Failure, Response};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::error::Error;
use crate::request::Request;
use crate::response::{FailedResponse, ProxyResponse, ReplicaRefusal};

/// A proxy on this network accepts a connection within milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Shorter than the proxy's idle timeout, so that this side closes idle connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a replica that failed is tried last.
const AVOID_TIME: Duration = Duration::from_secs(2);
/// Pause before all replicas are tried again; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const MAX_PAUSE: Duration = Duration::from_millis(500);
/// The proxy's deadline is this much before the attempt's: its response states whether the call was sent to Discord.
const DEADLINE_MARGIN: Duration = Duration::from_millis(250);
/// The largest response is a page of 1,000 members.
const MAX_BODY: usize = 8 << 20;
/// Rate limits that one call waits for; each may have been a 429 of Discord, which counts as an invalid request.
const MAX_RATE_LIMITED: u32 = 4;

#[derive(Debug)]
struct Replica {
    /// `http://host:port/api/v10/`, ready for a path.
    base: String,
    /// Until when it is tried last, in milliseconds since the transport was created.
    avoid_until_ms: AtomicU64,
    /// Whether its last response refused this service's credential.
    refuses: Mutex<bool>,
}

/// Time that must be left for another attempt. An attempt of the class "once" that the deadline cuts off has an unknown outcome,
/// where the attempt before it had certainly no effect.
const fn min_attempt_time(class: CallClass) -> Duration {
    match class {
        CallClass::Idempotent | CallClass::TimeBound => Duration::from_millis(100),
        CallClass::Once => Duration::from_millis(600),
    }
}

/// Connections to every replica.
#[derive(Debug)]
pub(crate) struct Transport {
    http: Client<HttpConnector, Full<Bytes>>,
    replicas: Vec<Replica>,
    /// Replica at which the next call starts.
    next: AtomicUsize,
    began: Instant,
}

/// The result of one attempt at one replica.
enum AttemptResult {
    Response(ProxyResponse),
    Failed(Failure, String),
    /// HTTP cannot carry the path or a header; another replica would not help.
    Unsendable(Error),
}

/// The result of a call.
#[derive(Debug)]
pub(crate) struct CallResult {
    /// The body of the success, or the error. The body is empty where an earlier attempt had the effect.
    pub(crate) result: Result<Bytes, Error>,
    /// The last complete response.
    pub(crate) response: Option<ProxyResponse>,
    /// How many times the call was sent to a proxy.
    pub(crate) attempts: u32,
}

/// What follows an attempt.
enum NextStep {
    End,
    OtherReplica,
    /// The next replica after the wait of a 429.
    OtherReplicaAfter(Duration),
}

/// A call in progress.
struct Progress<'a> {
    attempts: Attempts,
    call: CallResult,
    /// Whether one attempt may take less time than the call: then a 429 is waited for here.
    attempts_are_short: bool,
    rate_limited: u32,
    /// Replicas that refused this service.
    refused_by: Vec<&'a str>,
}

impl Transport {
    pub(crate) fn new(proxies: &[Url]) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        let replicas = proxies.iter().map(|url| Replica {
            base: format!("{}/api/v10/", url.as_str().trim_end_matches('/')),
            avoid_until_ms: AtomicU64::new(0),
            refuses: Mutex::new(false),
        });
        Self {
            http,
            replicas: replicas.collect(),
            next: AtomicUsize::new(0),
            began: Instant::now(),
        }
    }

    /// Sends `request` until the table ends it, or `deadline` passes. `attempt_timeout` bounds one attempt of a call that may be
    /// repeated, so that a replica that hangs leaves time for another.
    pub(crate) async fn send(
        &self,
        request: &Request,
        headers: &HeaderMap,
        deadline: Instant,
        attempt_timeout: Option<Duration>,
    ) -> CallResult {
        let class = request.endpoint.class();
        let mut progress = Progress {
            attempts: Attempts::new(class, &request.method),
            call: CallResult {
                result: Err(Error::Unavailable("no discord-proxy is configured".to_owned())),
                response: None,
                attempts: 0,
            },
            attempts_are_short: attempt_timeout.is_some(),
            rate_limited: 0,
            refused_by: Vec::new(),
        };
        let exceeds_deadline = |wait: Duration| Instant::now() + wait + min_attempt_time(class) >= deadline;
        let mut pause = FIRST_PAUSE;
        loop {
            for replica in self.in_order() {
                progress.call.attempts += 1;
                let until = match (class, attempt_timeout) {
                    (CallClass::Idempotent | CallClass::TimeBound, Some(timeout)) => {
                        deadline.min(Instant::now() + timeout)
                    }
                    _ => deadline,
                };
                let attempt = self.attempt(replica, request, headers, until).await;
                let wait = match self.evaluate(replica, request, attempt, &mut progress) {
                    NextStep::End => return progress.call,
                    NextStep::OtherReplica => Duration::ZERO,
                    NextStep::OtherReplicaAfter(wait) => wait,
                };
                if exceeds_deadline(wait) {
                    return progress.deadline_passed();
                }
                if !wait.is_zero() {
                    sleep(wait).await;
                }
            }
            let jittered = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            if exceeds_deadline(jittered) {
                return progress.deadline_passed();
            }
            sleep(jittered).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Records an attempt in `progress`, and decides what follows.
    fn evaluate<'a>(
        &'a self,
        replica: &'a Replica,
        request: &Request,
        attempt: AttemptResult,
        progress: &mut Progress<'a>,
    ) -> NextStep {
        match attempt {
            AttemptResult::Unsendable(error) => {
                progress.call.result = Err(error);
                NextStep::End
            }
            AttemptResult::Failed(failure, reason) => {
                self.avoid(replica);
                progress.failed(failure, Error::Unavailable(reason), true)
            }
            AttemptResult::Response(response) => {
                let failed = response.failed(&request.method, &request.path);
                let refused = failed.as_ref().and_then(|failed| failed.refusal);
                *replica.refuses.lock() = refused == Some(ReplicaRefusal::Credential);
                let body = response.0.body.clone();
                progress.call.response = Some(response);
                let Some(failed) = failed else {
                    progress.call.result = Ok(body);
                    return NextStep::End;
                };
                if failed.shutting_down || refused.is_some() {
                    self.avoid(replica);
                }
                if refused.is_some() {
                    return progress.refused(&replica.base, failed.error, self.replicas.len());
                }
                progress.failed_response(failed)
            }
        }
    }

    /// Addresses of the replicas whose last response refused this service's credential.
    pub(crate) fn refusing(&self) -> Vec<String> {
        let refusing = self.replicas.iter().filter(|replica| *replica.refuses.lock());
        refusing.map(|replica| replica.base.clone()).collect()
    }

    /// All replicas, starting with another one for each call; those that failed lately are last.
    fn in_order(&self) -> Vec<&Replica> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let now = self.now_ms();
        let count = self.replicas.len();
        let mut order: Vec<_> = (0..count).map(|i| &self.replicas[(start + i) % count]).collect();
        order.sort_by_key(|replica| replica.avoid_until_ms.load(Ordering::Relaxed) > now);
        order
    }

    fn avoid(&self, replica: &Replica) {
        let until = self.now_ms() + u64::try_from(AVOID_TIME.as_millis()).unwrap_or(0);
        replica.avoid_until_ms.store(until, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn attempt(
        &self,
        replica: &Replica,
        request: &Request,
        headers: &HeaderMap,
        until: Instant,
    ) -> AttemptResult {
        let mut built = http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", replica.base, request.path));
        if let Some(map) = built.headers_mut() {
            map.extend(request.headers.clone());
            map.extend(headers.clone());
            let left = until.saturating_duration_since(Instant::now());
            let left = (left - (left / 4).min(DEADLINE_MARGIN)).as_millis();
            map.insert(DEADLINE_MS, u64::try_from(left.max(1)).unwrap_or(u64::MAX).into());
        }
        let built = match built.body(Full::new(request.body.clone())) {
            Ok(built) => built,
            Err(error) => return AttemptResult::Unsendable(Error::unsendable(error)),
        };
        let exchange = async {
            let response = self.http.request(built).await.map_err(|error| {
                let reason = format!("{}: {}", replica.base, causes(&error));
                // hyper repeats a request on a new connection when the peer closed the idle one before the request.
                if error.is_connect() {
                    AttemptResult::Failed(Failure::NotSent, reason)
                } else {
                    AttemptResult::Failed(Failure::ConnectionLost, reason)
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await;
            let body = body.map_err(|error| {
                let reason = format!("{}: the response was cut off: {error}", replica.base);
                AttemptResult::Failed(Failure::ConnectionLost, reason)
            })?;
            Ok::<_, AttemptResult>(ProxyResponse(Response {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            }))
        };
        match timeout_at(until, exchange).await {
            Ok(Ok(response)) => AttemptResult::Response(response),
            Ok(Err(failed)) => failed,
            Err(_) => AttemptResult::Failed(
                Failure::NoResponse,
                format!("{}: no response within the time of the attempt", replica.base),
            ),
        }
    }
}

impl<'a> Progress<'a> {
    /// Records a failed attempt. `here`: whether this process repeats the call where the table allows it.
    fn failed(&mut self, failure: Failure, error: Error, here: bool) -> NextStep {
        let (result, next) = match self.attempts.failed(failure) {
            Decision::Success if self.attempts.may_have_taken_effect() => (Ok(Bytes::new()), NextStep::End),
            // Another call was first; the caller decides whether that is a success.
            Decision::Success => (Err(error), NextStep::End),
            Decision::Repeat { .. } if here => (Err(error), NextStep::OtherReplica),
            Decision::Repeat { exhausted } => (Err(error.ending(exhausted)), NextStep::End),
            Decision::End(ending) => (Err(error.ending(ending)), NextStep::End),
        };
        self.call.result = result;
        next
    }

    fn failed_response(&mut self, failed: FailedResponse) -> NextStep {
        let retry_after = failed.retry_after().filter(|_| self.attempts_are_short);
        let here = failed.is_repeated_here(self.attempts.class());
        if let Some(wait) = retry_after {
            self.rate_limited += 1;
            let here = self.rate_limited <= MAX_RATE_LIMITED;
            return match self.failed(failed.failure, failed.error, here) {
                NextStep::OtherReplica => NextStep::OtherReplicaAfter(wait),
                next => next,
            };
        }
        self.failed(failed.failure, failed.error, here)
    }

    /// Records that a replica refused this service. The call ends when all replicas have.
    fn refused(&mut self, replica: &'a str, error: Error, replicas: usize) -> NextStep {
        if !self.refused_by.contains(&replica) {
            self.refused_by.push(replica);
        }
        let error = error.of_replica(replica);
        let next = self.failed(Failure::NotSent, error.clone(), true);
        if self.refused_by.len() < replicas {
            return next;
        }
        self.call.result = Err(match self.attempts.deadline_passed(false) {
            Ending::OutcomeUnknown => error.ending(Ending::OutcomeUnknown),
            // A call that no replica allows is a configuration error; an unknown credential may be transient.
            Ending::RepeatLater | Ending::Refused => error,
        });
        NextStep::End
    }

    /// Ends the call at its deadline.
    fn deadline_passed(mut self) -> CallResult {
        let ending = self.attempts.deadline_passed(false);
        self.call.result = self.call.result.map_err(|error| error.ending(ending));
        self.call
    }
}

impl Error {
    /// The same error with the address of the replica that refused.
    fn of_replica(self, replica: &str) -> Self {
        match self {
            Self::Unavailable(reason) => Self::Unavailable(format!("{replica}: {reason}")),
            Self::Refused(reason) => Self::Refused(format!("{replica}: {reason}")),
            other => other,
        }
    }

    /// The error of a call with this ending.
    fn ending(self, ending: Ending) -> Self {
        match (ending, self) {
            (Ending::OutcomeUnknown, Self::Unavailable(reason) | Self::OutcomeUnknown(reason)) => {
                Self::OutcomeUnknown(reason)
            }
            (Ending::OutcomeUnknown, other) => Self::OutcomeUnknown(other.to_string()),
            (Ending::RepeatLater, Self::OutcomeUnknown(reason)) => Self::Unavailable(reason),
            (Ending::RepeatLater, other) if !other.is_transient() => Self::Unavailable(other.to_string()),
            (Ending::RepeatLater | Ending::Refused, other) => other,
        }
    }
}
