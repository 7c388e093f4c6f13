//! Files that describe servers: YAML as it is read, with the place of each value, and as it is written.
//!
//! Owns the tree of a file, the types of its values, the macro `document!` that declares a map of it, the addresses that a
//! file may refer to, and the writer. What a kind of resource may have is declared by the kind.

#[macro_use]
pub(crate) mod macros;

mod names;
pub(crate) mod reader;
pub(crate) mod scalar;
pub(crate) mod tree;
mod write;

pub(crate) use names::{KnownAddresses, address, entries};
pub(crate) use write::{Yaml, emoji, link, strip, texts};
