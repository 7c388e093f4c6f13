//! The publishes of a pipeline that are not resolved yet.
//!
//! A publish in lapin wakes its task twice: when its frames are written, and when it is confirmed. The first wake-up is of no
//! use and costs a thread switch. The newest publish is therefore polled with a waker that does nothing, and the task waits
//! for lapin's own future for the confirmation of the channel's newest message instead. That future does not resolve once
//! there is a newer message, so an older publish is polled with the task's waker.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::confirm::PublishResult;

/// A resolved publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvedPublish {
    /// Number of the message in the window.
    pub(super) number: u64,
    /// Which send of the message it is.
    pub(super) send_id: u64,
    pub(super) result: PublishResult,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Newest {
    publish: Boxed<ResolvedPublish>,
    confirmed: Boxed<()>,
}

/// Publishes that are in flight.
#[derive(Default)]
pub(super) struct PendingPublishes {
    older: FuturesUnordered<Boxed<ResolvedPublish>>,
    newest: Option<Newest>,
}

impl PendingPublishes {
    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_none() && self.older.is_empty()
    }

    /// Begins a publish: its frames are queued when this returns. `confirmed` resolves when the channel's newest message is
    /// confirmed or the channel is closed. It is first polled after the publish has begun.
    pub(super) fn push(
        &mut self,
        publish: impl Future<Output = ResolvedPublish> + Send + 'static,
        confirmed: impl Future<Output = ()> + Send + 'static,
    ) {
        self.wake_on_all();
        let mut publish: Boxed<ResolvedPublish> = Box::pin(publish);
        match publish.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(resolved) => self.older.push(Box::pin(std::future::ready(resolved))),
            Poll::Pending => {
                self.newest = Some(Newest {
                    publish,
                    confirmed: Box::pin(confirmed),
                });
            }
        }
    }

    /// Polls every publish with the task's waker from now on. Called at intervals, so that a missed wake-up only delays.
    pub(super) fn wake_on_all(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.older.push(newest.publish);
        }
    }

    /// Waits for at least one resolved publish, and returns all that are resolved, in any order.
    ///
    /// lapin attaches a returned message to the publish that it resolves next, which is no later than the one that was
    /// returned. A caller that handled a confirmation without all publishes resolved before it could therefore treat a returned
    /// message as confirmed.
    pub(super) async fn resolved(&mut self) -> Vec<ResolvedPublish> {
        std::future::poll_fn(|context| self.poll_resolved(context)).await
    }

    fn poll_resolved(&mut self, context: &mut Context<'_>) -> Poll<Vec<ResolvedPublish>> {
        if let Some(newest) = &mut self.newest
            && newest.confirmed.as_mut().poll(context).is_ready()
        {
            self.wake_on_all();
        }
        let mut resolved = Vec::new();
        // `FuturesUnordered` may return pending before it has polled every woken future, and must then be polled again.
        for _ in 0..2 {
            while let Poll::Ready(Some(publish)) = self.older.poll_next_unpin(context) {
                resolved.push(publish);
            }
        }
        if !resolved.is_empty()
            && let Some(newest) = &mut self.newest
            && let Poll::Ready(publish) = newest.publish.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            resolved.push(publish);
            self.newest = None;
        }
        if resolved.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(resolved)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::sync::oneshot;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The three futures that lapin resolves for a publish.
    struct Broker {
        sent: oneshot::Sender<()>,
        result: oneshot::Sender<PublishResult>,
        newest: oneshot::Sender<()>,
    }

    fn publish(pending: &mut PendingPublishes, number: u64) -> Broker {
        let (sent, was_sent) = oneshot::channel::<()>();
        let (result, resolved) = oneshot::channel();
        let (newest, confirmed) = oneshot::channel::<()>();
        pending.push(
            async move {
                was_sent.await.unwrap();
                resolved_publish(number, resolved.await.unwrap())
            },
            async move { drop(confirmed.await) },
        );
        Broker { sent, result, newest }
    }

    fn resolved_publish(number: u64, result: PublishResult) -> ResolvedPublish {
        ResolvedPublish {
            number,
            send_id: 1,
            result,
        }
    }

    #[test]
    fn written_frames_do_not_wake_the_task_and_a_confirmation_does() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut pending = PendingPublishes::default();
        let one = publish(&mut pending, 1);
        assert!(pending.poll_resolved(&mut context).is_pending());
        one.sent.send(()).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        one.result.send(PublishResult::Confirmed).unwrap();
        one.newest.send(()).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        let resolved = pending.poll_resolved(&mut context);
        assert_eq!(
            resolved,
            Poll::Ready(vec![resolved_publish(1, PublishResult::Confirmed)])
        );
        assert!(pending.is_empty());
    }

    #[test]
    fn publish_that_is_no_longer_the_newest_wakes_the_task() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut pending = PendingPublishes::default();
        let one = publish(&mut pending, 1);
        assert!(pending.poll_resolved(&mut context).is_pending());
        one.sent.send(()).unwrap();
        let _two = publish(&mut pending, 2);
        assert!(pending.poll_resolved(&mut context).is_pending());
        let before = wakes.0.load(Ordering::Relaxed);
        one.result.send(PublishResult::Refused).unwrap();
        assert!(wakes.0.load(Ordering::Relaxed) > before);
        let resolved = pending.poll_resolved(&mut context);
        assert_eq!(resolved, Poll::Ready(vec![resolved_publish(1, PublishResult::Refused)]));
        assert!(!pending.is_empty());
    }

    #[test]
    fn newest_publish_is_returned_with_an_older_one_that_was_resolved_after_it() {
        let mut context = Context::from_waker(Waker::noop());
        let mut pending = PendingPublishes::default();
        let one = publish(&mut pending, 1);
        let two = publish(&mut pending, 2);
        one.sent.send(()).unwrap();
        two.sent.send(()).unwrap();
        assert!(pending.poll_resolved(&mut context).is_pending());
        let returned = PublishResult::Returned {
            id: "1".to_owned(),
            reply: "312 NO_ROUTE".to_owned(),
        };
        two.result.send(returned.clone()).unwrap();
        one.result.send(PublishResult::Confirmed).unwrap();
        // The future for the newest confirmation is not resolved yet.
        let resolved = pending.poll_resolved(&mut context);
        assert_eq!(
            resolved,
            Poll::Ready(vec![
                resolved_publish(1, PublishResult::Confirmed),
                resolved_publish(2, returned),
            ])
        );
        assert!(pending.is_empty());
        drop(two.newest);
    }
}
