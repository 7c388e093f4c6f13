//! Writes a live server, or any configuration, as YAML that loads to the same configuration.
//!
//! Owns the logical names of unmanaged resources and the format of the file. Nothing is lost: permissions without a name are
//! written as bits, and references to resources that are not exported as ids.

mod document;
mod live;
mod merged;
mod slug;

pub use document::to_yaml;
pub use live::{ExportDetail, assign, from_live};
pub use merged::merged;
pub use slug::slug;
