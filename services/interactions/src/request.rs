//! Reads a request: its signed bytes, within limits on one body and on all bodies in memory.

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::outcome::Outcome;
use crate::signature::PublicKey;

/// Header with the signature.
pub(crate) const SIGNATURE: &str = "x-signature-ed25519";
/// Header with the time of the request: seconds since 1970 on Discord's clock.
pub(crate) const TIMESTAMP: &str = "x-signature-timestamp";

/// Largest body in bytes. The largest interactions are those of components: they contain their whole message.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Largest sum of the bodies in memory, in units of [`UNIT`].
pub(crate) const MAX_UNITS: usize = (64 << 20) / UNIT;
/// Bytes of a unit of memory.
const UNIT: usize = 16 << 10;
/// Largest difference between the timestamp and the system clock, in seconds. A replay within it has the id of the first delivery, so it has
/// no second effect.
const WINDOW_SECONDS: u64 = 300;
/// Longest timestamp in bytes.
const MAX_TIMESTAMP: usize = 20;

/// A request with a valid signature.
#[derive(Debug)]
pub(crate) struct SignedRequest<'a> {
    /// The body.
    pub(crate) body: Bytes,
    /// The memory that the body occupies, until it is dropped.
    _memory: Memory<'a>,
}

/// A share of the memory for bodies.
#[derive(Debug)]
struct Memory<'a> {
    budget: &'a Semaphore,
    permit: Option<SemaphorePermit<'a>>,
    bytes: usize,
}

impl<'a> Memory<'a> {
    const fn new(budget: &'a Semaphore) -> Self {
        Self {
            budget,
            permit: None,
            bytes: 0,
        }
    }

    /// Extends the share to this number of bytes; false when there is not enough.
    fn extend_to(&mut self, bytes: usize) -> bool {
        while self.bytes < bytes {
            let Ok(more) = self.budget.try_acquire() else {
                return false;
            };
            match &mut self.permit {
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
        budget: &'a Semaphore,
        now_seconds: impl Fn() -> u64,
    ) -> Result<Self, Outcome> {
        let signature = headers.get(SIGNATURE).ok_or(Outcome::Signature)?;
        let timestamp = headers.get(TIMESTAMP).ok_or(Outcome::Signature)?.as_bytes();
        let sent = seconds(timestamp).ok_or(Outcome::Signature)?;
        let mut memory = Memory::new(budget);
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
        if !key.has_signed(&signed, signature.as_bytes()) {
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
        let budget = Semaphore::new(2);
        let mut first = Memory::new(&budget);
        assert!(first.extend_to(1) && first.extend_to(UNIT));
        let mut second = Memory::new(&budget);
        assert!(second.extend_to(UNIT));
        assert!(!second.extend_to(UNIT + 1));
        drop(first);
        assert!(second.extend_to(UNIT + 1));
        drop(second);
        assert_eq!(budget.available_permits(), 2);
    }
}
