//! Credentials that the platform issues, and what stops them. Owns the form of an API key and its hash, and the state of the kill switch.
//! Stores nothing: `arrakis-db` has the tables.
//!
//! To add a kind of credential: a module beside `api_key`, with the reason for its hash.

mod api_key;
pub mod kill_switch;

pub use api_key::{ApiKeyError, ApiKeyHash, ApiKeySecret};
