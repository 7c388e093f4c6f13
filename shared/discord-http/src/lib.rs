//! What a failed call to Discord means: one table for every client (worker, discord-proxy, gaib).
//!
//! Owns the class of a call ([`CallClass`]), the failures that a client can tell apart ([`Failure`]), the table [`decide`] that
//! says what is done about each combination, and [`Attempts`], which applies the table to the attempts of one call. Refuses any
//! input or output, and of a body it reads only whether it has Discord's form: a client sends, names the failure, and does what the
//! table says.
//!
//! To add a failure: a variant of [`Failure`] with its line in [`Failure::ALL`]; the compiler then asks for its row in [`decide`],
//! and the failure matrix (`services/worker/tests/it/matrix`) for a way to inject it. `docs/failures.md` is generated from both.

mod attempts;
mod class;
mod decision;
mod failure;

pub use attempts::Attempts;
pub use class::CallClass;
pub use decision::{Decision, Ending, decide};
pub use failure::{Failure, codes};
