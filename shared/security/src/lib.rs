//! Credentials of the platform, signatures of what it stores, and what stops both.
//!
//! Owns the form of an API key and its hash (`api_key`); the state of the kill switch ([`kill_switch`]); with the feature `mfa`, one-time codes
//! as the second factor (`mfa`); signatures with a key in a file or in Transit ([`signing`]); and with the feature `slack`, the check of requests
//! of Slack (`slack`). Has no database: `arrakis-db` has the tables.
//!
//! To add a kind of credential: a module beside `api_key`, with the reason for its hash.

mod api_key;
pub mod kill_switch;
#[cfg(feature = "mfa")]
pub mod mfa;
pub mod signing;
#[cfg(feature = "slack")]
mod slack;

pub use api_key::{ApiKeyError, ApiKeyHash, ApiKeySecret};
#[cfg(feature = "slack")]
pub use slack::{SlackSignatureError, verify_slack_request};
