//! The publishes of a pipeline that the broker has not answered.
//!
//! lapin resolves a publish twice, when its frames are written and when it is confirmed, and each costs a wake-up of our
//! thread by lapin's. Only the second is of interest. The newest publish is therefore polled with a waker that does nothing,
//! and what wakes is the confirmation of the newest message, which lapin has from the beginning. It never comes once there is
//! a newer message, so every publish is followed by itself from then on.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::confirm::Answer;

/// Number and round of a message, and what the broker said.
pub(crate) type Answered = (u64, u64, Answer);

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Newest {
    publish: Boxed<Answered>,
    confirmed: Boxed<()>,
}

/// What is under way.
#[derive(Default)]
pub(crate) struct Unanswered {
    older: FuturesUnordered<Boxed<Answered>>,
    newest: Option<Newest>,
}

impl Unanswered {
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none() && self.older.is_empty()
    }

    /// Begins a publish: its frames are queued when this returns. `confirmed` resolves when the channel's newest message is
    /// confirmed or the channel is gone; it is first polled after the publish has begun.
    pub(crate) fn push(
        &mut self,
        publish: impl Future<Output = Answered> + Send + 'static,
        confirmed: impl Future<Output = ()> + Send + 'static,
    ) {
        self.follow_all();
        let mut publish: Boxed<Answered> = Box::pin(publish);
        match publish.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answered) => self.older.push(Box::pin(std::future::ready(answered))),
            Poll::Pending => {
                self.newest = Some(Newest {
                    publish,
                    confirmed: Box::pin(confirmed),
                });
            }
        }
    }

    /// From now on every publish wakes by itself. Called now and then, so that an answer is late at most, and never missed.
    pub(crate) fn follow_all(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.older.push(newest.publish);
        }
    }

    /// Every answer that is there, in any order; at least one.
    ///
    /// lapin hands a returned message to whichever publish it resolves next, and resolves that no later than the one that was
    /// returned. So whoever sees a confirmation and has not seen all that was resolved before it may take a message for
    /// confirmed that no queue has.
    pub(crate) async fn ready(&mut self) -> Vec<Answered> {
        std::future::poll_fn(|context| self.poll_ready(context)).await
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Vec<Answered>> {
        if let Some(newest) = &mut self.newest
            && newest.confirmed.as_mut().poll(context).is_ready()
        {
            self.follow_all();
        }
        let mut answers = Vec::new();
        // `FuturesUnordered` may pause before it has looked at everything that woke, and is then asked again.
        for _ in 0..2 {
            while let Poll::Ready(Some(answer)) = self.older.poll_next_unpin(context) {
                answers.push(answer);
            }
        }
        if !answers.is_empty()
            && let Some(newest) = &mut self.newest
            && let Poll::Ready(answer) = newest.publish.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            answers.push(answer);
            self.newest = None;
        }
        if answers.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(answers)
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

    /// A publish as lapin's: resolved twice, and the second is also told to whoever waits for the newest.
    struct Broker {
        sent: oneshot::Sender<()>,
        answer: oneshot::Sender<Answer>,
        newest: oneshot::Sender<()>,
    }

    fn publish(unanswered: &mut Unanswered, number: u64) -> Broker {
        let (sent, was_sent) = oneshot::channel::<()>();
        let (answer, answered) = oneshot::channel();
        let (newest, confirmed) = oneshot::channel::<()>();
        unanswered.push(
            async move {
                was_sent.await.unwrap();
                (number, 1, answered.await.unwrap())
            },
            async move { drop(confirmed.await) },
        );
        Broker { sent, answer, newest }
    }

    #[test]
    fn frames_written_wake_nobody_and_the_confirmation_does() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut unanswered = Unanswered::default();
        let one = publish(&mut unanswered, 1);
        assert!(unanswered.poll_ready(&mut context).is_pending());
        one.sent.send(()).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        one.answer.send(Answer::Confirmed).unwrap();
        one.newest.send(()).unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        let answered = unanswered.poll_ready(&mut context);
        assert_eq!(answered, Poll::Ready(vec![(1, 1, Answer::Confirmed)]));
        assert!(unanswered.is_empty());
    }

    #[test]
    fn a_publish_that_is_not_the_newest_any_more_wakes_by_itself() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut unanswered = Unanswered::default();
        let one = publish(&mut unanswered, 1);
        assert!(unanswered.poll_ready(&mut context).is_pending());
        one.sent.send(()).unwrap();
        let _two = publish(&mut unanswered, 2);
        assert!(unanswered.poll_ready(&mut context).is_pending());
        let before = wakes.0.load(Ordering::Relaxed);
        one.answer.send(Answer::Refused).unwrap();
        assert!(wakes.0.load(Ordering::Relaxed) > before);
        let answered = unanswered.poll_ready(&mut context);
        assert_eq!(answered, Poll::Ready(vec![(1, 1, Answer::Refused)]));
        assert!(!unanswered.is_empty());
    }

    #[test]
    fn the_newest_is_told_with_an_older_one_that_was_resolved_after_it() {
        let mut context = Context::from_waker(Waker::noop());
        let mut unanswered = Unanswered::default();
        let one = publish(&mut unanswered, 1);
        let two = publish(&mut unanswered, 2);
        one.sent.send(()).unwrap();
        two.sent.send(()).unwrap();
        assert!(unanswered.poll_ready(&mut context).is_pending());
        let returned = Answer::Returned {
            id: "1".to_owned(),
            reply: "312 NO_ROUTE".to_owned(),
        };
        two.answer.send(returned.clone()).unwrap();
        one.answer.send(Answer::Confirmed).unwrap();
        // Nobody has said yet that the newest is confirmed.
        let answered = unanswered.poll_ready(&mut context);
        assert_eq!(answered, Poll::Ready(vec![(1, 1, Answer::Confirmed), (2, 1, returned)]));
        assert!(unanswered.is_empty());
        drop(two.newest);
    }
}
