//! Sends one request to one of the proxy's replicas, and to the next where that does no harm.
//!
//! A refused connection and a proxy's `unreachable` mean that nothing happened: the next replica is asked, and when all
//! have been, all again until the deadline. Anything after the request was on its way is repeated only where
//! [`Repeat::Harmless`] says so.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arrakis_causes::causes;
use arrakis_contracts::proxy::ProxyError;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::answer::Answer;
use crate::error::Error;
use crate::request::{Repeat, Request};

/// A proxy on this network connects in a millisecond; one that takes this long is gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Below the proxy's keep-alive, so that we close idle connections and not it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// A replica that could not be reached is asked last for this long.
const AVOID: Duration = Duration::from_secs(2);
/// Wait before all replicas are asked again; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The largest answer is a page of 1,000 members.
const ANSWER_BYTES: usize = 8 << 20;

#[derive(Debug)]
struct Replica {
    /// `http://host:port/api/v10/`, ready for a path.
    base: String,
    /// Until when it is asked last: milliseconds since the transport began.
    avoid_until_ms: AtomicU64,
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
    /// Nothing can have happened at Discord.
    Untouched(String),
    /// It may have.
    Lost(String),
    /// Path or headers that HTTP cannot carry: no replica would do better.
    Unsendable(Error),
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
        });
        Self {
            http,
            replicas: replicas.collect(),
            turn: AtomicUsize::new(0),
            began: Instant::now(),
        }
    }

    /// Sends `request` until it is answered, or `deadline` passes. Answers how many times it was sent, too.
    /// `patience` bounds one try of a harmless call, so that a replica that hangs leaves time for another.
    pub(crate) async fn send(
        &self,
        request: &Request,
        headers: &HeaderMap,
        deadline: Instant,
        patience: Option<Duration>,
    ) -> (Result<Answer, Error>, u32) {
        let mut pause = FIRST_PAUSE;
        let mut sent = 0;
        let mut last = "no proxy is configured".to_owned();
        // Whether a try that nobody answered may have taken effect.
        let mut may_have = false;
        loop {
            for replica in self.in_order() {
                sent += 1;
                let until = match (request.repeat, patience) {
                    (Repeat::Harmless, Some(patience)) => deadline.min(Instant::now() + patience),
                    _ => deadline,
                };
                match self.try_once(replica, request, headers, until).await {
                    Try::Answered(answer) if answer.by_proxy() == Some(ProxyError::ShuttingDown) => {
                        self.avoid(replica);
                        last = format!("{} is leaving", replica.base);
                    }
                    Try::Answered(answer) if answer.by_proxy() == Some(ProxyError::Unreachable) => {
                        last = format!("{} cannot reach Discord", replica.base);
                    }
                    Try::Answered(answer) => return (Ok(answer), sent),
                    Try::Untouched(why) => {
                        self.avoid(replica);
                        last = why;
                    }
                    Try::Unsendable(error) => return (Err(error), sent),
                    Try::Lost(why) if request.repeat == Repeat::Never => {
                        return (Err(Error::OutcomeUnknown(why)), sent);
                    }
                    Try::Lost(why) => {
                        may_have = true;
                        self.avoid(replica);
                        last = why;
                    }
                }
                if Instant::now() >= deadline {
                    return (Err(unanswered(last, may_have)), sent);
                }
            }
            let jittered = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            if Instant::now() + jittered >= deadline {
                return (Err(unanswered(last, may_have)), sent);
            }
            sleep(jittered).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
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
                    Try::Untouched(why)
                } else {
                    Try::Lost(why)
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES).collect().await;
            let body = body.map_err(|why| Try::Lost(format!("{}: the answer broke off: {why}", replica.base)))?;
            Ok::<_, Try>(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        match timeout_at(until, exchange).await {
            Ok(Ok(answer)) => Try::Answered(answer),
            Ok(Err(failed)) => failed,
            Err(_) => Try::Lost(format!("{} did not answer in time", replica.base)),
        }
    }
}

/// Nobody answered before the deadline. A harmless call may be made again either way; who cannot do so must know which it was.
fn unanswered(why: String, may_have: bool) -> Error {
    if may_have {
        Error::OutcomeUnknown(why)
    } else {
        Error::Unavailable(why)
    }
}
