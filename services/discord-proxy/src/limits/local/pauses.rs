//! Pauses as this replica has them: what is in force, and what an operator or a check ends.

use std::time::{Duration, Instant};

use super::{Local, left};
use crate::limits::{InForce, PauseOf};

/// A used-up bucket whose window lasts longer than this is listed: most last for seconds.
const LONG_WINDOW: Duration = Duration::from_secs(60);
/// Routes and buckets listed at most.
const MOST_LISTED: usize = 50;

impl Local {
    /// Another replica was told by Discord to send nothing of the bot.
    pub(in crate::limits) fn learn_global(&mut self, until: Instant) {
        self.pause = self.pause.max(Some(until));
    }

    /// Ends the pauses of all calls.
    pub(in crate::limits) fn resume(&mut self) {
        (self.pause, self.edge) = (None, None);
    }

    /// Ends every pause, also of routes, and opens the windows of used-up buckets.
    pub(in crate::limits) fn clear_pauses(&mut self) {
        self.resume();
        self.pauses.clear();
        for window in self.buckets.values_mut().filter(|window| window.remaining == 0) {
            window.reset = None;
        }
    }

    /// The pauses that have time left, those of all calls first, then the longest.
    pub(in crate::limits) fn in_force(&self, now: Instant) -> Vec<InForce> {
        let of_all = [(PauseOf::Edge, self.edge), (PauseOf::Global, self.pause)];
        let routes = self.pauses.iter().map(|((route, major), until)| {
            let name = format!("{route} ({major})");
            (PauseOf::Route(name), Some(*until))
        });
        let buckets = self.buckets.iter().filter_map(|(name, window)| {
            let long = left(window.reset, now).is_some_and(|left| left > LONG_WINDOW);
            (long && window.remaining == 0 && !window.guess).then(|| (PauseOf::Bucket(name.clone()), window.reset))
        });
        let mut in_force: Vec<InForce> = of_all
            .into_iter()
            .chain(routes)
            .chain(buckets)
            .filter_map(|(of, until)| {
                Some(InForce {
                    of,
                    left: left(until, now)?,
                })
            })
            .collect();
        in_force.sort_by_key(|pause| (!pause.of.is_of_all(), std::cmp::Reverse(pause.left)));
        in_force.truncate(MOST_LISTED);
        in_force
    }
}
