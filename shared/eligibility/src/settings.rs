//! Limits of the provider, with defaults.

use std::time::Duration;

/// Limits of the provider. No environment variable sets them; [`ProviderSettings::default`] has the values in use.
#[derive(Debug, Clone, Copy)]
pub struct ProviderSettings {
    /// Longest time for an answer of the tiers. Reading and writing Redis adds at most 0.5 s.
    pub answer_limit: Duration,
    /// Time limit of a request to the score service. A response after [`ProviderSettings::answer_limit`] is stored for the next question.
    pub score_timeout: Duration,
    /// Time limit of establishing a connection to the score service.
    pub connect_timeout: Duration,
    /// Largest response of the score service in bytes.
    pub max_response: usize,
    /// Time limit of reading the chain.
    pub native_timeout: Duration,
    /// Age up to which a stored answer is used without a request.
    pub fresh_for: Duration,
    /// Age up to which a stored answer is used when neither tier responds.
    pub usable_for: Duration,
    /// Limits of the circuit breaker.
    pub breaker: BreakerSettings,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            answer_limit: Duration::from_millis(2_500),
            score_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            max_response: 16 * 1024,
            native_timeout: Duration::from_secs(5),
            fresh_for: Duration::from_secs(15),
            usable_for: Duration::from_secs(6 * 3600),
            breaker: BreakerSettings::default(),
        }
    }
}

/// Limits of a circuit breaker.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Calls that ended longer ago than this do not count.
    pub window: Duration,
    /// Fewer calls within the window never open the breaker.
    pub min_calls: usize,
    /// Share of failed calls, in percent, from which the breaker opens.
    pub failure_percent: usize,
    /// Time for which it stays open before one call is sent as a probe.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            min_calls: 5,
            failure_percent: 50,
            open_for: Duration::from_secs(30),
        }
    }
}
