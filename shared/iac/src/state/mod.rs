//! The state: ids and last known attributes of managed resources, by address.
//!
//! Owns the document, its version and its transitions, and the check before one state replaces another. Where it is stored is
//! the concern of the caller. The document contains only managed attributes, with references by address.
//!
//! To change the format: increment [`VERSION`] and read the older one in [`State::from_bytes`].

mod document;
mod push;

pub use document::{PendingCreation, State, StateEntry, StateError, VERSION};
pub use push::{PushError, check_push};
