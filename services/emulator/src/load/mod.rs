//! Open-loop load: members act on a schedule that does not depend on the bot's responses.
//!
//! Owns the schedule, the thread that keeps it, and one record for each event with its times: intended, created, frame sent,
//! first response, whole answer. Latency is measured from the intended time, so that a slow system does not reduce its own load
//! (no coordinated omission). It records and does not evaluate. It runs inside the emulator because one clock sees both ends of an
//! event here, and because five thousand events a second over HTTP would cost more than the system under test.
//!
//! To add a kind of event: a variant of `Action` and its effect in `actions`, and its request in `control::load`.

mod actions;
mod generate;
mod plan;
mod record;
mod results;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

pub(crate) use actions::{ActingMember, Action, EventKind, acting_members};
pub(crate) use plan::{MAX_EVENTS, MAX_SECONDS, Plan, events_of, problem_of};
pub(crate) use record::{Refusal, Run};

use crate::{AppState, model::Id};

/// The load run of an emulator. One run at a time; the last one is kept until the next begins.
#[derive(Debug, Default)]
pub struct Load {
    /// Whether there is a run; avoids the lock when there is none.
    recording: AtomicBool,
    run: Mutex<Option<Run>>,
}

/// A run is active already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a load run is active already")]
pub(crate) struct AlreadyRunning;

impl Load {
    /// Starts a run on a thread of its own.
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

    /// Stops the creation of events; responses are still recorded.
    pub(crate) fn stop(&self) {
        if let Some(run) = &*self.run.lock() {
            run.stop();
        }
    }

    /// Reads the last run.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Run) -> R) -> Option<R> {
        self.run.lock().as_ref().map(look)
    }

    /// Records that these frames of a session were written to a socket.
    pub(crate) fn sent(&self, session: &Arc<str>, frames: impl Iterator<Item = (u32, u64)>) {
        self.record(|run| {
            for (number, seq) in frames {
                run.sent(number, session, seq);
            }
        });
    }

    /// Records that a first response was accepted; `whole` when it is the answer itself.
    pub(crate) fn responded(&self, interaction: Id, whole: bool) {
        self.record(|run| run.responded(interaction, whole));
    }

    /// Records that a deferred interaction was answered.
    pub(crate) fn answered(&self, interaction: Id) {
        self.record(|run| run.answered(interaction));
    }

    /// Records that a response was refused.
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
