//! The armed points and their actions. Debug builds only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use crate::spec::{Action, ArmedPoint, Spec, Trigger};

/// Whether any point is armed. Without one, a fail point costs one relaxed load.
static ANY: AtomicBool = AtomicBool::new(false);
static POINTS: Mutex<Option<State>> = Mutex::new(None);

struct State {
    points: Vec<(ArmedPoint, u64)>,
    random: ChaCha8Rng,
}

pub(crate) fn arm(spec: Spec) {
    ANY.store(!spec.is_empty(), Ordering::Relaxed);
    *POINTS.lock() = Some(State {
        points: spec.points.into_iter().map(|armed| (armed, 0)).collect(),
        random: ChaCha8Rng::seed_from_u64(spec.seed),
    });
}

/// Counts the hit and returns the action to perform, if any.
fn due(name: &'static str, what: &[&str]) -> Option<Action> {
    if !ANY.load(Ordering::Relaxed) {
        return None;
    }
    let mut state = POINTS.lock();
    let State { points, random } = state.as_mut()?;
    let mut action = None;
    for (armed, hits) in points {
        let matches = armed.name == name && armed.what.as_deref().is_none_or(|armed| what.contains(&armed));
        if !matches {
            continue;
        }
        *hits += 1;
        let is_due = match armed.trigger {
            Trigger::Always => true,
            Trigger::Nth(nth) => *hits == nth,
            Trigger::From(first) => *hits >= first,
            Trigger::Probability(probability) => random.random_bool(probability),
        };
        if is_due && action.is_none() {
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

#[expect(clippy::panic, reason = "the armed action is a panic")]
fn end(name: &'static str, action: Action) {
    match action {
        Action::Kill => {
            tracing::error!(name, "fail point: killed");
            // The rest is not reached, unless the kill is refused; the process must not continue then either.
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
    async fn hits_are_counted_for_the_selected_name() {
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
    fn same_seed_selects_the_same_hits() {
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
    async fn hanging_point_does_not_return() {
        arm("broker.consumed=hang".parse().unwrap());
        let passed = tokio::time::timeout(Duration::from_millis(20), hit("broker.consumed", &[])).await;
        assert!(passed.is_err());
    }
}
