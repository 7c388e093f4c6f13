//! Approvals of plans at Slack: settings, messages with buttons, and decisions of people with an account there.
//!
//! Decisions are made by `arrakis-db`, which refuses a second one. The messages at Discord are the workers'. A message is sent or edited by
//! [`deliver`], which repeats what failed; a click also edits the message on which it was made at once.

mod blocks;
mod config;
mod decide;
mod deliver;
mod slack;
mod view;

pub(crate) use self::blocks::{APPROVE, CODE, REJECT, code_modal, message};
pub use self::config::{ApprovalConfig, SlackConfig};
pub(crate) use self::decide::{Decided, SlackDecision, decide};
pub(crate) use self::deliver::deliver;
pub(crate) use self::slack::Slack;
pub(crate) use self::view::view;
