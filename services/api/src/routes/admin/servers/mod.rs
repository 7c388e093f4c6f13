//! Servers: the plan of a community, the limits of backups on request, and checkpoints of its configuration.
//!
//! A server is named by its Discord id. A key of one community sees the server of that community. Every request is in the audit log of the
//! community, a refused one by its count (`crate::refusals`). The bodies are those of `arrakis_contracts::servers`.

pub(crate) mod checkpoints;
mod mfa;
mod plan;
mod server;
mod usage;

pub(crate) use self::mfa::{__path_request_grant, __path_use_grant, request_grant, use_grant};
pub(crate) use self::plan::{__path_read_plan, __path_set_plan, read_plan, set_plan};
pub(crate) use self::usage::{__path_count_use, __path_read_usage, count_use, read_usage};
