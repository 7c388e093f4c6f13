//! JSON-RPC over several endpoints: requests, failures, health, and the order of attempts.

mod attempts;
mod endpoint;
mod failure;
mod health;
mod wire;

pub(crate) use attempts::Attempts;
pub(crate) use endpoint::Endpoint;
pub use endpoint::EndpointHealth;
pub(crate) use failure::Failure;
pub use health::EndpointState;
