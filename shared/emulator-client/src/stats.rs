//! `/control/stats`: counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts since the start of the emulator, or since the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsReport {
    /// Events by name, whether or not a session received them.
    pub events: BTreeMap<String, u64>,
    /// Dispatches written to a socket, by name.
    pub dispatches: BTreeMap<String, u64>,
    /// Sum of `dispatches`.
    pub dispatches_total: u64,
    /// Interactions delivered by HTTP, by the status of the response; `none` without one.
    #[serde(default)]
    pub interaction_deliveries: BTreeMap<String, u64>,
    /// Sessions started by IDENTIFY.
    pub identifies: u64,
    /// Sessions continued by RESUME.
    pub resumes: u64,
    /// Op 9 frames sent.
    pub invalid_sessions: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Closed connections by close code; `dropped` without one.
    pub closes: BTreeMap<String, u64>,
    /// REST responses by method and route, then by status.
    pub rest: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Sum of `rest`.
    pub rest_total: u64,
    /// Responses with 429, by scope.
    pub limited: BTreeMap<String, u64>,
    /// Responses that count towards the limit of invalid requests.
    pub invalid: u64,
    /// Responses replaced by a fault.
    pub faults: u64,
    /// Largest number of requests within any 1.1 s that count towards the global limit.
    pub most_requests_in_1100_ms: u64,
}

impl StatsReport {
    /// REST responses with this status, or with any for `None`, on the routes whose name (`GET /guilds/{guild_id}`) `fits`.
    #[must_use]
    pub fn rest_responses(&self, fits: impl Fn(&str) -> bool, status: Option<u16>) -> u64 {
        let routes = self.rest.iter().filter(|(route, _)| fits(route));
        let counts = routes.flat_map(|(_, statuses)| statuses);
        counts
            .filter(|(found, _)| status.is_none_or(|wanted| wanted == **found))
            .map(|(_, count)| count)
            .sum()
    }
}
