//! The service against a double of the Bot API and a running api, all over HTTP.

mod notices;
mod polling;
mod process;
mod support;
mod verification;
mod webhook;
