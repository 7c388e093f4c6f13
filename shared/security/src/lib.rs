//! Credentials that the platform issues. Owns the form of an API key and its hash. Stores nothing: `arrakis-db` has the tables.
//!
//! To add a kind of credential: a module beside `api_key`, with the reason for its hash.

mod api_key;
mod slack;

pub use api_key::{ApiKeyError, ApiKeyHash, ApiKeySecret};
pub use slack::{SlackSignatureError, verify_slack_request};
