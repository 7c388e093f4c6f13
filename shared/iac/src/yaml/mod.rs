//! YAML of configurations: a reader that records the position of each value, and a writer.
//!
//! Owns the tree of a file, the types of its values, the macro `document!` that declares a map, the addresses that a file may
//! reference, and the writer. Each kind declares its own attributes.

#[macro_use]
pub(crate) mod macros;

mod names;
pub(crate) mod reader;
pub(crate) mod scalar;
pub(crate) mod tree;
mod write;

pub(crate) use names::{KnownAddresses, address, entries};
pub(crate) use write::{Yaml, emoji, link, strip, texts, write_comment};
