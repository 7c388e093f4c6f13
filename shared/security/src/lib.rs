//! Credentials of the platform: the form of an API key and its hash; with the feature `mfa`, one-time codes as the second factor. Stores
//! nothing: `arrakis-db` has the tables.
//!
//! To add a kind of credential: a module beside `api_key`, with the reason for its hash.

mod api_key;
#[cfg(feature = "mfa")]
pub mod mfa;

pub use api_key::{ApiKeyError, ApiKeyHash, ApiKeySecret};
