//! The provider against a score service that fails in every way, a real chain (anvil) and a real Redis.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod breaker;
mod native;
mod score_double;
mod setup;
mod sources;
mod stored;
