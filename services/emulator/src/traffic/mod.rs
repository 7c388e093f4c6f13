//! Records of REST calls and gateway frames, for the page, the ledger and the statistics.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::model::Id;

mod stats;

pub use arrakis_emulator_client::{RestCall, StatsReport};
pub(crate) use stats::Stats;

/// Characters of a body in the live stream.
const LIVE_DETAIL: usize = 4_000;

/// A frame of the gateway.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GatewayFrame {
    /// Emulator's clock, Unix milliseconds.
    pub at_ms: u64,
    /// `out` from the emulator, `in` from the client, `open`, `close`.
    pub direction: &'static str,
    /// Session, once there is one.
    pub session: Option<Arc<str>>,
    /// Shard number and count.
    pub shard: Option<[u64; 2]>,
    /// Opcode.
    pub op: Option<u8>,
    /// Event name of a dispatch.
    pub event: Option<&'static str>,
    /// Sequence number of a dispatch.
    pub seq: Option<u64>,
    /// Id of the event's object (interaction, message, …), if it has one.
    pub id: Option<Id>,
    /// Close code, or the start of the payload.
    pub detail: Option<String>,
}

/// A recorded call or frame.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// REST.
    Rest(RestCall),
    /// Gateway.
    Gateway(GatewayFrame),
}

/// A record with its number.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub n: u64,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// Keeps the newest records, counts all of them and sends them to subscribers.
#[derive(Debug)]
pub struct Traffic {
    recording: AtomicBool,
    kept: Mutex<KeptRecords>,
    live: broadcast::Sender<Arc<Entry>>,
    stats: Mutex<Stats>,
}

#[derive(Debug)]
struct KeptRecords {
    next: u64,
    entries: VecDeque<Arc<Entry>>,
    capacity: usize,
    bodies: usize,
}

impl Traffic {
    /// Keeps this many records, and of each body this many characters.
    #[must_use]
    pub fn new(capacity: usize, bodies: usize) -> Self {
        Self {
            recording: AtomicBool::new(capacity > 0),
            kept: Mutex::new(KeptRecords {
                next: 1,
                entries: VecDeque::new(),
                capacity,
                bodies,
            }),
            live: broadcast::Sender::new(1_024),
            stats: Mutex::default(),
        }
    }

    /// Records a REST call.
    pub fn rest(&self, call: RestCall) {
        self.stats.lock().rest(&call);
        self.record(|| Record::Rest(call));
    }

    /// Records a frame of the gateway. `frame` is called only when records are kept or there are subscribers.
    pub fn gateway(&self, frame: impl FnOnce() -> GatewayFrame) {
        self.record(|| Record::Gateway(frame()));
    }

    /// Switches the keeping of records on or off. Statistics and the live stream go on.
    pub fn set_recording(&self, on: bool) {
        self.recording.store(on, Ordering::Relaxed);
    }

    /// Whether records are kept.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording.load(Ordering::Relaxed)
    }

    /// Whether bodies are needed, for the ledger or the live stream.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.is_recording() || self.live.receiver_count() > 0
    }

    /// Kept records whose number is above this one, oldest first.
    #[must_use]
    pub fn since(&self, n: u64) -> Vec<Arc<Entry>> {
        let kept = self.kept.lock();
        let skip = kept.entries.partition_point(|entry| entry.n <= n);
        kept.entries.iter().skip(skip).cloned().collect()
    }

    /// Subscribes to records from now on. A slow subscriber loses the oldest ones.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.live.subscribe()
    }

    /// Counts since the start, or since the last reset.
    #[must_use]
    pub fn stats(&self) -> StatsReport {
        self.stats.lock().report()
    }

    /// Starts counting from zero.
    pub fn reset_stats(&self) {
        *self.stats.lock() = Stats::default();
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.stats.lock());
    }

    fn record(&self, record: impl FnOnce() -> Record) {
        let keep = self.is_recording();
        let live = self.live.receiver_count() > 0;
        if !keep && !live {
            return;
        }
        let mut record = record();
        let mut kept = self.kept.lock();
        let n = kept.next;
        kept.next += 1;
        if live {
            let mut record = record.clone();
            record.shorten(LIVE_DETAIL);
            let _ = self.live.send(Arc::new(Entry { n, record }));
        }
        if keep {
            record.shorten(kept.bodies);
            if kept.entries.len() >= kept.capacity {
                kept.entries.pop_front();
            }
            kept.entries.push_back(Arc::new(Entry { n, record }));
        }
    }
}

impl Record {
    fn shorten(&mut self, most: usize) {
        let texts = match self {
            Self::Rest(call) => [call.request.as_mut(), call.response.as_mut()],
            Self::Gateway(frame) => [frame.detail.as_mut(), None],
        };
        for text in texts.into_iter().flatten() {
            if let Some((end, _)) = text.char_indices().nth(most) {
                text.truncate(end);
                text.push('…');
                text.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(n: usize) -> GatewayFrame {
        GatewayFrame {
            direction: "in",
            detail: Some("x".repeat(n)),
            ..GatewayFrame::default()
        }
    }

    #[test]
    fn newest_records_are_kept_and_can_be_read_by_number() {
        let traffic = Traffic::new(2, 10);
        for _ in 0..3 {
            traffic.gateway(|| beat(1));
        }
        let numbers = |since| traffic.since(since).iter().map(|entry| entry.n).collect::<Vec<_>>();
        assert_eq!(numbers(0), [2, 3]);
        assert_eq!(numbers(2), [3]);
        traffic.set_recording(false);
        traffic.gateway(|| unreachable!("nobody listens"));
        assert_eq!(numbers(0), [2, 3]);
    }

    #[test]
    fn long_bodies_are_cut() {
        let traffic = Traffic::new(1, 10);
        traffic.gateway(|| beat(10_000));
        let Record::Gateway(frame) = &traffic.since(0)[0].record else {
            panic!("not a frame")
        };
        assert_eq!(frame.detail.as_ref().unwrap().chars().count(), 11);
    }
}
