//! Limits the open connections of a listener, and closes idle ones when the limit is reached.
//!
//! A connection is idle while it waits for a request: before the first one has arrived completely, and between two. When all
//! slots are taken, the connection that has been idle longest is closed for a new one, so that clients that open connections
//! and send nothing, or half of a request, cannot block others. Connections with a request in progress are never closed; when
//! all have one, new connections wait.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The slots of one listener. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionSlots {
    free: Arc<Semaphore>,
    idle: Arc<IdleConnections>,
}

#[derive(Debug, Default)]
struct IdleConnections {
    /// Idle connections by the order in which they became idle.
    since: Mutex<(u64, BTreeMap<u64, CancellationToken>)>,
    another: Notify,
}

impl ConnectionSlots {
    /// Slots for this many connections.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            idle: Arc::default(),
        }
    }

    /// Takes a slot for a new connection, which is idle at first.
    pub(crate) async fn take(&self) -> ConnectionSlot {
        let mut made_room = false;
        loop {
            // Created before the slots are checked, so that every connection that becomes idle from here on is noticed.
            let another = self.idle.another.notified();
            let free = Arc::clone(&self.free);
            if self.free.available_permits() == 0 && !made_room {
                made_room = self.end_longest_idle();
            }
            tokio::select! {
                permit = free.acquire_owned() => match permit {
                    Ok(permit) => return ConnectionSlot::new(permit, Arc::clone(&self.idle)),
                    // The semaphore is never closed.
                    Err(_) => return std::future::pending().await,
                },
                () = another => {}
            }
        }
    }

    /// Closes the connection that has been idle longest. `false` when none is idle.
    fn end_longest_idle(&self) -> bool {
        let longest = self.idle.since.lock().1.pop_first();
        if let Some((_, end)) = &longest {
            tracing::debug!("connection limit reached: closing the connection that has been idle longest");
            end.cancel();
        }
        longest.is_some()
    }
}

/// The slot of a connection. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    idle: Arc<IdleConnections>,
    since: Mutex<Option<u64>>,
    end: CancellationToken,
}

impl ConnectionSlot {
    fn new(permit: OwnedSemaphorePermit, idle: Arc<IdleConnections>) -> Self {
        let slot = Self {
            _permit: permit,
            idle,
            since: Mutex::new(None),
            end: CancellationToken::new(),
        };
        slot.idle();
        slot
    }

    /// Records that a request has arrived.
    pub(crate) fn busy(&self) {
        if let Some(since) = self.since.lock().take() {
            self.idle.since.lock().1.remove(&since);
        }
    }

    /// Records that its response has been sent.
    pub(crate) fn idle(&self) {
        let mut since = self.since.lock();
        if since.is_none() {
            let mut idle = self.idle.since.lock();
            idle.0 += 1;
            let now = idle.0;
            idle.1.insert(now, self.end.clone());
            *since = Some(now);
            self.idle.another.notify_waiters();
        }
    }

    /// Waits until the connection is to be closed.
    pub(crate) async fn ended(&self) {
        self.end.cancelled().await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.busy();
    }
}

/// The body of a request. Its connection is busy once the body has arrived completely.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    body: B,
    slot: Arc<ConnectionSlot>,
}

impl<B: Body> RequestBody<B> {
    /// Wraps a body; the connection is busy at once when it is empty.
    pub(crate) fn new(body: B, slot: Arc<ConnectionSlot>) -> Self {
        if body.is_end_stream() {
            slot.busy();
        }
        Self { body, slot }
    }
}

impl<B: Body + Unpin> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.slot.busy();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. Its connection is idle once the body has been sent.
#[derive(Debug)]
pub(crate) struct ResponseBody<B> {
    body: B,
    slot: Arc<ConnectionSlot>,
}

impl<B> ResponseBody<B> {
    /// Wraps a body.
    pub(crate) const fn new(body: B, slot: Arc<ConnectionSlot>) -> Self {
        Self { body, slot }
    }
}

impl<B> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        self.slot.idle();
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn longest_idle_connection_is_closed_for_a_new_one() {
        let slots = ConnectionSlots::new(2);
        let (first, second) = (slots.take().await, slots.take().await);
        // After a request the first connection has been idle for a shorter time.
        first.busy();
        first.idle();
        let next = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take().await }
        });
        timeout(SOON, second.ended()).await.unwrap();
        assert!(!first.end.is_cancelled());
        drop(second);
        timeout(SOON, next).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn new_connection_waits_while_all_others_are_busy() {
        let slots = ConnectionSlots::new(1);
        let first = slots.take().await;
        first.busy();
        let next = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take().await }
        });
        tokio::task::yield_now().await;
        assert!(!next.is_finished() && !first.end.is_cancelled());
        first.idle();
        timeout(SOON, first.ended()).await.unwrap();
        drop(first);
        timeout(SOON, next).await.unwrap().unwrap();
    }
}
