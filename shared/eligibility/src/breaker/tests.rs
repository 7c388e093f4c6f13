//! Laws of the circuit breaker, in paused time.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;

fn breaker() -> Arc<CircuitBreaker> {
    Arc::new(CircuitBreaker::new(BreakerSettings::default()))
}

fn state(breaker: &CircuitBreaker) -> BreakerState {
    breaker.status().borrow().state
}

fn call(breaker: &Arc<CircuitBreaker>, succeeds: bool) -> bool {
    let Some(permit) = breaker.permit() else {
        return false;
    };
    if succeeds {
        permit.succeeded();
    } else {
        permit.failed("no response");
    }
    true
}

fn open(breaker: &Arc<CircuitBreaker>) {
    for _ in 0..5 {
        assert!(call(breaker, false));
    }
    assert_eq!(state(breaker), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn fewer_calls_than_the_minimum_do_not_open_it() {
    let breaker = breaker();
    for _ in 0..4 {
        assert!(call(&breaker, false));
    }
    assert_eq!(state(&breaker), BreakerState::Closed);
    assert!(call(&breaker, false));
    let status = breaker.status().borrow().clone();
    assert_eq!(
        (status.state, status.cause.as_deref()),
        (BreakerState::Open, Some("no response"))
    );
    assert!(!call(&breaker, true));
}

#[tokio::test(start_paused = true)]
async fn status_has_the_time_of_the_opening_and_of_the_next_probe() {
    let breaker = breaker();
    open(&breaker);
    let opened = breaker.status().borrow().clone();
    let (since, probe_at) = (opened.since.unwrap(), opened.probe_at.unwrap());
    assert_eq!((probe_at - since).whole_seconds(), 30);
    advance(Duration::from_secs(30)).await;
    assert!(breaker.is_probe_due());
    let probe = breaker.permit().unwrap();
    assert!(!breaker.is_probe_due());
    assert_eq!(breaker.status().borrow().probe_at, None);
    assert!(probe.failed("no response").is_some());
    // Since the first failure, not since the last probe.
    assert_eq!(breaker.status().borrow().since, Some(since));
    advance(Duration::from_secs(30)).await;
    assert!(call(&breaker, true));
    let closed = breaker.status().borrow().clone();
    assert_eq!((closed.since, closed.probe_at), (None, None));
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_half_of_the_calls_and_not_below() {
    let below = breaker();
    for succeeds in [true, true, true, false, false, true, false, true] {
        assert!(call(&below, succeeds));
    }
    assert_eq!(state(&below), BreakerState::Closed, "3 of 8 failed");
    let half = breaker();
    for succeeds in [true, true, true, false, false, false] {
        assert!(call(&half, succeeds));
    }
    assert_eq!(state(&half), BreakerState::Open, "3 of 6 failed");
}

#[tokio::test(start_paused = true)]
async fn calls_before_the_window_do_not_count() {
    let breaker = breaker();
    for _ in 0..4 {
        call(&breaker, false);
    }
    advance(Duration::from_secs(61)).await;
    assert!(call(&breaker, false));
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn one_probe_is_sent_after_thirty_seconds() {
    let breaker = breaker();
    open(&breaker);
    advance(Duration::from_millis(29_999)).await;
    assert!(breaker.permit().is_none());
    advance(Duration::from_millis(1)).await;
    let probe = breaker.permit().unwrap();
    assert_eq!(state(&breaker), BreakerState::HalfOpen);
    assert!(breaker.permit().is_none(), "there is one probe");
    probe.succeeded();
    assert_eq!(state(&breaker), BreakerState::Closed);
    assert_eq!(breaker.status().borrow().cause, None);
    // The failures before it opened are forgotten.
    assert!(call(&breaker, false));
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn failed_probe_opens_it_for_thirty_seconds_more() {
    let breaker = breaker();
    open(&breaker);
    advance(Duration::from_secs(30)).await;
    assert!(call(&breaker, false));
    assert_eq!(state(&breaker), BreakerState::Open);
    advance(Duration::from_secs(29)).await;
    assert!(!call(&breaker, true));
    advance(Duration::from_secs(1)).await;
    assert!(call(&breaker, true));
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn dropped_probe_is_followed_by_another() {
    let breaker = breaker();
    open(&breaker);
    advance(Duration::from_secs(30)).await;
    drop(breaker.permit().unwrap());
    assert_eq!(state(&breaker), BreakerState::Open);
    assert!(call(&breaker, true));
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn outcome_of_a_call_from_an_earlier_phase_is_ignored() {
    let breaker = breaker();
    let (slow, slower) = (breaker.permit().unwrap(), breaker.permit().unwrap());
    open(&breaker);
    slow.succeeded();
    assert_eq!(state(&breaker), BreakerState::Open);
    advance(Duration::from_secs(30)).await;
    let probe = breaker.permit().unwrap();
    slower.failed("late");
    assert_eq!(state(&breaker), BreakerState::HalfOpen);
    probe.succeeded();
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Begin,
    /// Ends the running call with this index (of those that run), successfully or not.
    End(prop::sample::Index, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_u64..20_000).prop_map(Step::Wait),
        Just(Step::Begin),
        (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(index, succeeds)| Step::End(index, succeeds)),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens: while it is open no call begins for 30 s, while it is half-open exactly one runs, and a closed breaker
    /// refuses none.
    #[test]
    fn calls_begin_only_as_the_state_permits(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let breaker = breaker();
            let mut running: Vec<Permit> = Vec::new();
            let mut opened_at = None;
            for step in steps {
                let before = state(&breaker);
                match step {
                    Step::Wait(ms) => advance(Duration::from_millis(ms)).await,
                    Step::Begin => {
                        let permit = breaker.permit();
                        let may_probe = opened_at.is_some_and(|at: Instant| at.elapsed() >= Duration::from_secs(30));
                        let expected = match before {
                            BreakerState::Closed => true,
                            BreakerState::Open => may_probe,
                            BreakerState::HalfOpen => false,
                        };
                        prop_assert_eq!(permit.is_some(), expected);
                        running.extend(permit);
                    }
                    Step::End(index, succeeds) => {
                        if !running.is_empty() {
                            let permit = running.swap_remove(index.index(running.len()));
                            if succeeds { permit.succeeded() } else { let _ = permit.failed("no response"); }
                        }
                    }
                }
                let after = state(&breaker);
                if after == BreakerState::Open && before != BreakerState::Open {
                    opened_at = Some(Instant::now());
                }
            }
            Ok(())
        })?;
    }
}
