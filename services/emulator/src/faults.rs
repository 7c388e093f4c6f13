//! Faults on demand. The control API arms them; gateway and REST ask whether one strikes.

use std::time::Duration;

/// What a fault does to one REST call. Applied by `rest` before anything else but recording.
#[derive(Clone, Debug, PartialEq)]
pub struct RestFault {
    /// Wait this long before going on.
    pub delay: Duration,
    /// Then answer like this, or handle the call as usual when `None`.
    pub answer: Option<RestAnswer>,
}

/// An answer that a fault gives.
#[derive(Clone, Debug, PartialEq)]
pub enum RestAnswer {
    /// This status, without doing anything.
    Status(u16),
    /// 429 with this scope (`user`, `global`, `shared`) and `Retry-After` in seconds.
    RateLimited {
        /// `X-RateLimit-Scope`.
        scope: String,
        /// Seconds.
        retry_after: f64,
    },
    /// Do what was asked, then cut the connection instead of answering.
    LoseAnswer,
}

/// All armed faults.
#[derive(Debug, Default)]
pub struct Faults {}

impl Faults {
    /// What strikes this call, if anything. Counts one use of the fault.
    #[must_use]
    pub fn for_rest(&self, method: &str, route_template: &str, path: &str) -> Option<RestFault> {
        let _ = (method, route_template, path);
        None
    }
}
