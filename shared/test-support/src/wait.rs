//! Waiting for a condition instead of sleeping.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// How long [`eventually`] waits. Long, because it costs nothing when the condition becomes true, and the machine may be
/// busy.
const LIMIT: Duration = Duration::from_secs(20);
/// Interval at which the condition is checked.
const INTERVAL: Duration = Duration::from_millis(20);

/// Result of a condition: `bool`, or an `Option` with the awaited value.
pub trait Condition {
    /// The awaited value.
    type Value;
    /// The value, if the condition is true.
    fn value(self) -> Option<Self::Value>;
}

impl Condition for bool {
    type Value = ();
    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Condition for Option<T> {
    type Value = T;
    fn value(self) -> Option<T> {
        self
    }
}

/// Waits until the condition is true: `eventually(|| async { queue.len().await == 0 }, "the queue to be empty").await`.
///
/// # Panics
/// When it is not true within 20 s; the message holds `what` and the caller's location.
#[track_caller]
pub fn eventually<C, F>(condition: C, what: impl Into<String>) -> impl Future<Output = <F::Output as Condition>::Value>
where
    C: FnMut() -> F,
    F: Future<Output: Condition>,
{
    wait(LIMIT, condition, what.into(), Location::caller())
}

/// [`eventually`] with another limit.
///
/// # Panics
/// As [`eventually`].
#[track_caller]
pub fn eventually_within<C, F>(
    limit: Duration,
    condition: C,
    what: impl Into<String>,
) -> impl Future<Output = <F::Output as Condition>::Value>
where
    C: FnMut() -> F,
    F: Future<Output: Condition>,
{
    wait(limit, condition, what.into(), Location::caller())
}

async fn wait<C, F>(
    limit: Duration,
    mut condition: C,
    what: String,
    caller: &Location<'_>,
) -> <F::Output as Condition>::Value
where
    C: FnMut() -> F,
    F: Future<Output: Condition>,
{
    let deadline = Instant::now() + limit;
    loop {
        // A condition that hangs counts as false.
        let checked = tokio::time::timeout_at(deadline, condition()).await;
        if let Some(value) = checked.ok().and_then(Condition::value) {
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
    async fn eventually_returns_the_value() {
        let mut checks = 0;
        let value = eventually(
            || {
                checks += 1;
                std::future::ready((checks == 3).then_some("there"))
            },
            "the third check",
        );
        assert_eq!(value.await, "there");
    }

    #[tokio::test]
    #[should_panic(expected = "waited 0.05 s in vain for pigs to fly")]
    async fn condition_that_stays_false_fails_the_test() {
        eventually_within(Duration::from_millis(50), || std::future::ready(false), "pigs to fly").await;
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for an answer")]
    async fn condition_that_hangs_fails_the_test() {
        eventually_within(Duration::from_millis(50), std::future::pending::<bool>, "an answer").await;
    }
}
