//! Approvals of plans: a pipeline submits the verdict of the policy, and waits for the decision of a person.
//!
//! A plan belongs to the platform, so the scope `approvals:write` needs a key for all communities. The bodies are those of
//! `arrakis_contracts::approvals`.

mod read;
mod submit;

pub(crate) use self::read::{__path_read_approval, read_approval};
pub(crate) use self::submit::{__path_submit_approval, submit_approval};
