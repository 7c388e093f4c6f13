//! Counts of calls, frames and events, for load runs and tests.

use std::collections::{BTreeMap, VecDeque};

use super::{RestCall, StatsReport};

/// Length of the window in which requests are counted, milliseconds. Longer than a second, because a full bucket of 50 that
/// is refilled at 50 a second lets nearly 100 through in one second.
const WINDOW_MS: u64 = 1_100;

/// Counters. All start at zero.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    report: StatsReport,
    /// Times of the latest requests that count towards the global limit, in order.
    arrivals: VecDeque<u64>,
}

impl Stats {
    /// Counts a REST call.
    pub(crate) fn rest(&mut self, call: &RestCall) {
        let report = &mut self.report;
        let route = format!("{} {}", call.method, call.route.as_deref().unwrap_or("(no route)"));
        *report.rest.entry(route).or_default().entry(call.status).or_default() += 1;
        report.rest_total += 1;
        report.invalid += u64::from(call.invalid);
        report.faults += u64::from(call.fault);
        if call.status == 429 {
            let scope = call.limit_scope.clone().unwrap_or_else(|| "none".to_owned());
            *report.limited.entry(scope).or_default() += 1;
        }
        if call.counts_globally {
            self.arrived(call.at_ms);
        }
    }

    /// Records an arrival. Calls are recorded when they end, so arrivals are slightly out of order.
    fn arrived(&mut self, at_ms: u64) {
        let place = self.arrivals.partition_point(|earlier| *earlier <= at_ms);
        self.arrivals.insert(place, at_ms);
        let newest = self.arrivals.back().copied().unwrap_or_default();
        while self.arrivals.front().is_some_and(|oldest| oldest + 60_000 < newest) {
            self.arrivals.pop_front();
        }
        let first = self.arrivals.partition_point(|earlier| earlier + WINDOW_MS <= at_ms);
        // The fullest window with a newest arrival begins at the first arrival within the window's length. A late record may be
        // inside of several windows, so each of them is counted; there are few, since records are rarely late.
        let last_start = if at_ms == newest { first } else { place };
        for start in first..=last_start {
            let Some(begin) = self.arrivals.get(start) else { return };
            let end = self.arrivals.partition_point(|arrival| *arrival < begin + WINDOW_MS);
            let held = u64::try_from(end - start).unwrap_or(u64::MAX);
            self.report.most_requests_in_1100_ms = self.report.most_requests_in_1100_ms.max(held);
        }
    }

    pub(crate) fn emitted(&mut self, event: &'static str) {
        count(&mut self.report.events, event);
    }

    pub(crate) fn sent(&mut self, event: &'static str) {
        count(&mut self.report.dispatches, event);
        self.report.dispatches_total += 1;
    }

    pub(crate) fn delivered(&mut self, status: &str) {
        *self.report.interaction_deliveries.entry(status.to_owned()).or_default() += 1;
    }

    pub(crate) fn identified(&mut self) {
        self.report.identifies += 1;
    }

    pub(crate) fn resumed(&mut self) {
        self.report.resumes += 1;
    }

    pub(crate) fn invalidated(&mut self) {
        self.report.invalid_sessions += 1;
    }

    pub(crate) fn heartbeat_received(&mut self) {
        self.report.heartbeats += 1;
    }

    pub(crate) fn closed(&mut self, code: Option<u16>) {
        let code = code.map_or_else(|| "dropped".to_owned(), |code| code.to_string());
        *self.report.closes.entry(code).or_default() += 1;
    }

    pub(crate) fn report(&self) -> StatsReport {
        self.report.clone()
    }
}

/// Counts one event. The name is copied at its first event alone.
fn count(counts: &mut BTreeMap<String, u64>, event: &str) {
    match counts.get_mut(event) {
        Some(count) => *count += 1,
        None => {
            counts.insert(event.to_owned(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(arrivals: &[u64]) -> u64 {
        let mut stats = Stats::default();
        for at_ms in arrivals {
            stats.rest(&RestCall {
                at_ms: *at_ms,
                counts_globally: true,
                ..RestCall::default()
            });
        }
        stats.report().most_requests_in_1100_ms
    }

    #[test]
    fn the_window_slides_and_takes_late_records() {
        assert_eq!(most(&[0, 500, 1_099, 1_100]), 3);
        assert_eq!(most(&[1_100, 1_099, 500, 0]), 3);
        assert_eq!(most(&[0, 2_000, 4_000]), 1);
        assert_eq!(most(&[]), 0);
    }
}
