//! Discord's API over a transport: keeps the rate limits, retries what may be retried, reports what it waits for.
//!
//! What is done about a failure is decided by the table of `arrakis-discord-http`. A creation that may have taken effect is never
//! repeated here: the executor searches the server for the created object.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrakis_discord_http::{
    Attempts, CallClass, Decision, DiscordClock, Ending, Failure, RateLimitScope, Response, Route, segments,
};
use bytes::Bytes;
use http::{Method, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{CallError, server_error};
use super::limits::RateLimits;
use super::pace::{PACE, Pace};
use super::{Body, Reason, Request, SendError, Transport};
use crate::event::{Event, Progress, Wait};

/// How transient failures are retried.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts of one call; those that met a rate limit are not counted.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each.
    pub pause: Duration,
    /// Pauses before each search of a server for an object whose creation has an unknown outcome. A creation that takes effect later
    /// than their sum after the failure is not found by the same run.
    pub searches: Vec<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            pause: Duration::from_millis(500),
            searches: [0, 1, 2, 4, 8].map(Duration::from_secs).to_vec(),
        }
    }
}

impl RetryPolicy {
    /// How long a server is searched, in milliseconds.
    #[must_use]
    pub fn search_ms(&self) -> u64 {
        let total: Duration = self.searches.iter().sum();
        u64::try_from(total.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Attempts of a call whose response cannot be read.
const UNREADABLE_ATTEMPTS: u32 = 3;
/// Wait after a 429 that states no time, and how many of them a call waits for.
const UNSTATED_WAIT: (Duration, u32) = (Duration::from_secs(10), 6);
/// Wait after the second 429 of a call, if the response states a shorter one; it grows by as much with each, up to a minute. In ten minutes
/// these are 155 requests.
const REPEATED_WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(60));
/// Shorter waits are not reported.
const REPORTED_WAIT: Duration = Duration::from_secs(1);
/// A 429 on a channel's edit that states a longer time is the limit on renames, which no header states.
const RENAME_WAIT: Duration = Duration::from_secs(30);

/// A client of Discord's API.
#[derive(Clone, Debug)]
pub struct Discord {
    transport: Arc<dyn Transport>,
    limits: Arc<RateLimits>,
    pace: Arc<Pace>,
    progress: Arc<dyn Progress>,
    cancelled: CancellationToken,
    retry_policy: Arc<RetryPolicy>,
    clock: Arc<DiscordClock>,
}

impl Discord {
    /// A client over `transport` that reports its waits to `progress`, and stops between two requests when `cancelled` is.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, progress: Arc<dyn Progress>, cancelled: CancellationToken) -> Self {
        let pace = match transport.has_shared_limits() {
            true => Pace::unlimited(),
            false => Pace::new(PACE),
        };
        Self {
            transport,
            limits: Arc::default(),
            pace: Arc::new(pace),
            progress,
            cancelled,
            retry_policy: Arc::default(),
            clock: Arc::default(),
        }
    }

    /// Sets how transient failures are retried.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = Arc::new(policy);
        self
    }

    /// Sets the rate of requests, instead of [`PACE`], or of none where the transport keeps shared limits.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = Arc::new(pace);
        self
    }

    /// How transient failures are retried.
    #[must_use]
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.retry_policy
    }

    /// The receiver of progress events.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Milliseconds since 1970 by the slower of Discord's clock, by which ids are made, and the system clock. A lost creation is
    /// searched for from this time on, so a wrong `Date` ahead of both must not hide it.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let offset_ms = self.clock.least_offset_ms(0).min(0);
        u64::try_from(system.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add_signed(offset_ms)
    }

    fn measure_clock(&self, response: &Response, sent: std::time::Instant) {
        let date = response.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let correction_ms = date.and_then(|date| self.clock.observe(date, sent, std::time::Instant::now()));
        if let Some(correction_ms) = correction_ms {
            tracing::debug!(
                correction_ms,
                "two responses agree that the offset of Discord's clock changed"
            );
        }
    }

    /// Sends a GET request and reads the response.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let request = Request {
            method: Method::GET,
            path: path.to_owned(),
            body: None,
            reason: None,
        };
        self.read(&request).await
    }

    /// Sends a write and reads the response (`null` for 204).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        reason: &Reason,
    ) -> Result<Value, CallError> {
        self.send(method, path, body.map(Body::json), reason).await
    }

    /// Sends a request with a body of any media type, or without one, and reads the response (`null` for 204).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        reason: &Reason,
    ) -> Result<Value, CallError> {
        let request = Request {
            method,
            path: path.to_owned(),
            body,
            reason: Some(reason.clone()),
        };
        self.read(&request).await
    }

    /// Makes a call and reads its response. A call whose response cannot be read may have taken effect, which `attempts` takes into
    /// account: it is repeated only where a second call has no further effect, and a DELETE with status 404 afterwards succeeded.
    async fn read<T: DeserializeOwned>(&self, request: &Request) -> Result<T, CallError> {
        let mut attempts = Attempts::new(class(request), &request.method);
        let mut responses = 0;
        loop {
            let body = self.call(request, &mut attempts).await?;
            let body = if body.is_empty() && request.method != Method::GET {
                Bytes::from_static(b"null")
            } else {
                body
            };
            responses += 1;
            match parse(request, &body, &mut attempts) {
                Err(CallError::Unreadable { call, why }) if responses < UNREADABLE_ATTEMPTS => {
                    let attempt = responses + 1;
                    self.progress.event(Event::Retrying {
                        call: call.clone(),
                        why: format!("the response cannot be read: {why}"),
                        attempt,
                    });
                    self.pause(Wait::Backoff, &call, self.retry_policy.pause * responses)
                        .await?;
                }
                read => return read,
            }
        }
    }

    /// Waits, unless cancelled.
    ///
    /// # Errors
    /// [`CallError::Cancelled`].
    pub async fn pause(&self, why: Wait, call: &str, duration: Duration) -> Result<(), CallError> {
        // The pace is kept by many pauses that are shorter than its window.
        if duration >= REPORTED_WAIT && why != Wait::Pace {
            self.progress.event(Event::Waiting {
                why,
                call: call.to_owned(),
                duration,
            });
        }
        let cancelled = || CallError::Cancelled { call: call.to_owned() };
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    async fn call(&self, request: &Request, attempts: &mut Attempts) -> Result<Bytes, CallError> {
        let route = Route::of(&request.method, &segments(&request.path));
        let call = describe(request);
        let (mut sent, mut limited) = (0, RateLimitCounts::default());
        loop {
            self.wait_for_limits(&route, &call).await?;
            if self.cancelled.is_cancelled() {
                return Err(CallError::Cancelled { call });
            }
            sent += 1;
            let sent_at = std::time::Instant::now();
            let result = self.transport.send(request).await;
            if let Ok(response) = &result {
                self.limits.update(&route, &response.headers, Instant::now());
                self.measure_clock(response, sent_at);
            }
            let (failure, why) = match &result {
                Ok(response) => match failure_of(request, response) {
                    None => return finish(&call, response),
                    Some(failure) => (failure, server_error(response.status, &response.body)),
                },
                Err(SendError::Denied(why) | SendError::Stopped(why)) => {
                    return Err(CallError::Denied { call, why: why.clone() });
                }
                Err(SendError::NotSent(why)) => (Failure::NotSent, why.clone()),
                Err(SendError::Lost(why)) => (Failure::ConnectionLost, why.clone()),
            };
            let exhausted = match attempts.failed(failure) {
                Decision::Success => return Ok(Bytes::new()),
                Decision::End(ending) => return Err(ended(ending, call, failure, why, result.ok().as_ref())),
                Decision::Repeat { exhausted } => exhausted,
            };
            if failure == Failure::RateLimited
                && let Ok(response) = &result
            {
                sent -= 1;
                self.wait_after_429(&call, request, response, &mut limited).await?;
                continue;
            }
            if sent >= self.retry_policy.attempts {
                // A refusal without Discord's error form is an intermediary's: it does not describe the object.
                let refusal = result.ok().filter(|_| failure != Failure::UnreadableResponse);
                return Err(ended(exhausted, call, failure, why, refusal.as_ref()));
            }
            self.progress.event(Event::Retrying {
                call: call.clone(),
                why,
                attempt: sent + 1,
            });
            let pause = self.retry_policy.pause * 2_u32.saturating_pow(sent - 1);
            self.pause(Wait::Backoff, &call, pause).await?;
        }
    }

    /// Waits until the bucket of the route, the pace of all calls and an earlier 429 allow a request.
    async fn wait_for_limits(&self, route: &Route, call: &str) -> Result<(), CallError> {
        loop {
            while let Some(wait) = self.limits.take(route, Instant::now()) {
                self.pause(Wait::Bucket, call, wait).await?;
            }
            match self.pace.take(Instant::now()) {
                None => return Ok(()),
                // The window of the bucket may end meanwhile, so the bucket is checked again.
                Some(wait) => {
                    self.limits.give_back(route);
                    self.pause(Wait::Pace, call, wait).await?;
                }
            }
        }
    }

    /// Waits as long as a 429 states, and longer with each further one of the call.
    async fn wait_after_429(
        &self,
        call: &str,
        request: &Request,
        response: &Response,
        counts: &mut RateLimitCounts,
    ) -> Result<(), CallError> {
        let limited = self.limits.limited(response, Instant::now());
        counts.total += 1;
        let Some(wait) = limited.retry_after else {
            counts.unstated += 1;
            let (wait, most) = UNSTATED_WAIT;
            if counts.unstated > most {
                return Err(CallError::Unavailable {
                    call: call.to_owned(),
                    why: "Discord returned 429 without Retry-After several times; it may have blocked this address"
                        .to_owned(),
                });
            }
            return self.pause(Wait::RateLimited, call, wait).await;
        };
        let wait = wait.max(counts.shortest_wait());
        let edits_channel = request.method == Method::PATCH && request.path.starts_with("/channels/");
        let why = match limited.scope {
            RateLimitScope::Global => Wait::Global,
            _ if edits_channel && wait > RENAME_WAIT => Wait::Rename,
            _ => Wait::RateLimited,
        };
        self.pause(why, call, wait).await
    }
}

/// The 429s of one call.
#[derive(Debug, Default)]
struct RateLimitCounts {
    total: u32,
    /// Those that state no time.
    unstated: u32,
}

impl RateLimitCounts {
    /// Discord blocks an address after 10,000 invalid requests in ten minutes, so a 429 that states no wait is not repeated at once
    /// for ever.
    fn shortest_wait(&self) -> Duration {
        let (step, longest) = REPEATED_WAIT;
        step.saturating_mul(self.total.saturating_sub(1)).min(longest)
    }
}

fn describe(request: &Request) -> String {
    format!("{} {}", request.method, request.path)
}

/// The class of a request. gaib creates nothing with a nonce.
fn class(request: &Request) -> CallClass {
    CallClass::of(&request.method, &segments(&request.path), false)
}

fn failure_of(request: &Request, response: &Response) -> Option<Failure> {
    Failure::of_response(
        &request.method,
        &segments(&request.path),
        response.status,
        &response.body,
    )
}

/// The error of a call with this ending: Discord's refusal where the last response is one.
fn ended(ending: Ending, call: String, failure: Failure, why: String, response: Option<&Response>) -> CallError {
    if ending == Ending::OutcomeUnknown {
        return CallError::OutcomeUnknown { call, why };
    }
    let refusal = response
        .filter(|response| response.status.is_client_error() || response.status.is_redirection())
        .and_then(|response| finish(&call, response).err());
    refusal.unwrap_or_else(|| CallError::Unavailable {
        call,
        why: match failure {
            Failure::UnreadableResponse => format!("the response is not Discord's: {why}"),
            Failure::ServerError => format!("Discord failed: {why}"),
            _ => format!("Discord cannot be reached: {why}"),
        },
    })
}

fn finish(call: &str, response: &Response) -> Result<Bytes, CallError> {
    match response.status.as_u16() {
        200..=299 => Ok(response.body.clone()),
        401 => Err(CallError::TokenRefused),
        _ => Err(CallError::refused(call, response.status, &response.body)),
    }
}

/// Reads a response. A creation whose response cannot be read has an unknown outcome: the executor searches for the object.
fn parse<T: DeserializeOwned>(request: &Request, body: &[u8], attempts: &mut Attempts) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|why| {
        let (call, why) = (describe(request), why.to_string());
        match attempts.failed(Failure::UnreadableResponse) {
            Decision::End(Ending::OutcomeUnknown) => CallError::OutcomeUnknown { call, why },
            _ => CallError::Unreadable { call, why },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_429_is_waited_for_longer_each_time() {
        let wait = |total| RateLimitCounts { total, unstated: 0 }.shortest_wait().as_millis();
        assert_eq!([1, 2, 3, 1_000, 10_000].map(wait), [0, 50, 100, 49_950, 60_000]);
    }

    #[test]
    fn server_is_searched_for_fifteen_seconds() {
        assert_eq!(RetryPolicy::default().search_ms(), 15_000);
    }
}
