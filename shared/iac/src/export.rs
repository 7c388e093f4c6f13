//! From a live server, or any configuration, to YAML that reads back as the same.
//!
//! Owns the logical names that unmanaged resources get, and the writing of YAML. Refuses to lose anything: permissions
//! without a name are written as bits, references to what is not exported by id.

mod document;
mod live;
mod slug;

pub use document::to_yaml;
pub use live::{Detail, assign, from_live};
pub use slug::slug;
