//! The shares of tenants in the permits of the last window, for metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts the permits of each tenant in the present window.
#[derive(Debug)]
pub(super) struct TenantShares {
    granted: HashMap<Arc<str>, u64>,
    since: Instant,
}

/// The shares of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WindowShares {
    /// Tenants with a permit.
    pub(super) tenants: usize,
    /// Largest part of the permits that one tenant had, from 0 to 1; 0 without a permit.
    pub(super) largest: f64,
}

impl TenantShares {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            granted: HashMap::new(),
            since: now,
        }
    }

    /// Counts a permit.
    pub(super) fn granted(&mut self, tenant: &Arc<str>) {
        match self.granted.get_mut(tenant) {
            Some(count) => *count += 1,
            None => {
                self.granted.insert(Arc::clone(tenant), 1);
            }
        }
    }

    /// The shares of the window that has ended; `None` while it lasts.
    pub(super) fn end_window(&mut self, now: Instant) -> Option<WindowShares> {
        if now.saturating_duration_since(self.since) < WINDOW {
            return None;
        }
        self.since = now;
        let total: u64 = self.granted.values().sum();
        let most = self.granted.values().copied().max().unwrap_or(0);
        let shares = WindowShares {
            tenants: self.granted.len(),
            largest: if total == 0 { 0.0 } else { most as f64 / total as f64 },
        };
        self.granted.clear();
        Some(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_of_the_largest_tenant_is_known_at_the_end_of_the_window() {
        let begun = Instant::now();
        let mut shares = TenantShares::new(begun);
        let (one, other): (Arc<str>, Arc<str>) = ("1".into(), "2".into());
        for _ in 0..3 {
            shares.granted(&one);
        }
        shares.granted(&other);
        assert_eq!(shares.end_window(begun + WINDOW / 2), None);
        let ended = WindowShares {
            tenants: 2,
            largest: 0.75,
        };
        assert_eq!(shares.end_window(begun + WINDOW), Some(ended));
        let empty = WindowShares {
            tenants: 0,
            largest: 0.0,
        };
        assert_eq!(shares.end_window(begun + WINDOW * 2), Some(empty));
    }
}
