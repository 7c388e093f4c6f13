//! Who runs the tasks, and what becomes of them when that changes.
#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use arrakis_one_thread::OneThread;
use tokio::sync::oneshot;

/// The thread that a task runs on now.
async fn runs_on(one: &Arc<OneThread>) -> ThreadId {
    one.handle().spawn(async { thread::current().id() }).await.unwrap()
}

#[test]
fn tasks_run_on_the_thread_that_took_the_place_and_come_back() {
    let one = OneThread::new().unwrap();
    let (main, other) = (one.clone(), one.clone());
    let (drive, driven) = mpsc::channel::<oneshot::Receiver<()>>();
    let driver = thread::spawn(move || {
        let until = driven.recv().unwrap();
        let place = other.take_place().unwrap();
        assert!(other.take_place().is_none());
        place.drive(until).unwrap();
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
fn the_end_reaches_the_thread_that_waits_for_its_place() {
    let one = OneThread::new().unwrap();
    let other = one.clone();
    let (end, ended) = oneshot::channel();
    let (stop, until) = oneshot::channel::<()>();
    let driver = thread::spawn(move || {
        let place = other.take_place().unwrap();
        place.drive(async {
            end.send(7).unwrap();
            until.await.unwrap();
        });
    });
    // The place is never given back before the future has ended.
    assert_eq!(one.run(ended), Ok(7));
    stop.send(()).unwrap();
    driver.join().unwrap();
}

#[test]
fn a_place_may_change_hands_many_times() {
    let one = OneThread::new().unwrap();
    let other = one.clone();
    let (count, counted) = mpsc::channel::<u32>();
    let driver = thread::spawn(move || {
        for round in 0..200 {
            let Some(place) = other.take_place() else {
                panic!("nobody else takes it");
            };
            place.drive(tokio::task::yield_now());
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
fn a_panic_is_passed_on() {
    OneThread::new().unwrap().run(async { panic!("as it was said") });
}
