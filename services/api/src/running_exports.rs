//! Exports in progress: at most two of one API key, since each holds a page of users in memory for as long as its client reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::problem::{Problem, ProblemKind};

/// Exports of one key at a time, in one replica.
const MAX_OF_KEY: u32 = 2;
/// When a refused client should try again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

type Counts = Arc<Mutex<HashMap<Uuid, u32>>>;

/// Number of exports in progress by key.
#[derive(Debug, Default)]
pub(crate) struct RunningExports(Counts);

/// An export in progress; ends with its drop.
#[derive(Debug)]
pub(crate) struct RunningExport {
    counts: Counts,
    key: Uuid,
}

impl RunningExports {
    /// Begins an export of a key, unless it has two.
    pub(crate) fn begin(&self, key: Uuid) -> Result<RunningExport, Problem> {
        let mut counts = self.0.lock();
        let count = counts.entry(key).or_default();
        if *count >= MAX_OF_KEY {
            let detail =
                format!("{MAX_OF_KEY} exports of this API key are in progress; begin another one when one has ended");
            return Err(Problem::new(ProblemKind::RateLimited, detail).retry_after(RETRY_AFTER));
        }
        *count += 1;
        Ok(RunningExport {
            counts: Arc::clone(&self.0),
            key,
        })
    }
}

impl Drop for RunningExport {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
