//! The open connections of one listener, with limits of number and time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arrakis_fail_point as fail_point;
use parking_lot::Mutex;

use super::HttpLimits;
use super::connection::Connection;
use super::metrics::{CloseReason, ListenerMetrics};

/// Fail point: the first connections are never closed.
const GUARD: &str = "runtime.guard.connections";

/// The open connections of a listener.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: HttpLimits,
    metrics: ListenerMetrics,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

/// The slot of an open connection; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    id: u64,
    registry: Arc<Registry>,
    pub(crate) connection: Arc<Connection>,
}

impl Registry {
    pub(crate) fn new(limits: HttpLimits, metrics: ListenerMetrics) -> Self {
        Self {
            limits,
            metrics,
            open: Mutex::default(),
        }
    }

    /// Takes a slot for a new connection. When all slots are taken, the connection that is first in the eviction order is closed.
    /// Returns `None` when all connections are handling requests.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<ConnectionSlot> {
        let mut open = self.open.lock();
        let never_evicts = fail_point::skips(GUARD);
        if open.connections.len() >= self.limits.connections && (never_evicts || !open.evict(&self.metrics)) {
            self.metrics.closed(CloseReason::Refused);
            return None;
        }
        let id = open.next;
        open.next += 1;
        let connection = Arc::new(Connection::new(Instant::now()));
        open.connections.insert(id, Arc::clone(&connection));
        self.metrics.open(open.connections.len());
        Some(ConnectionSlot {
            id,
            registry: Arc::clone(self),
            connection,
        })
    }

    /// Closes the connection that is first in the eviction order, because the process has no descriptor for a new one.
    pub(crate) fn make_room(&self) {
        self.metrics.closed(CloseReason::NoDescriptor);
        self.open.lock().evict(&self.metrics);
    }

    /// Closes connections that exceed a time limit.
    pub(crate) fn sweep(&self) {
        if fail_point::skips(GUARD) {
            return;
        }
        let now = Instant::now();
        let mut open = self.open.lock();
        open.connections.retain(|_, connection| {
            let Some(reason) = connection.exceeded_limit(now, &self.limits) else {
                return true;
            };
            self.metrics.closed(reason);
            connection.closed.cancel();
            false
        });
        self.metrics.open(open.connections.len());
    }

    /// Whether no connection is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.lock().connections.is_empty()
    }
}

impl Open {
    fn evict(&mut self, metrics: &ListenerMetrics) -> bool {
        let first = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((connection.eviction_order()?, *id)))
            .min();
        let Some(connection) = first.and_then(|(_, id)| self.connections.remove(&id)) else {
            return false;
        };
        metrics.closed(CloseReason::Evicted);
        connection.closed.cancel();
        true
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        if open.connections.remove(&self.id).is_some() {
            self.registry.metrics.open(open.connections.len());
        }
    }
}
