//! Credentials: those that the platform issues, and signatures of requests of Slack. Owns the form of an API key and its hash. Stores nothing: `arrakis-db` has the tables.
//!
//! To add a kind of credential: a module beside `api_key`, with the reason for its hash.

mod api_key;
#[cfg(feature = "slack")]
mod slack;

pub use api_key::{ApiKeyError, ApiKeyHash, ApiKeySecret};
#[cfg(feature = "slack")]
pub use slack::{SlackSignatureError, verify_slack_request};
