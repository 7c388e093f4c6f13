//! One record for each event of a run.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use arrakis_emulator_client::load::{LoadStage, Outcome};

use super::{Plan, plan::DueEvent};
use crate::model::{Id, Interaction};

/// The reason why a response was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It came after the three seconds.
    Late,
    /// Another response had been accepted.
    Second,
}

/// An event. Times are microseconds since the run began.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) stage: u16,
    pub(super) kind: u16,
    pub(super) warm_up: bool,
    /// Intended time.
    pub(super) intended: u32,
    /// Time of creation; the three seconds count from here.
    pub(super) made: u32,
    /// Time at which its frame had first been written to a socket.
    pub(super) sent: Option<u32>,
    /// Time of the first response.
    pub(super) first: Option<u32>,
    /// Time of the whole answer.
    pub(super) answered: Option<u32>,
    /// Interaction; `None` for an event that needs no response.
    pub(super) interaction: Option<Id>,
    pub(super) guild: Id,
    pub(super) user: Id,
    /// Index in [`Run::sessions`] and sequence number of the frame that was sent first.
    pub(super) frame: Option<(u16, u64)>,
    /// Number of responses that came too late.
    pub(super) late: u8,
    /// Number of responses after the first.
    pub(super) second: u8,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) started: Instant,
    pub(super) started_unix_us: u64,
    pub(super) seed: u64,
    pub(super) stages: Vec<LoadStage>,
    pub(super) kinds: Vec<String>,
    pub(super) events: Vec<Event>,
    pub(super) sessions: Vec<Arc<str>>,
    interactions: HashMap<Id, u32>,
    /// Time of the last event, once all have been created.
    pub(super) ended: Option<u32>,
    stop: Arc<AtomicBool>,
}

impl Run {
    pub(super) fn new(plan: &Plan) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_unix_us: u64::try_from(unix.as_micros()).unwrap_or(u64::MAX),
            seed: plan.seed,
            stages: plan.stages.clone(),
            kinds: plan.kinds.iter().map(|kind| kind.name.clone()).collect(),
            events: Vec::new(),
            sessions: Vec::new(),
            interactions: HashMap::new(),
            ended: None,
            stop: Arc::default(),
        }
    }

    pub(super) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// Whether events are still created.
    pub(crate) const fn is_generating(&self) -> bool {
        self.ended.is_none()
    }

    /// Stops the creation of events.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Microseconds since the run began.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_micros()).unwrap_or(u32::MAX)
    }

    /// Records that the last event has been created.
    pub(super) fn end(&mut self) {
        self.ended = Some(self.now());
    }

    /// Records an event that is about to happen; returns its number.
    pub(super) fn make(&mut self, due: DueEvent, kind: u16, guild: Id, user: Id) -> Option<u32> {
        let number = u32::try_from(self.events.len()).ok()?;
        self.events.push(Event {
            stage: u16::try_from(due.stage).unwrap_or(u16::MAX),
            kind,
            warm_up: due.warm_up,
            intended: due.at_us,
            made: self.now(),
            sent: None,
            first: None,
            answered: None,
            interaction: None,
            guild,
            user,
            frame: None,
            late: 0,
            second: 0,
        });
        Some(number)
    }

    /// Records the interaction of an event.
    pub(super) fn is_interaction(&mut self, number: u32, interaction: Id) {
        if let Some(event) = self.event(number) {
            event.interaction = Some(interaction);
            self.interactions.insert(interaction, number);
        }
    }

    /// Removes the newest event, which was not possible.
    pub(super) fn remove_newest(&mut self) {
        self.events.pop();
    }

    pub(super) fn sent(&mut self, number: u32, session: &Arc<str>, seq: u64) {
        let now = self.now();
        let known = self.sessions.iter().position(|known| known == session);
        let session = known.unwrap_or_else(|| {
            self.sessions.push(Arc::clone(session));
            self.sessions.len() - 1
        });
        let Some(event) = self.event(number).filter(|event| event.sent.is_none()) else {
            return;
        };
        event.sent = Some(now);
        event.frame = u16::try_from(session).ok().map(|session| (session, seq));
    }

    pub(super) fn responded(&mut self, interaction: Id, whole: bool) {
        let now = self.now();
        if let Some(event) = self.of_interaction(interaction) {
            event.first.get_or_insert(now);
            if whole {
                event.answered.get_or_insert(now);
            }
        }
    }

    pub(super) fn answered(&mut self, interaction: Id) {
        let now = self.now();
        if let Some(event) = self.of_interaction(interaction) {
            event.answered.get_or_insert(now);
        }
    }

    pub(super) fn refused(&mut self, interaction: Id, refusal: Refusal) {
        if let Some(event) = self.of_interaction(interaction) {
            let count = match refusal {
                Refusal::Late => &mut event.late,
                Refusal::Second => &mut event.second,
            };
            *count = count.saturating_add(1);
        }
    }

    fn event(&mut self, number: u32) -> Option<&mut Event> {
        self.events.get_mut(usize::try_from(number).ok()?)
    }

    fn of_interaction(&mut self, interaction: Id) -> Option<&mut Event> {
        let number = *self.interactions.get(&interaction)?;
        self.event(number)
    }
}

impl Event {
    /// Its state at this time of the run.
    pub(super) fn outcome(&self, now: u32) -> Outcome {
        let late = u64::from(now) >= u64::from(self.made) + Interaction::ACKNOWLEDGE_WITHIN_MS * 1_000;
        match (self.interaction, self.sent, self.first, self.answered) {
            (None, None, ..) => Outcome::Unsent,
            (None, Some(_), ..) => Outcome::Sent,
            (Some(_), _, _, Some(_)) => Outcome::Answered,
            (Some(_), _, Some(_), None) => Outcome::Deferred,
            (Some(_), _, None, None) if late => Outcome::Expired,
            (Some(_), None, None, None) => Outcome::Unsent,
            (Some(_), Some(_), None, None) => Outcome::Pending,
        }
    }
}
