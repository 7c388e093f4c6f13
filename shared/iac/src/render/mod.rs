//! Renders plans and comparisons as text and as JSON messages.
//!
//! Owns the text form, which follows Terraform's, and the messages of `--json`. The caller prints the results.

mod attributes;
mod comparison;
mod human;
mod messages;
mod style;

pub use comparison::{comparison, comparison_messages};
pub use human::{differences, drift, findings, outcome, plan, resource, summary};
pub use messages::{change_message, messages};
pub use style::{Color, Style};
