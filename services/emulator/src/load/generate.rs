//! The thread that keeps the schedule.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{
    Plan,
    actions::JoinedUsers,
    plan::{DueEvent, Schedule},
};
use crate::AppState;

/// Longest sleep, so that a stop takes effect soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// Shortest sleep: events that are due within it happen together. A wake-up for each of 5,000 events a second would cost more
/// than the events.
const SHORTEST_SLEEP: Duration = Duration::from_micros(200);

/// Creates every event at its intended time, or as soon after it as possible, until the end of the plan or until stopped.
pub(super) fn keep(app: &AppState, mut plan: Plan, started: Instant, stop: &AtomicBool) {
    let mut random = StdRng::seed_from_u64(plan.seed);
    // Members act in turn, in an order that mixes the servers, so that the time between two actions of a member is as long as
    // possible.
    plan.members.shuffle(&mut random);
    let mut generator = Generator {
        joined: JoinedUsers::default(),
        turn: 0,
        weights: plan.kinds.iter().map(|kind| kind.weight).sum(),
    };
    let mut schedule = Schedule::new(&plan);
    while let Some(due) = schedule.next(&mut random) {
        if !wait(started + Duration::from_micros(due.at_us.into()), stop) {
            break;
        }
        generator.create_event(app, &plan, due, &mut random);
    }
    app.load.change(super::Run::end);
}

/// Waits until this time; `false` when stopped.
fn wait(until: Instant, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Acquire) {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
    }
}

struct Generator {
    joined: JoinedUsers,
    turn: usize,
    weights: u32,
}

impl Generator {
    fn create_event(&mut self, app: &AppState, plan: &Plan, due: DueEvent, random: &mut StdRng) {
        let mut left = random.random_range(0..self.weights.max(1));
        let chosen = plan.kinds.iter().position(|kind| {
            let here = left < kind.weight;
            left = left.saturating_sub(kind.weight);
            here
        });
        let Some(number) = chosen else { return };
        let Some(member) = plan.members.get(self.turn % plan.members.len().max(1)) else {
            return;
        };
        self.turn += 1;
        let action = &plan.kinds[number].action;
        let kind = u16::try_from(number).unwrap_or(u16::MAX);
        // All of this happens under the world's lock: a response needs it too and so cannot precede the record of its event.
        app.world.write(|state| {
            let selected = action.select(member, state, &mut self.joined, random);
            let made = app
                .load
                .change(|run| run.make(due, kind, selected.guild, selected.user));
            let Some(number) = made.flatten() else { return };
            state.marked = Some(number);
            let result = action.carry_out(selected, member, state, &mut self.joined);
            state.marked = None;
            app.load.change(|run| match result {
                Ok(Some(interaction)) => run.is_interaction(number, interaction),
                Ok(None) => {}
                Err(_) => run.remove_newest(),
            });
        });
    }
}
