//! Discord's API over a transport: keeps to the limits, repeats what may be repeated, says what it waits for.
//!
//! What a failure means is decided by the table of `arrakis-discord-http`. A creation that may have landed is never repeated here:
//! the executor looks for what it made.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrakis_discord_http::{Attempts, CallClass, Decision, Ending, Failure};
use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{CallError, server_error};
use super::limits::RateLimits;
use super::pace::{PACE, Pace};
use super::route::Route;
use super::{Answer, Body, Reason, Request, SendError, Transport};
use crate::event::{Event, Progress, Wait};

/// How failures that pass are met.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Tries of one call before it is given up; waits for rate limits are not counted.
    pub tries: u32,
    /// Pause after the first failure; doubles with each.
    pub pause: Duration,
    /// How often, and after which pauses, a server is looked through for what a lost answer may have made. An effect that
    /// arrives later than their sum after the failure is not found by the same run.
    pub looks: Vec<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 5,
            pause: Duration::from_millis(500),
            looks: [0, 1, 2, 4, 8].map(Duration::from_secs).to_vec(),
        }
    }
}

impl Patience {
    /// How long a server is looked through, in milliseconds.
    #[must_use]
    pub fn looks_ms(&self) -> u64 {
        let total: Duration = self.looks.iter().sum();
        u64::try_from(total.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Tries of a call whose answer cannot be read.
const UNREADABLE_TRIES: u32 = 3;
/// An edge that says 429 and not for how long is asked again after this, and so many times.
const SILENT_EDGE: (Duration, u32) = (Duration::from_secs(10), 6);
/// Waits of less are not worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// A 429 on a channel's edit that asks for more is the limit on renames, which headers do not tell.
const RENAME: Duration = Duration::from_secs(30);

/// Discord's API.
#[derive(Clone, Debug)]
pub struct Discord {
    transport: Arc<dyn Transport>,
    limits: Arc<RateLimits>,
    pace: Arc<Pace>,
    progress: Arc<dyn Progress>,
    cancelled: CancellationToken,
    patience: Arc<Patience>,
    /// Discord's clock minus ours, in milliseconds, by the `Date` of its last answer.
    ahead_ms: Arc<AtomicI64>,
}

impl Discord {
    /// A client over `transport` that tells `progress` what it waits for, and stops between two requests once `cancelled`.
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
            patience: Arc::default(),
            ahead_ms: Arc::default(),
        }
    }

    /// Chooses how failures that pass are met.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = Arc::new(patience);
        self
    }

    /// Chooses how many requests are sent at most; without it [`PACE`], or none where the transport keeps shared limits.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = Arc::new(pace);
        self
    }

    /// How failures that pass are met.
    #[must_use]
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Who watches.
    #[must_use]
    pub fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Milliseconds since the Unix epoch, by Discord's clock where an answer has told it: ids are made by that clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(own_ms().saturating_add(self.ahead_ms.load(Ordering::Relaxed))).unwrap_or(0)
    }

    /// `Date` is in whole seconds, cut off: it is never ahead of Discord's clock.
    fn learn_clock(&self, answer: &Answer) {
        let date = answer.headers.get(http::header::DATE);
        if let Some(theirs) = date.and_then(|date| date_ms(date.to_str().ok()?)) {
            self.ahead_ms.store(theirs - own_ms(), Ordering::Relaxed);
        }
    }

    /// Reads.
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

    /// Writes JSON, and reads the answer where there is one (`null` for 204).
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

    /// Writes a body of any media type, and reads the answer where there is one (`null` for 204).
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

    /// Makes a call and reads its answer; one that cannot be read is asked for again where that does no harm. A call whose answer
    /// could not be read may have landed, which the attempts after it are judged by: a DELETE then answered 404 succeeded.
    async fn read<T: DeserializeOwned>(&self, request: &Request) -> Result<T, CallError> {
        let mut attempts = Attempts::new(class(request), &request.method);
        let mut tries = 0;
        loop {
            let body = self.call(request, &mut attempts).await?;
            let body = if body.is_empty() && request.method != Method::GET {
                Bytes::from_static(b"null")
            } else {
                body
            };
            tries += 1;
            match parse(request, &body, &mut attempts) {
                Err(CallError::Unreadable { call, why }) if tries < UNREADABLE_TRIES => {
                    let attempt = tries + 1;
                    self.progress.event(Event::Retrying {
                        call: call.clone(),
                        why: format!("the answer cannot be read: {why}"),
                        attempt,
                    });
                    self.pause(Wait::Backoff, &call, self.patience.pause * tries).await?;
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
        // The pace is kept in pauses of less than its window, again and again.
        if duration >= WORTH_TELLING && why != Wait::Pace {
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
        let (route, call) = (Route::of(&request.method, &request.path), words(request));
        let (mut tries, mut silent) = (0, 0);
        loop {
            self.wait_for_turn(&route, &call).await?;
            if self.cancelled.is_cancelled() {
                return Err(CallError::Cancelled { call });
            }
            tries += 1;
            let sent = self.transport.send(request).await;
            if let Ok(answer) = &sent {
                self.limits.learn(&route, &answer.headers, Instant::now());
                self.learn_clock(answer);
            }
            let (failure, why) = match &sent {
                Ok(answer) => match failure_of(request, answer) {
                    None => return finish(&call, answer),
                    Some(failure) => (failure, server_error(answer.status, &answer.body)),
                },
                Err(SendError::Denied(why)) => {
                    return Err(CallError::Denied { call, why: why.clone() });
                }
                Err(SendError::NotSent(why)) => (Failure::NotSent, why.clone()),
                Err(SendError::Lost(why)) => (Failure::ConnectionLost, why.clone()),
            };
            let exhausted = match attempts.failed(failure) {
                Decision::Success => return Ok(Bytes::new()),
                Decision::End(ending) => return Err(ended(ending, call, why, sent.ok().as_ref())),
                Decision::Repeat { exhausted } => exhausted,
            };
            if failure == Failure::RateLimited
                && let Ok(answer) = &sent
            {
                tries -= 1;
                self.stay_away(&call, request, answer, &mut silent).await?;
                continue;
            }
            if tries >= self.patience.tries {
                // A refusal that is not in Discord's error form is an intermediary's: it states nothing about the resource.
                let refusal = sent.ok().filter(|_| failure != Failure::UnreadableAnswer);
                return Err(ended(exhausted, call, why, refusal.as_ref()));
            }
            self.progress.event(Event::Retrying {
                call: call.clone(),
                why,
                attempt: tries + 1,
            });
            let pause = self.patience.pause * 2_u32.saturating_pow(tries - 1);
            self.pause(Wait::Backoff, &call, pause).await?;
        }
    }

    /// Waits until the bucket of the route, the pace of all calls and an earlier 429 allow a request.
    async fn wait_for_turn(&self, route: &Route, call: &str) -> Result<(), CallError> {
        loop {
            while let Some(wait) = self.limits.take(route, Instant::now()) {
                self.pause(Wait::Bucket, call, wait).await?;
            }
            match self.pace.take(Instant::now()) {
                None => return Ok(()),
                // The place in the bucket is kept; the bucket is looked at again, since its window may be over by then.
                Some(wait) => {
                    self.limits.give_back(route);
                    self.pause(Wait::Pace, call, wait).await?;
                }
            }
        }
    }

    /// Obeys a 429.
    async fn stay_away(
        &self,
        call: &str,
        request: &Request,
        answer: &Answer,
        silent: &mut u32,
    ) -> Result<(), CallError> {
        let refusal = self.limits.refused(&answer.headers, &answer.body, Instant::now());
        let Some(wait) = refusal.retry_after else {
            *silent += 1;
            if *silent > SILENT_EDGE.1 {
                let why = "429 without a word of how long, again and again: this address may be blocked for a while"
                    .to_owned();
                return Err(CallError::Unavailable {
                    call: call.to_owned(),
                    why,
                });
            }
            return self.pause(Wait::RateLimited, call, SILENT_EDGE.0).await;
        };
        let edits_channel = request.method == Method::PATCH && request.path.starts_with("/channels/");
        let why = match refusal.global {
            true => Wait::Global,
            false if edits_channel && wait > RENAME => Wait::Rename,
            false => Wait::RateLimited,
        };
        self.pause(why, call, wait).await
    }
}

/// Milliseconds since the Unix epoch of a `Date` header.
fn date_ms(date: &str) -> Option<i64> {
    let date = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    Some(date.unix_timestamp() * 1_000)
}

fn own_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

fn words(request: &Request) -> String {
    format!("{} {}", request.method, request.path)
}

/// The class of a request. Nothing that gaib creates has a nonce.
fn class(request: &Request) -> CallClass {
    CallClass::of(&request.method, &segments(request), false)
}

fn segments(request: &Request) -> Vec<&str> {
    let path = request.path.split('?').next().unwrap_or_default();
    path.trim_start_matches('/').split('/').collect()
}

fn failure_of(request: &Request, answer: &Answer) -> Option<Failure> {
    Failure::of_response(&request.method, &segments(request), answer.status, &answer.body)
}

/// The error of a call that ends so: Discord's refusal where it answered with one.
fn ended(ending: Ending, call: String, why: String, answer: Option<&Answer>) -> CallError {
    match (ending, answer) {
        (Ending::OutcomeUnknown, _) => CallError::OutcomeUnknown { call, why },
        (_, Some(answer)) if answer.status.is_client_error() || answer.status.is_redirection() => finish(&call, answer)
            .err()
            .unwrap_or(CallError::Unavailable { call, why }),
        _ => CallError::Unavailable { call, why },
    }
}

fn finish(call: &str, answer: &Answer) -> Result<Bytes, CallError> {
    match answer.status.as_u16() {
        200..=299 => Ok(answer.body.clone()),
        401 => Err(CallError::TokenRefused),
        _ => Err(CallError::refused(call, answer.status, &answer.body)),
    }
}

/// Reads an answer. One of a creation that cannot be read leaves open what was created: the executor looks for it.
fn parse<T: DeserializeOwned>(request: &Request, body: &[u8], attempts: &mut Attempts) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|why| {
        let (call, why) = (words(request), why.to_string());
        match attempts.failed(Failure::UnreadableAnswer) {
            Decision::End(Ending::OutcomeUnknown) => CallError::OutcomeUnknown { call, why },
            _ => CallError::Unreadable { call, why },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_looked_through_for_fifteen_seconds() {
        assert_eq!(Patience::default().looks_ms(), 15_000);
    }

    #[test]
    fn discords_clock_is_read_from_its_date() {
        assert_eq!(date_ms("Thu, 01 Jan 1970 00:01:00 GMT"), Some(60_000));
        assert_eq!(date_ms("Sat, 21 Nov 2026 13:38:21 GMT"), Some(1_795_268_301_000));
        assert_eq!(date_ms("yesterday"), None);
    }
}
