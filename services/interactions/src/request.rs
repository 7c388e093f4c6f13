//! Reads a request: its signed bytes, within limits on one body and on all bodies in memory.

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::outcome::Outcome;
use crate::signature::{PublicKey, is_well_formed};

/// Header with the signature.
pub(crate) const SIGNATURE: &str = "x-signature-ed25519";
/// Header with the time of the request: seconds since 1970 on Discord's clock.
pub(crate) const TIMESTAMP: &str = "x-signature-timestamp";

/// Largest body in bytes. The largest interactions are those of components: they contain their whole message.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Bytes of a unit of memory.
const UNIT: usize = 16 << 10;
/// Bytes of a body from which on it is a large one. Nearly all interactions are smaller.
const LARGE: usize = 64 << 10;
/// Memory for the first [`LARGE`] bytes of all bodies, and for what is behind them, in units: 64 MiB in all.
const BEGINNINGS: usize = (48 << 20) / UNIT;
const RESTS: usize = (16 << 20) / UNIT;
/// Largest difference between the timestamp and the system clock, in seconds. A replay within it has the id of the first delivery, so it has
/// no second effect.
const WINDOW_SECONDS: u64 = 300;
/// Longest timestamp in bytes.
const MAX_TIMESTAMP: usize = 20;

/// Memory for the bodies of requests. A signature can be checked only when its body is complete, so anybody can occupy memory; large bodies, of
/// which few suffice, occupy none of what other requests need.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    beginnings: Semaphore,
    rests: Semaphore,
}

impl BodyMemory {
    pub(crate) const fn new() -> Self {
        Self::of_units(BEGINNINGS, RESTS)
    }

    const fn of_units(beginnings: usize, rests: usize) -> Self {
        Self {
            beginnings: Semaphore::const_new(beginnings),
            rests: Semaphore::const_new(rests),
        }
    }
}

/// A request with a valid signature.
#[derive(Debug)]
pub(crate) struct SignedRequest<'a> {
    /// The body.
    pub(crate) body: Bytes,
    /// The memory that the body occupies, until it is dropped.
    _memory: Share<'a>,
}

/// A share of the memory for bodies.
#[derive(Debug)]
struct Share<'a> {
    of: &'a BodyMemory,
    beginning: Option<SemaphorePermit<'a>>,
    rest: Option<SemaphorePermit<'a>>,
    bytes: usize,
}

impl<'a> Share<'a> {
    const fn new(of: &'a BodyMemory) -> Self {
        Self {
            of,
            beginning: None,
            rest: None,
            bytes: 0,
        }
    }

    /// Extends the share to this number of bytes; false when there is not enough.
    fn extend_to(&mut self, bytes: usize) -> bool {
        let of = self.of;
        while self.bytes < bytes {
            let (semaphore, permit) = if self.bytes < LARGE {
                (&of.beginnings, &mut self.beginning)
            } else {
                (&of.rests, &mut self.rest)
            };
            let Ok(more) = semaphore.try_acquire() else {
                return false;
            };
            match permit {
                Some(permit) => permit.merge(more),
                none => *none = Some(more),
            }
            self.bytes += UNIT;
        }
        true
    }
}

impl<'a> SignedRequest<'a> {
    /// Reads the body and checks the signature and the time of the request.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: Body,
        key: &PublicKey,
        memory: &'a BodyMemory,
        now_seconds: impl Fn() -> u64,
    ) -> Result<Self, Outcome> {
        let signature = headers.get(SIGNATURE).map(HeaderValue::as_bytes);
        let signature = signature
            .filter(|value| is_well_formed(value))
            .ok_or(Outcome::Unsigned)?;
        let timestamp = headers.get(TIMESTAMP).ok_or(Outcome::Unsigned)?.as_bytes();
        let sent = seconds(timestamp).ok_or(Outcome::Unsigned)?;
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: usize| length > MAX_BODY) {
            return Err(Outcome::TooLarge);
        }
        let mut memory = Share::new(memory);
        // The signature covers the timestamp and the body behind it, so they are read into one buffer.
        let mut signed = timestamp.to_vec();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                tracing::debug!(%error, "the body of a request is incomplete");
                Outcome::CutOff
            })?;
            let length = signed.len() - timestamp.len() + chunk.len();
            if length > MAX_BODY {
                return Err(Outcome::TooLarge);
            }
            if !memory.extend_to(length) {
                return Err(Outcome::Busy);
            }
            signed.extend_from_slice(&chunk);
        }
        if !key.has_signed(&signed, signature) {
            return Err(Outcome::Signature);
        }
        let now = now_seconds();
        if now.abs_diff(sent) > WINDOW_SECONDS {
            tracing::error!(
                sent,
                now,
                "refused a request with a valid signature: its timestamp is more than {WINDOW_SECONDS} s from the system clock. It is a replay, or \
                 the clock of this machine is wrong, and then Discord removes the endpoint's URL"
            );
            return Err(Outcome::Timestamp);
        }
        let length = timestamp.len();
        Ok(Self {
            body: Bytes::from(signed).slice(length..),
            _memory: memory,
        })
    }
}

/// The seconds of a timestamp: decimal digits only.
fn seconds(timestamp: &[u8]) -> Option<u64> {
    let is_number = !timestamp.is_empty() && timestamp.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(timestamp).ok().filter(|_| is_number)?;
    text.parse().ok().filter(|_| timestamp.len() <= MAX_TIMESTAMP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_has_digits_only() {
        assert_eq!(seconds(b"1795219200"), Some(1_795_219_200));
        for text in [
            "",
            "+5",
            "-5",
            " 5",
            "5.0",
            "soon",
            "99999999999999999999",
            "000000000000000000005",
        ] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
        assert_eq!(seconds(&[0xff]), None);
    }

    #[test]
    fn memory_is_limited_and_given_back() {
        let memory = BodyMemory::of_units(2, 0);
        let mut first = Share::new(&memory);
        assert!(first.extend_to(1) && first.extend_to(UNIT));
        let mut second = Share::new(&memory);
        assert!(second.extend_to(UNIT));
        assert!(!second.extend_to(UNIT + 1));
        drop(first);
        assert!(second.extend_to(UNIT + 1));
        drop(second);
        assert_eq!(memory.beginnings.available_permits(), 2);
    }

    /// Whoever sends large bodies without a signature, and never ends them, must not keep interactions out.
    #[test]
    fn large_bodies_leave_memory_for_others() {
        let memory = BodyMemory::new();
        let mut large = Vec::new();
        loop {
            let mut share = Share::new(&memory);
            if !share.extend_to(MAX_BODY) {
                break;
            }
            large.push(share);
        }
        assert!(large.len() >= 16, "{}", large.len());
        assert!(Share::new(&memory).extend_to(LARGE));
        let left = memory.beginnings.available_permits();
        assert!(left > BEGINNINGS / 2, "{left}");
    }
}
