//! Who runs the tasks, and what becomes of them when that changes.
#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use arrakis_one_thread::SingleThreadRuntime;
use tokio::sync::oneshot;

/// The thread on which a task runs at present.
async fn runs_on(one: &Arc<SingleThreadRuntime>) -> ThreadId {
    one.handle().spawn(async { thread::current().id() }).await.unwrap()
}

#[test]
fn tasks_run_on_the_thread_that_took_over_and_return() {
    let one = SingleThreadRuntime::new().unwrap();
    let (main, other) = (one.clone(), one.clone());
    let (drive, driven) = mpsc::channel::<oneshot::Receiver<()>>();
    let driver = thread::spawn(move || {
        let until = driven.recv().unwrap();
        let place = other.take_over().unwrap();
        assert!(other.take_over().is_none());
        place.block_on(until).unwrap();
        thread::current().id()
    });
    let (before, during, after) = one.run(async move {
        let before = runs_on(&main).await;
        let (stop, until) = oneshot::channel();
        drive.send(until).unwrap();
        let mut during = runs_on(&main).await;
        while during == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
            during = runs_on(&main).await;
        }
        stop.send(()).unwrap();
        let mut after = runs_on(&main).await;
        while after == during {
            tokio::time::sleep(Duration::from_millis(1)).await;
            after = runs_on(&main).await;
        }
        (before, during, after)
    });
    assert_eq!(before, thread::current().id());
    assert_eq!(during, driver.join().unwrap());
    assert_eq!(after, before);
}

#[test]
fn end_of_the_future_wakes_the_waiting_thread() {
    let one = SingleThreadRuntime::new().unwrap();
    let other = one.clone();
    let (end, ended) = oneshot::channel();
    let (stop, until) = oneshot::channel::<()>();
    let driver = thread::spawn(move || {
        let place = other.take_over().unwrap();
        place.block_on(async {
            end.send(7).unwrap();
            until.await.unwrap();
        });
    });
    // The takeover lasts until the future has ended.
    assert_eq!(one.run(ended), Ok(7));
    stop.send(()).unwrap();
    driver.join().unwrap();
}

#[test]
fn runtime_can_be_taken_over_many_times() {
    let one = SingleThreadRuntime::new().unwrap();
    let other = one.clone();
    let (count, counted) = mpsc::channel::<u32>();
    let driver = thread::spawn(move || {
        for round in 0..200 {
            let Some(place) = other.take_over() else {
                panic!("nobody else takes it");
            };
            place.block_on(tokio::task::yield_now());
            drop(place);
            count.send(round).unwrap();
        }
    });
    let rounds = one.run(async move {
        let mut rounds = 0;
        while rounds < 200 {
            rounds += u32::try_from(counted.try_iter().count()).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        rounds
    });
    assert_eq!(rounds, 200);
    driver.join().unwrap();
}

#[test]
#[should_panic(expected = "as it was said")]
fn panic_of_the_future_is_resumed() {
    SingleThreadRuntime::new()
        .unwrap()
        .run(async { panic!("as it was said") });
}
