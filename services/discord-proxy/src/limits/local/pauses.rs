//! The active pauses of this replica, and their early end by an operator or a check.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{LocalLimits, left};
use crate::limits::{ActivePause, PauseScope};

/// A used-up bucket is listed when its window lasts longer; most last seconds.
const LONG_WINDOW: Duration = Duration::from_secs(60);
/// Pauses that are listed at most.
const MAX_LISTED: usize = 50;

impl LocalLimits {
    /// Records a pause of all bot calls that another replica met.
    pub(in crate::limits) fn extend_global_pause(&mut self, until: Instant) {
        self.global_pause = self.global_pause.max(Some(until));
    }

    /// Ends the pauses of all calls.
    pub(in crate::limits) fn end_pauses_of_all_calls(&mut self) {
        (self.global_pause, self.edge_pause) = (None, None);
    }

    /// Ends every pause, also of routes, and the windows of used-up buckets.
    pub(in crate::limits) fn end_all_pauses(&mut self) {
        self.end_pauses_of_all_calls();
        self.route_pauses.clear();
        for window in self.buckets.values_mut().filter(|window| window.remaining == 0) {
            window.reset = None;
        }
    }

    /// The active pauses: those of all calls first, then the longest.
    pub(in crate::limits) fn active_pauses(&self, now: Instant) -> Vec<ActivePause> {
        let of_all = [
            (PauseScope::Edge, self.edge_pause),
            (PauseScope::Global, self.global_pause),
        ];
        let routes = self.route_pauses.iter().map(|(route, until)| {
            let name = format!("{} ({})", route.template, route.major);
            (PauseScope::Route(name), Some(*until))
        });
        let buckets = self.buckets.iter().filter_map(|(name, window)| {
            let long = left(window.reset, now).is_some_and(|left| left > LONG_WINDOW);
            (long && window.remaining == 0 && !window.assumed).then(|| (PauseScope::Bucket(name.clone()), window.reset))
        });
        let mut active: Vec<ActivePause> = of_all
            .into_iter()
            .chain(routes)
            .chain(buckets)
            .filter_map(|(scope, until)| {
                Some(ActivePause {
                    scope,
                    left: left(until, now)?,
                })
            })
            .collect();
        active.sort_by_key(|pause| (!pause.scope.is_of_all_calls(), Reverse(pause.left)));
        active.truncate(MAX_LISTED);
        active
    }
}
