//! The types of an interaction: what a member sent, what is replied, and why a command is refused.
//!
//! These modules perform no input or output and import only `failure` of the worker, so that commands and the pipeline in
//! `interactions/` can both use them.

pub mod invocation;
pub mod options;
pub mod refusal;
pub mod reply;
