//! What happens while a plan is carried out, for whoever watches.
//!
//! To tell of something new, add a variant; watchers match with a wildcard.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A plan is begun.
    Started {
        /// Steps in it.
        steps: usize,
    },
    /// A step is begun.
    StepStarted {
        /// Its place in the plan, from 0.
        index: usize,
        /// What it does, e.g. `create role.naib`.
        step: String,
    },
    /// A step is done and the state says so.
    StepDone {
        /// Its place in the plan, from 0.
        index: usize,
        /// What it did.
        step: String,
        /// The resource's id at Discord, where it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// How long it took.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
        elapsed: Duration,
    },
    /// Nothing is sent for a while.
    Waiting {
        /// Why.
        why: Wait,
        /// The call that waits, e.g. `PATCH /channels/123`.
        call: String,
        /// How long.
        #[serde(rename = "for_ms", serialize_with = "milliseconds")]
        duration: Duration,
    },
    /// A call failed in a way that passes, and is made again.
    Retrying {
        /// The call.
        call: String,
        /// What went wrong.
        why: String,
        /// Which try comes next, from 2.
        attempt: u32,
    },
    /// It is not known whether something was made: the server is looked through for it.
    LookingFor {
        /// Its address.
        address: String,
    },
    /// It was found, and is not made again.
    Found {
        /// Its address.
        address: String,
        /// Its id at Discord.
        id: u64,
    },
    /// A word for the reader.
    Note {
        /// The word.
        message: String,
    },
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// The requests that Discord allows on this route are used up; its headers say when there are more.
    Bucket,
    /// This client has sent as many requests as it allows itself in a second.
    Pace,
    /// Discord answered 429 for this call.
    RateLimited,
    /// Discord answered 429 for everything that this bot does.
    Global,
    /// A channel is renamed (or its topic changed) at most twice in ten minutes.
    Rename,
    /// The call failed in a way that passes.
    Backoff,
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Somebody who watches. Called between requests: be quick.
pub trait Progress: Debug + Send + Sync {
    /// Something happened.
    fn event(&self, event: Event);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event) {}
}
