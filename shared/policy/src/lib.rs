//! The policy gate: judges a plan of Terraform or gaib before people do.
//!
//! Owns the reading of plans, the built-in policies, the policies of operators, the judgement of cost, and the risk score. Performs
//! no change and has no database: who approves a plan is the api's. A plan that cannot be read or judged is rejected.
//!
//! | module | owns |
//! |---|---|
//! | [`check()`] | a check from plan to report |
//! | [`terraform`], [`gaib`], [`plan`] | formats of plans, input of the policies |
//! | [`files`], `inputs` | the files that the command line names: plans, estimates, policies, migrations |
//! | [`engine`], [`protected`] | evaluation of Rego, the types that hold data |
//! | [`sql`], `attributes` | SQL that disables row-level security, in migrations and in attributes |
//! | [`cost`], [`estimate`] | Infracost: its reports, its API |
//! | [`finding`], [`risk`], [`report`] | results of rules, the score, the result |
//! | [`approvals`], `record` | `submit` and `wait`: requests to the api, verification of the signed decision |
//! | [`supervise`], [`cli`], [`test_runner`] | the command `arrakis-policy`: child process, arguments, `test` |
//!
//! To add a built-in rule: a rule in `policies/arrakis-terraform.rego`, a test in `tests/it/`. To add a protected type: a line in
//! `policies/data.json`.

mod address;
pub mod approvals;
mod attributes;
mod check;
pub mod cli;
pub mod cost;
pub mod engine;
pub mod estimate;
mod exposure;
pub mod files;
pub mod finding;
#[cfg(test)]
mod fuzz;
pub mod gaib;
mod inputs;
mod json;
mod mask;
pub mod metrics;
pub mod plan;
pub mod protected;
mod record;
pub mod report;
pub mod risk;
pub mod sql;
pub mod supervise;
pub mod terraform;
pub mod test_runner;

pub use check::{Inputs, MAX_PLAN_BYTES, TIME_LIMIT, check, check_until, read_plan};
pub use finding::Finding;
pub use mask::MASKED;
pub use report::{Format, Report, Verdict, printable};
