//! From a live server, or any configuration, to YAML that reads back as the same.
//!
//! Owns the logical names that unmanaged resources get, and the writing of YAML. Refuses to lose anything: permissions
//! without a name are written as bits, references to what is not exported by id.

mod slug;

pub use slug::slug;
