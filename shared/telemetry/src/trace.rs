//! W3C trace context (<https://www.w3.org/TR/trace-context/>): one trace from the gateway frame to the reply.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;

/// A `traceparent` of version 00: trace id, span id, sampled flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// The text is not a `traceparent` of version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of version 00 (00-{{32 hex}}-{{16 hex}}-{{2 hex}})")]
pub struct InvalidTraceparent;

impl Traceparent {
    /// A trace context of these ids, of which neither may be 0, and whether the trace is exported.
    pub const fn new(trace: u128, span: u64, sampled: bool) -> Self {
        Self { trace, span, sampled }
    }

    /// The ids of trace and span.
    pub(crate) const fn ids(self) -> (u128, u64) {
        (self.trace, self.span)
    }

    /// Whether the trace is exported.
    pub const fn is_sampled(self) -> bool {
        self.sampled
    }

    /// The trace context of the first span of a new trace, with random ids. The trace is not exported; its id is in log lines only.
    pub fn new_root() -> Self {
        let mut random = rand::rng();
        // Zero is an invalid id.
        Self {
            trace: random.random_range(1..=u128::MAX),
            span: random.random_range(1..=u64::MAX),
            sampled: false,
        }
    }

    /// The trace context of another span of the same trace, with a random span id.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span: rand::rng().random_range(1..=u64::MAX),
            ..self
        }
    }

    /// The trace id as 32 hex digits, as it appears in logs.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }
}

impl FromStr for Traceparent {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let lower_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            parts
                .next()
                .filter(|part| part.len() == length && part.bytes().all(lower_hex))
                .ok_or(InvalidTraceparent)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let trace = u128::from_str_radix(trace, 16).map_err(|_| InvalidTraceparent)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| InvalidTraceparent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidTraceparent)?;
        if version != "00" || parts.next().is_some() || trace == 0 || span == 0 {
            return Err(InvalidTraceparent);
        }
        Ok(Self {
            trace,
            span,
            sampled: flags & 1 == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parsed: Traceparent = text.parse().unwrap();
        assert_eq!(parsed.to_string(), text);
        assert_eq!(parsed.child().trace_id(), parsed.trace_id());
        assert_ne!(parsed.child(), parsed);
        let root = Traceparent::new_root();
        assert_eq!(root.to_string().parse(), Ok(root));
    }

    #[test]
    fn invalid_traceparent_is_refused() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(text.parse::<Traceparent>(), Err(InvalidTraceparent), "{text}");
        }
    }
}
