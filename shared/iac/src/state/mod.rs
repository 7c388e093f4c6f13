//! The state: which address is which thing at Discord, and what it was when gaib last touched it.
//!
//! Owns the document, its version, and every change to it as a pure transition; the rule of who may replace it. Refuses to
//! know where it is kept. Attributes are those that are managed, with references by address.
//!
//! To change the document's shape: raise [`VERSION`], read the older one in [`State::from_bytes`].

mod document;
mod push;

pub use document::{Entry, Pending, State, StateError, VERSION};
pub use push::{PushError, check_push};
