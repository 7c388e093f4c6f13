//! Events of an apply, for observers.
//!
//! To add an event, add a variant; observers match with a wildcard.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;

/// An event of an apply.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The apply begins.
    Started {
        /// Number of steps.
        steps: usize,
    },
    /// A step begins.
    StepStarted {
        /// Index in the plan, from 0.
        index: usize,
        /// Description of the step, e.g. `create role.naib`.
        step: String,
    },
    /// A step has ended and the state is written.
    StepDone {
        /// Index in the plan, from 0.
        index: usize,
        /// Description of the step.
        step: String,
        /// Id of the resource; `None` for a resource without one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Duration of the step.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
        elapsed: Duration,
    },
    /// A call waits before it is sent.
    Waiting {
        /// The reason.
        why: Wait,
        /// Method and path, e.g. `PATCH /channels/123`.
        call: String,
        /// Duration of the wait.
        #[serde(rename = "for_ms", serialize_with = "milliseconds")]
        duration: Duration,
    },
    /// A call failed temporarily and is retried.
    Retrying {
        /// Method and path.
        call: String,
        /// The failure.
        why: String,
        /// Number of the next attempt, from 2.
        attempt: u32,
    },
    /// The outcome of a creation is unknown: the resource is searched on the server.
    LookingFor {
        /// Address of the resource.
        address: String,
    },
    /// The search found the resource; it is not created again.
    Found {
        /// Address of the resource.
        address: String,
        /// Id of the resource.
        id: u64,
    },
    /// A note for the user.
    Note {
        /// The text.
        message: String,
    },
}

/// The reason of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// The rate limit of the route is reached, by the headers of its responses.
    Bucket,
    /// The client has reached its own maximum of requests per second.
    Pace,
    /// Discord responded to the call with status 429.
    RateLimited,
    /// Discord responded with status 429 for all calls of the bot.
    Global,
    /// Discord allows two changes of a channel's name or topic in ten minutes.
    Rename,
    /// The call failed temporarily.
    Backoff,
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// An observer of an apply. It is called between requests and must return quickly.
pub trait Progress: Debug + Send + Sync {
    /// Receives an event.
    fn event(&self, event: Event);
}

/// An observer that ignores events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _: Event) {}
}
