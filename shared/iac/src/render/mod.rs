//! Plans as people and programs read them: strings in, strings out.
//!
//! Owns the human form (Terraform's, since its readers know it) and the messages of `--json`. Refuses to write anywhere.

mod attributes;
mod human;
mod messages;
mod style;

pub use human::{differences, drift, findings, outcome, plan, resource, summary};
pub use messages::{change_message, messages};
pub use style::{Color, Style};
