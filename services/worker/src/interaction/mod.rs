//! The types of an interaction: what a member sent, what is replied, and why a command is refused.
//!
//! A leaf module: it performs no input or output and imports nothing else of the worker, so that commands and the pipeline in
//! `interactions/` can both use it.

pub mod invocation;
pub mod options;
pub mod refusal;
pub mod reply;
