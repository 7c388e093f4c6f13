//! Sends one request to one of the proxy's replicas, and to the next where the table of `arrakis-discord-http` allows it.
//!
//! What is repeated here is what failed between this process and Discord's side of a proxy: a replica that refuses, is leaving,
//! hangs, loses the connection or cannot reach Discord. What Discord answered has been repeated by the proxy already; only first
//! responses, whose time is short, are repeated here as well, and a limit is waited for where one try was too short for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_causes::causes;
use arrakis_contracts::proxy::DEADLINE_MS;
use arrakis_discord_http::{Attempts, CallClass, Decision, Ending, Failure};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::answer::{Answer, Failed, ReplicaRefusal};
use crate::error::Error;
use crate::request::Request;

/// A proxy on this network connects in a millisecond; one that takes this long is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Below the proxy's keep-alive, so that we close idle connections and not it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// A replica that could not be reached is asked last for this long.
const AVOID: Duration = Duration::from_secs(2);
/// Wait before all replicas are asked again; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The proxy gives up this much before a try does: its answer tells whether anything was sent, and silence does not.
const ANSWER_MARGIN: Duration = Duration::from_millis(250);
/// The largest answer is a page of 1,000 members.
const ANSWER_BYTES: usize = 8 << 20;
/// Limits that one call waits for here; each answer may have been a 429 of Discord's.
const MOST_LIMITED: u32 = 4;

#[derive(Debug)]
struct Replica {
    /// `http://host:port/api/v10/`, ready for a path.
    base: String,
    /// Until when it is asked last: milliseconds since the transport began.
    avoid_until_ms: AtomicU64,
    /// Whether it did not know our credential when it was last asked.
    refuses: Mutex<bool>,
}

/// No further try begins with less time. One that the deadline cuts off leaves open whether a call of the class "once" landed,
/// which an earlier try had settled.
const fn shortest_try(class: CallClass) -> Duration {
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
    turn: AtomicUsize,
    began: Instant,
}

/// What one try at one replica came to.
enum Try {
    Answered(Answer),
    Failed(Failure, String),
    /// Path or headers that HTTP cannot carry: no replica would do better.
    Unsendable(Error),
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The body of the success, or why there is none. Empty where a repeated call found its effect in place.
    pub(crate) result: Result<Bytes, Error>,
    /// The last answer that arrived whole.
    pub(crate) answer: Option<Answer>,
    /// How many times the call was sent to a proxy.
    pub(crate) tries: u32,
}

/// What follows a try.
enum Next {
    Over,
    AnotherReplica,
    /// A limit wants it later.
    After(Duration),
}

/// What is known of one call.
struct Progress<'a> {
    attempts: Attempts,
    sent: Sent,
    /// Whether one try may take less than the call: then a limit is waited for here.
    tries_are_short: bool,
    limited: u32,
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
            turn: AtomicUsize::new(0),
            began: Instant::now(),
        }
    }

    /// Sends `request` until the table ends it, or `deadline` passes. `patience` bounds one try of a call that may be repeated, so
    /// that a replica that hangs leaves time for another.
    pub(crate) async fn send(
        &self,
        request: &Request,
        headers: &HeaderMap,
        deadline: Instant,
        patience: Option<Duration>,
    ) -> Sent {
        let class = request.endpoint.class();
        let mut progress = Progress {
            attempts: Attempts::new(class, &request.method),
            sent: Sent {
                result: Err(Error::Unavailable("no proxy is configured".to_owned())),
                answer: None,
                tries: 0,
            },
            tries_are_short: patience.is_some(),
            limited: 0,
            refused_by: Vec::new(),
        };
        let is_over_after = |wait: Duration| Instant::now() + wait + shortest_try(class) >= deadline;
        let mut pause = FIRST_PAUSE;
        loop {
            for replica in self.in_order() {
                progress.sent.tries += 1;
                let until = match (class, patience) {
                    (CallClass::Idempotent | CallClass::TimeBound, Some(patience)) => {
                        deadline.min(Instant::now() + patience)
                    }
                    _ => deadline,
                };
                let tried = self.try_once(replica, request, headers, until).await;
                let wait = match self.judge(replica, request, tried, &mut progress) {
                    Next::Over => return progress.sent,
                    Next::AnotherReplica => Duration::ZERO,
                    Next::After(wait) => wait,
                };
                if is_over_after(wait) {
                    return progress.out_of_time();
                }
                if !wait.is_zero() {
                    sleep(wait).await;
                }
            }
            let jittered = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            if is_over_after(jittered) {
                return progress.out_of_time();
            }
            sleep(jittered).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Writes into `progress` what a try came to.
    fn judge<'a>(&'a self, replica: &'a Replica, request: &Request, tried: Try, progress: &mut Progress<'a>) -> Next {
        match tried {
            Try::Unsendable(error) => {
                progress.sent.result = Err(error);
                Next::Over
            }
            Try::Failed(failure, why) => {
                self.avoid(replica);
                progress.failed(failure, Error::Unavailable(why), true)
            }
            Try::Answered(answer) => {
                let failed = answer.failed(&request.method, &request.path);
                let refused = failed.as_ref().and_then(|failed| failed.refusal);
                *replica.refuses.lock() = refused == Some(ReplicaRefusal::Credential);
                let body = answer.body.clone();
                progress.sent.answer = Some(answer);
                let Some(failed) = failed else {
                    progress.sent.result = Ok(body);
                    return Next::Over;
                };
                if failed.leaving || refused.is_some() {
                    self.avoid(replica);
                }
                if refused.is_some() {
                    return progress.refused(&replica.base, failed.error, self.replicas.len());
                }
                progress.answered(failed)
            }
        }
    }

    /// The replicas that did not know this service's credential when they were last asked.
    pub(crate) fn refusing(&self) -> Vec<String> {
        let refusing = self.replicas.iter().filter(|replica| *replica.refuses.lock());
        refusing.map(|replica| replica.base.clone()).collect()
    }

    /// Every replica, by turns, those that failed lately at the end.
    fn in_order(&self) -> Vec<&Replica> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = self.now_ms();
        let count = self.replicas.len();
        let mut order: Vec<_> = (0..count).map(|i| &self.replicas[(start + i) % count]).collect();
        order.sort_by_key(|replica| replica.avoid_until_ms.load(Ordering::Relaxed) > now);
        order
    }

    fn avoid(&self, replica: &Replica) {
        let until = self.now_ms() + u64::try_from(AVOID.as_millis()).unwrap_or(0);
        replica.avoid_until_ms.store(until, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn try_once(&self, replica: &Replica, request: &Request, headers: &HeaderMap, until: Instant) -> Try {
        let mut built = http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", replica.base, request.path));
        if let Some(map) = built.headers_mut() {
            map.extend(request.headers.clone());
            map.extend(headers.clone());
            let left = until.saturating_duration_since(Instant::now());
            let left = (left - (left / 4).min(ANSWER_MARGIN)).as_millis();
            map.insert(DEADLINE_MS, u64::try_from(left.max(1)).unwrap_or(u64::MAX).into());
        }
        let built = match built.body(Full::new(request.body.clone())) {
            Ok(built) => built,
            Err(why) => return Try::Unsendable(Error::unsendable(why)),
        };
        let exchange = async {
            let response = self.http.request(built).await.map_err(|error| {
                let why = format!("{}: {}", replica.base, causes(&error));
                // hyper itself repeats on a new connection what an idle one, closed by its peer, did not take.
                if error.is_connect() {
                    Try::Failed(Failure::NotSent, why)
                } else {
                    Try::Failed(Failure::ConnectionLost, why)
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await;
            let body = body.map_err(|why| {
                let why = format!("{}: the answer was cut off: {why}", replica.base);
                Try::Failed(Failure::ConnectionLost, why)
            })?;
            Ok::<_, Try>(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        match timeout_at(until, exchange).await {
            Ok(Ok(answer)) => Try::Answered(answer),
            Ok(Err(failed)) => failed,
            Err(_) => Try::Failed(Failure::NoAnswer, format!("{} did not answer in time", replica.base)),
        }
    }
}

impl<'a> Progress<'a> {
    /// A try failed. `here`: whether this process repeats it where the table says so.
    fn failed(&mut self, failure: Failure, error: Error, here: bool) -> Next {
        let (result, next) = match self.attempts.failed(failure) {
            Decision::Success if self.attempts.may_have_landed() => (Ok(Bytes::new()), Next::Over),
            // An earlier call was first: whether that is a success, the caller knows.
            Decision::Success => (Err(error), Next::Over),
            Decision::Repeat { .. } if here => (Err(error), Next::AnotherReplica),
            Decision::Repeat { exhausted } => (Err(error.ending(exhausted)), Next::Over),
            Decision::End(ending) => (Err(error.ending(ending)), Next::Over),
        };
        self.sent.result = result;
        next
    }

    fn answered(&mut self, failed: Failed) -> Next {
        let limited_for = failed.limited_for().filter(|_| self.tries_are_short);
        let here = failed.is_repeated_here(self.attempts.class());
        if let Some(wait) = limited_for {
            self.limited += 1;
            let here = self.limited <= MOST_LIMITED;
            return match self.failed(failed.failure, failed.error, here) {
                Next::AnotherReplica => Next::After(wait),
                next => next,
            };
        }
        self.failed(failed.failure, failed.error, here)
    }

    /// A replica refused this service. When all do, the call is over.
    fn refused(&mut self, replica: &'a str, error: Error, replicas: usize) -> Next {
        if !self.refused_by.contains(&replica) {
            self.refused_by.push(replica);
        }
        let error = error.of_replica(replica);
        let next = self.failed(Failure::NotSent, error.clone(), true);
        if self.refused_by.len() < replicas {
            return next;
        }
        self.sent.result = Err(match self.attempts.out_of_time(false) {
            Ending::OutcomeUnknown => error.ending(Ending::OutcomeUnknown),
            // What none of them allows is a matter of configuration; a credential may be about to be exchanged.
            Ending::RepeatLater | Ending::Refused => error,
        });
        Next::Over
    }

    /// The deadline passed before an attempt succeeded.
    fn out_of_time(mut self) -> Sent {
        let ending = self.attempts.out_of_time(false);
        self.sent.result = self.sent.result.map_err(|error| error.ending(ending));
        self.sent
    }
}

impl Error {
    /// The same, with the replica that refused.
    fn of_replica(self, replica: &str) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(format!("{replica}: {why}")),
            Self::Refused(why) => Self::Refused(format!("{replica}: {why}")),
            other => other,
        }
    }

    /// The error of a call that ends so.
    fn ending(self, ending: Ending) -> Self {
        match (ending, self) {
            (Ending::OutcomeUnknown, Self::Unavailable(why) | Self::OutcomeUnknown(why)) => Self::OutcomeUnknown(why),
            (Ending::OutcomeUnknown, other) => Self::OutcomeUnknown(other.to_string()),
            (Ending::RepeatLater, Self::OutcomeUnknown(why)) => Self::Unavailable(why),
            (Ending::RepeatLater, other) if !other.is_passing() => Self::Unavailable(other.to_string()),
            (Ending::RepeatLater | Ending::Refused, other) => other,
        }
    }
}
