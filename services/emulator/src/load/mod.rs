//! Open-loop load: members act on a schedule, whatever the bot makes of it.
//!
//! Owns the schedule, the thread that keeps it, and one record for each event with every moment that matters: intended,
//! made, frame sent, first response, whole answer. Latency is meant to be counted from the intended moment, so that a
//! system that falls behind cannot hide it by being sent less (no coordinated omission). Refuses judgement of the bot: it
//! records. Runs inside of the emulator because only here both ends of an event are seen by one clock, and because five
//! thousand events a second over HTTP would cost more than the system under test.
//!
//! To add a kind of event: a variant of `Act`, how it happens in `acts`, how it is asked for in `control::load`.

mod acts;
mod generate;
mod plan;
mod record;
mod results;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

pub(crate) use acts::{Act, Kind, Place, places};
pub(crate) use plan::{MAX_EVENTS, MAX_SECONDS, Plan, events_of, problem_of};
pub(crate) use record::{Refusal, Run};

use crate::{AppState, model::Id};

/// The load run of an emulator: one at a time, the last one is kept until the next begins.
#[derive(Debug, Default)]
pub struct Load {
    /// Whether there is a run to record for; spares everybody else the lock.
    recording: AtomicBool,
    run: Mutex<Option<Run>>,
}

/// A second run was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a load runs already")]
pub(crate) struct AlreadyRunning;

impl Load {
    /// Begins a run on a thread of its own.
    pub(crate) fn start(&self, app: &AppState, plan: Plan) -> Result<(), AlreadyRunning> {
        let mut run = self.run.lock();
        if run.as_ref().is_some_and(Run::is_generating) {
            return Err(AlreadyRunning);
        }
        let begun = Run::new(&plan);
        let stop = begun.stop_flag();
        let started = begun.started();
        *run = Some(begun);
        drop(run);
        self.recording.store(true, Ordering::Release);
        let app = app.clone();
        // A thread, not a task: its sleeps are exact to some fifty microseconds, a runtime's timer only to a millisecond.
        std::thread::spawn(move || generate::keep(&app, plan, started, &stop));
        Ok(())
    }

    /// Ends the making of events; answers are still recorded.
    pub(crate) fn stop(&self) {
        if let Some(run) = &*self.run.lock() {
            run.stop();
        }
    }

    /// Looks at the last run.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Run) -> R) -> Option<R> {
        self.run.lock().as_ref().map(look)
    }

    /// These marked frames of a session were written to a socket.
    pub(crate) fn sent(&self, session: &Arc<str>, frames: impl Iterator<Item = (u32, u64)>) {
        self.record(|run| {
            for (number, seq) in frames {
                run.sent(number, session, seq);
            }
        });
    }

    /// A first response was accepted; `whole` when it is the answer itself.
    pub(crate) fn responded(&self, interaction: Id, whole: bool) {
        self.record(|run| run.responded(interaction, whole));
    }

    /// A deferred interaction got its answer.
    pub(crate) fn answered(&self, interaction: Id) {
        self.record(|run| run.answered(interaction));
    }

    /// A response was refused.
    pub(crate) fn refused(&self, interaction: Id, refusal: Refusal) {
        self.record(|run| run.refused(interaction, refusal));
    }

    fn change<R>(&self, change: impl FnOnce(&mut Run) -> R) -> Option<R> {
        self.run.lock().as_mut().map(change)
    }

    fn record(&self, change: impl FnOnce(&mut Run)) {
        if self.recording.load(Ordering::Acquire) {
            let _ = self.change(change);
        }
    }
}
