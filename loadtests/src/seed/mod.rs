//! A believable community, made from a seed: the same members, wallets and holdings in Postgres and in the emulator.
//!
//! [`plan`] decides everything and does nothing; the writers carry it out and decide nothing.

mod holders;
mod names;
pub mod plan;

pub use holders::Holder;
pub use plan::{Community, Member, Newcomer, Plan, Server, TOKEN_PROFILE};
