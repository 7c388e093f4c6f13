//! Configuration: every environment variable declared once, and the reader that explains what is wrong.
//!
//! Owns the list of variables ([`VARIABLES`]), from which `.env.example` is made, the [`Reader`] that services build their
//! own `Config` structs with, and [`Secret`]. Refuses to know what a service does with a value.
//! To add a variable: add a constant in `variables.rs`, list it in [`VARIABLES`], run `./dev check`; the test that compares
//! `.env.example` prints what to write.

mod api_base;
mod error;
mod proxy_url;
mod reader;
mod reference;
mod secret;
pub mod variables;

pub use api_base::{BadApiBase, discord_api_base, is_loopback};
pub use error::{ConfigErrors, EXIT_CODE, Problem};
pub use proxy_url::{BadProxyUrl, proxy_url};
pub use reader::{Reader, Source};
pub use reference::env_example;
pub use secret::Secret;
pub use variables::{Service, VARIABLES, Variable, Whether};
