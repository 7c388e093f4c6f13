//! Requests in progress: several concurrent callers with the same key share one request.
//!
//! A request is a task of its own. It continues when its callers stop waiting, so that a late response is stored and counted.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A request in progress; `None` when its task panicked.
pub(crate) type InProgress<V> = Shared<BoxFuture<'static, Option<V>>>;

type Running<K, V> = Arc<Mutex<HashMap<K, InProgress<V>>>>;

/// Requests in progress by key.
pub(crate) struct InFlight<K, V> {
    running: Running<K, V>,
}

impl<K, V> fmt::Debug for InFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("running", &self.running.lock().len())
            .finish()
    }
}

impl<K, V> Default for InFlight<K, V> {
    fn default() -> Self {
        Self {
            running: Arc::default(),
        }
    }
}

impl<K, V> InFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The request with this key that is in progress, or a new one.
    pub(crate) fn join_or_start<F>(&self, key: &K, request: impl FnOnce() -> F) -> InProgress<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let shared = {
            let mut running = self.running.lock();
            if let Some(request) = running.get(key) {
                return request.clone();
            }
            let shared = receiver.map(Result::ok).boxed().shared();
            running.insert(key.clone(), shared.clone());
            shared
        };
        let entry = Entry {
            running: Arc::clone(&self.running),
            key: key.clone(),
        };
        let request = request();
        // Not while the lock is held: a runtime that shuts down drops the task, and with it the entry, inside `spawn`.
        tokio::spawn(async move {
            let _entry = entry;
            let _ = sender.send(request.await);
        });
        shared
    }
}

/// Removes the entry when its task ends, also by a panic.
struct Entry<K: Eq + Hash, V> {
    running: Running<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        let removed = self.running.lock().remove(&self.key);
        // Not while the lock is held: its drop may run code of the task.
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_request() {
        let requests: InFlight<u8, u32> = InFlight::default();
        let started = Arc::new(AtomicU32::new(0));
        let start = || {
            let number = started.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                sleep(Duration::from_secs(1)).await;
                number
            }
        };
        let (first, second) = (requests.join_or_start(&7, start), requests.join_or_start(&7, start));
        let other = requests.join_or_start(&8, start);
        assert_eq!(tokio::join!(first, second, other), (Some(1), Some(1), Some(2)));
        assert_eq!(requests.join_or_start(&7, start).await, Some(3), "the first one ended");
    }

    #[tokio::test(start_paused = true)]
    async fn request_continues_without_callers() {
        let requests: InFlight<u8, u32> = InFlight::default();
        let slow = || async {
            sleep(Duration::from_secs(5)).await;
            1
        };
        assert!(
            timeout(Duration::from_secs(1), requests.join_or_start(&7, slow))
                .await
                .is_err()
        );
        let joined = requests.join_or_start(&7, || async { 2 });
        assert_eq!(joined.await, Some(1));
    }

    #[tokio::test]
    async fn panic_ends_the_request() {
        let requests: InFlight<u8, u32> = InFlight::default();
        let failed = requests.join_or_start(&7, || async { panic!("expected by this test") });
        assert_eq!(failed.await, None);
        assert_eq!(requests.join_or_start(&7, || async { 2 }).await, Some(2));
    }
}
