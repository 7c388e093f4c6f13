//! The Telegram bot: `/verify`, `/status` and `/unlink` on the sessions, the wallet page and the registry of the platform.
//!
//! It has no login at the database: everything that it reads and changes goes through the api (`api`, `/internal/telegram`). Updates come
//! by long polling (`polling`) or by a webhook (`webhook`) to one handler (`handler`). What happens outside of a chat, such as a signature
//! on the wallet page, comes as notices of the api (`notices`). `bot_api` is the client of Telegram's Bot API, `render` the texts.
//!
//! No process has a state that must outlive it. An update is confirmed at Telegram after it was handled, and a notice is deleted after
//! it was shown; a message that Telegram would send twice is claimed in Redis before it is sent (`message_claims`).
//!
//! Refuses: to send a link to a wallet page anywhere but in the private chat of the account that it is for.
//!
//! To add a command: a file below `commands`, its line in `commands/mod.rs` and its text in `render`.

mod api;
mod bot_api;
mod buttons;
mod commands;
mod config;
mod handler;
mod health;
mod message_claims;
mod metrics;
mod notices;
mod polling;
mod rate_limits;
mod render;
mod response_body;
mod serve;
mod services;
mod webhook;

pub use crate::config::{Config, Delivery, Tuning};
pub use crate::serve::{serve, serve_on};
