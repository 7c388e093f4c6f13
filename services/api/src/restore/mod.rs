//! Restores of checkpoints: what a restore changes, and the change.
//!
//! | file | what |
//! |---|---|
//! | `present_server.rs` | the roles and channels that the caller has read from Discord; finds the present id for an id of a checkpoint |
//! | `inputs.rs` | the two configurations and the themes, read once |
//! | `plan.rs` | the configuration after the restore, the differences to the present one, and what cannot be mapped; pure |
//! | `carry_out.rs` | the writes and the jobs, within the caller's transaction |
//!
//! The plan of a subscription is not restored: it is set by the platform. Members, badges and wallets are not part of a checkpoint: they
//! stay in the database when a server is emptied.

mod carry_out;
mod inputs;
mod plan;
mod present_server;

pub(crate) use self::carry_out::{RestoreRequest, carry_out};
pub(crate) use self::inputs::RestoreInputs;
pub(crate) use self::present_server::PresentServer;
