//! What went over the wire, for the page, the ledger and the statistics.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

/// A REST call that was answered. `rest` records each, refused ones too.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RestCall {
    /// Emulator's clock on arrival, Unix milliseconds.
    pub at_ms: u64,
    /// e.g. `POST`.
    pub method: String,
    /// Path with query, below `/api/v10`.
    pub path: String,
    /// Route template, e.g. `/guilds/{guild.id}/roles`; `None` when no route matched.
    pub route: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// First characters of the caller's bot token, or `None` without `Authorization`.
    pub caller: Option<String>,
    /// Start of the request body; multipart is summarised.
    pub request: Option<String>,
    /// Start of the response body.
    pub response: Option<String>,
    /// `X-Audit-Log-Reason`, decoded.
    pub reason: Option<String>,
    /// Scope of a 429.
    pub limit_scope: Option<String>,
    /// Counted against the invalid-request limit.
    pub invalid: bool,
    /// Bound by the global limit of 50 a second (interaction endpoints are not).
    pub counts_globally: bool,
    /// A fault of the control API made this answer.
    pub fault: bool,
    /// Time that it took, microseconds of real time.
    pub duration_us: u64,
}

/// A frame of the gateway.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GatewayFrame {
    /// Emulator's clock, Unix milliseconds.
    pub at_ms: u64,
    /// `out` from the emulator, `in` from the client, `open`, `close`.
    pub direction: &'static str,
    /// Session, once there is one.
    pub session: Option<String>,
    /// Shard number and count.
    pub shard: Option<[u64; 2]>,
    /// Opcode.
    pub op: Option<u8>,
    /// Event name of a dispatch.
    pub event: Option<String>,
    /// Sequence number of a dispatch.
    pub seq: Option<u64>,
    /// Id of the thing that the event is about (interaction, message, …) where it has one.
    pub id: Option<String>,
    /// Close code, or the start of the payload.
    pub detail: Option<String>,
}

/// One thing that went over the wire.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// REST.
    Rest(RestCall),
    /// Gateway.
    Gateway(GatewayFrame),
}

/// A record with its place in the order of all.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts from 1.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// Keeps the newest records and tells those who listen.
#[derive(Debug)]
pub struct Traffic {
    inner: Mutex<Inner>,
    live: broadcast::Sender<Entry>,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    kept: VecDeque<Entry>,
    capacity: usize,
}

impl Traffic {
    /// Keeps this many records.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let inner = Inner {
            next: 1,
            kept: VecDeque::new(),
            capacity,
        };
        Self {
            inner: Mutex::new(inner),
            live: broadcast::Sender::new(1_024),
        }
    }

    /// Records a REST call.
    pub fn rest(&self, call: RestCall) {
        self.record(Record::Rest(call));
    }

    /// Records a frame of the gateway.
    pub fn gateway(&self, frame: GatewayFrame) {
        self.record(Record::Gateway(frame));
    }

    fn record(&self, record: Record) {
        let mut inner = self.inner.lock();
        let entry = Entry { n: inner.next, record };
        inner.next += 1;
        if self.live.receiver_count() > 0 {
            let _ = self.live.send(entry.clone());
        }
        if inner.capacity > 0 {
            if inner.kept.len() >= inner.capacity {
                inner.kept.pop_front();
            }
            inner.kept.push_back(entry);
        }
    }
}
