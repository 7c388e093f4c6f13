//! What is armed, and doing it. Debug builds only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use crate::spec::{Action, Armed, Spec, When};

/// Most processes arm nothing: they pay one relaxed load for each place.
static ANY: AtomicBool = AtomicBool::new(false);
static POINTS: Mutex<Option<State>> = Mutex::new(None);

struct State {
    points: Vec<(Armed, u64)>,
    random: ChaCha8Rng,
}

pub(crate) fn arm(spec: Spec) {
    ANY.store(!spec.is_empty(), Ordering::Relaxed);
    *POINTS.lock() = Some(State {
        points: spec.points.into_iter().map(|armed| (armed, 0)).collect(),
        random: ChaCha8Rng::seed_from_u64(spec.seed),
    });
}

/// Counts the hit and answers what is to happen.
fn due(name: &'static str, what: &[&str]) -> Option<Action> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    let mut state = POINTS.lock();
    let State { points, random } = state.as_mut()?;
    let mut action = None;
    for (armed, hits) in points {
        let meant = armed.name == name && armed.what.as_deref().is_none_or(|meant| what.contains(&meant));
        if !meant {
            continue;
        }
        *hits += 1;
        let now = match armed.when {
            When::Always => true,
            When::Nth(nth) => *hits == nth,
            When::From(first) => *hits >= first,
            When::Chance(chance) => random.random_bool(chance),
        };
        if now && action.is_none() {
            action = Some(armed.action);
        }
    }
    action
}

pub(crate) async fn hit(name: &'static str, what: &[&str]) {
    match due(name, what) {
        Some(Action::Sleep(time)) => tokio::time::sleep(time).await,
        Some(Action::Hang) => std::future::pending().await,
        Some(action) => end(name, action),
        None => {}
    }
}

pub(crate) fn hit_now(name: &'static str, what: &[&str]) {
    match due(name, what) {
        Some(Action::Sleep(time)) => std::thread::sleep(time),
        Some(Action::Hang) => hang(),
        Some(action) => end(name, action),
        None => {}
    }
}

pub(crate) fn skips(name: &'static str, what: &[&str]) -> bool {
    due(name, what) == Some(Action::Skip)
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

#[expect(clippy::panic, reason = "this is what was asked for")]
fn end(name: &'static str, action: Action) {
    match action {
        Action::Kill => {
            tracing::error!(name, "fail point: killed");
            // It cannot be caught, so what follows is not reached; were it refused, the test that armed it must not go on.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
            hang();
        }
        Action::Abort => {
            tracing::error!(name, "fail point: aborted");
            std::process::abort();
        }
        Action::Panic => panic!("fail point {name}"),
        Action::Skip | Action::Sleep(_) | Action::Hang => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hits_are_counted_by_what_is_in_hand() {
        arm("discord.called[defer]=skip@2;discord.calling=skip@2+".parse().unwrap());
        let second: Vec<bool> = (0..3).map(|_| skips("discord.called", &["edit", "defer"])).collect();
        assert_eq!(second, [false, true, false]);
        assert!(!skips("discord.called", &["edit"]));
        let later: Vec<bool> = (0..3).map(|_| skips("discord.calling", &[])).collect();
        assert_eq!(later, [false, true, true]);
        arm(Spec::default());
        assert!(!skips("discord.calling", &[]));
        hit("broker.consumed", &[]).await;
    }

    #[test]
    fn the_same_seed_chooses_the_same_hits() {
        let state = |seed| {
            arm(format!("seed={seed};broker.acked=skip%30").parse().unwrap());
            (0..50).map(|_| skips("broker.acked", &[])).collect::<Vec<_>>()
        };
        let first = state(1);
        assert_eq!(first, state(1));
        assert_ne!(first, state(2));
        assert!(first.contains(&true) && first.contains(&false));
    }

    #[tokio::test]
    async fn what_hangs_never_goes_on() {
        arm("broker.consumed=hang".parse().unwrap());
        let passed = tokio::time::timeout(Duration::from_millis(20), hit("broker.consumed", &[])).await;
        assert!(passed.is_err());
    }
}
