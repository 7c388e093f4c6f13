//! Waiting for a condition instead of for a time.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// How long [`eventually`] waits. Long, since it costs nothing where the condition comes true, and two cores may be busy.
const LIMIT: Duration = Duration::from_secs(20);
/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// What a condition may answer: `bool`, or `Option` of what was waited for.
pub trait Met {
    /// What the waiting gives.
    type Value;
    /// The value, when the condition holds.
    fn met(self) -> Option<Self::Value>;
}

impl Met for bool {
    type Value = ();
    fn met(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Met for Option<T> {
    type Value = T;
    fn met(self) -> Option<T> {
        self
    }
}

/// Asks until the condition holds: `eventually(|| async { queue.len().await == 0 }, "the queue to be empty").await`.
///
/// # Panics
/// When it does not within twenty seconds, with what was waited for and where.
#[track_caller]
pub fn eventually<C, F>(condition: C, what: impl Into<String>) -> impl Future<Output = <F::Output as Met>::Value>
where
    C: FnMut() -> F,
    F: Future<Output: Met>,
{
    wait(LIMIT, condition, what.into(), Location::caller())
}

/// [`eventually`] with a limit of its own.
///
/// # Panics
/// As [`eventually`].
#[track_caller]
pub fn eventually_within<C, F>(
    limit: Duration,
    condition: C,
    what: impl Into<String>,
) -> impl Future<Output = <F::Output as Met>::Value>
where
    C: FnMut() -> F,
    F: Future<Output: Met>,
{
    wait(limit, condition, what.into(), Location::caller())
}

async fn wait<C, F>(limit: Duration, mut condition: C, what: String, caller: &Location<'_>) -> <F::Output as Met>::Value
where
    C: FnMut() -> F,
    F: Future<Output: Met>,
{
    let deadline = Instant::now() + limit;
    loop {
        // A condition that hangs is a condition that does not hold.
        let asked = tokio::time::timeout_at(deadline, condition()).await;
        if let Some(value) = asked.ok().and_then(Met::met) {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "{caller}: waited {} s in vain for {what}",
            limit.as_secs_f32()
        );
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_what_was_waited_for() {
        let mut asked = 0;
        let value = eventually(
            || {
                asked += 1;
                std::future::ready((asked == 3).then_some("there"))
            },
            "the third time",
        );
        assert_eq!(value.await, "there");
    }

    #[tokio::test]
    #[should_panic(expected = "waited 0.05 s in vain for pigs to fly")]
    async fn a_condition_that_never_holds_fails_the_test() {
        eventually_within(Duration::from_millis(50), || std::future::ready(false), "pigs to fly").await;
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for an answer")]
    async fn a_condition_that_hangs_fails_the_test() {
        eventually_within(Duration::from_millis(50), std::future::pending::<bool>, "an answer").await;
    }
}
