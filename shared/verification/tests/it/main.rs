//! Verification on a real PostgreSQL, and the wallet page in Chromium with a wallet that really signs.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod links;
mod moving;
mod page;
mod registry;
mod submit;
mod support;
