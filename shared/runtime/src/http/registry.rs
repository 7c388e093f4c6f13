//! The open connections of one listener: bounded in number and in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arrakis_fail_point as fail_point;
use parking_lot::Mutex;

use super::HttpLimits;
use super::connection::Connection;
use super::metrics::{ListenerMetrics, Why};

/// Passed over, the first connections that come keep their places for ever.
const GUARD: &str = "runtime.guard.connections";

/// Open connections.
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

/// A connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct Place {
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

    /// A place for a new connection. When there is none, the connection that is least worth keeping is closed for it; `None`
    /// when every one is being served.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open.lock();
        let first_come = fail_point::skips(GUARD);
        if open.connections.len() >= self.limits.connections && (first_come || !open.evict(&self.metrics)) {
            self.metrics.closed(Why::Refused);
            return None;
        }
        let id = open.next;
        open.next += 1;
        let connection = Arc::new(Connection::new(Instant::now()));
        open.connections.insert(id, Arc::clone(&connection));
        self.metrics.open(open.connections.len());
        Some(Place {
            id,
            registry: Arc::clone(self),
            connection,
        })
    }

    /// Closes the connection that is least worth keeping: the system gives no descriptor for a new one.
    pub(crate) fn make_room(&self) {
        self.metrics.closed(Why::NoDescriptor);
        self.open.lock().evict(&self.metrics);
    }

    /// Closes what is over its time.
    pub(crate) fn sweep(&self) {
        if fail_point::skips(GUARD) {
            return;
        }
        let now = Instant::now();
        let mut open = self.open.lock();
        open.connections.retain(|_, connection| {
            let Some(why) = connection.over_time(now, &self.limits) else {
                return true;
            };
            self.metrics.closed(why);
            connection.closed.cancel();
            false
        });
        self.metrics.open(open.connections.len());
    }

    /// Whether there is anything to sweep.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.lock().connections.is_empty()
    }
}

impl Open {
    fn evict(&mut self, metrics: &ListenerMetrics) -> bool {
        let least = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((connection.worth()?, *id)))
            .min();
        let Some(connection) = least.and_then(|(_, id)| self.connections.remove(&id)) else {
            return false;
        };
        metrics.closed(Why::Evicted);
        connection.closed.cancel();
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        if open.connections.remove(&self.id).is_some() {
            self.registry.metrics.open(open.connections.len());
        }
    }
}
