//! Discord's HTTP API, shared by all clients in this repository (worker, discord-proxy, gaib, ingestor).
//!
//! - [`CallClass`], [`Failure`], the table [`decide`] and [`Attempts`]: what is done about a failed call.
//! - [`Route`]: how a path counts towards rate limits.
//! - [`BucketState`], [`RateLimited`]: rate-limit headers and the body of a 429, with bounds.
//! - [`ErrorBody`]: Discord's error body.
//! - [`DiscordClock`]: Discord's time, by the `Date` header.
//! - [`client`], with the feature of that name: one request sent by reqwest, and its complete response.
//!
//! Without the feature the crate has no input or output. Policy is not here: each client decides when it sends, waits and retries.
//! The emulator does not use this crate, so that each can find the other's errors.
//!
//! To add a failure: a variant of [`Failure`] with its line in [`Failure::ALL`]. The compiler then requires its row in [`decide`],
//! and the failure matrix (`services/worker/tests/it/matrix`) a way to inject it. `docs/failures.md` is generated from both.

mod attempts;
mod class;
#[cfg(feature = "client")]
pub mod client;
mod clock;
mod decision;
mod error_body;
mod failure;
mod rate_limit;
mod response;
mod route;

pub use attempts::Attempts;
pub use class::CallClass;
pub use clock::{DiscordClock, OffsetBounds};
pub use decision::{Decision, Ending, decide};
pub use error_body::{ErrorBody, FieldError};
pub use failure::{Failure, codes};
pub use rate_limit::{BucketState, RESET_MARGIN, RateLimitScope, RateLimited};
pub use response::{Response, USER_AGENT};
pub use route::{Route, segments};
