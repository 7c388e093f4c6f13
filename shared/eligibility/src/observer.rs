//! What the provider reports to its service, for metrics.

use std::fmt::Debug;
use std::time::Duration;

/// Receives what the provider does. The service counts it.
pub trait ProviderObserver: Debug + Send + Sync {
    /// A question was answered from this source (a name of [`crate::Source::NAMES`]), or not at all (`none`), after this time.
    fn answered(&self, source: &'static str, took: Duration);

    /// A request to the score service ended with this outcome, after this time. A request that the circuit breaker refused is
    /// reported as `breaker_open`.
    fn score_requested(&self, outcome: &'static str, took: Duration);
}

/// An observer that counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl ProviderObserver for NoObserver {
    fn answered(&self, _: &'static str, _: Duration) {}

    fn score_requested(&self, _: &'static str, _: Duration) {}
}
