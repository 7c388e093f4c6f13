//! Signatures with a key in Transit, on a real OpenBao.

#![expect(clippy::unwrap_used, reason = "a test that cannot have what it needs has failed")]

mod kubernetes;
mod logins;
mod outages;
mod rotation;
mod setup;
mod signatures;
