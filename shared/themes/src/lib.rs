//! Themes as data and their loader.
//!
//! Owns the theme folders `basic` and `sietch` beside this crate's sources, their YAML schema, and the registry from which
//! the worker and `gaib` read themes. Unknown keys, invalid values, unresolved variables and inconsistent themes are
//! refused with file, line, column, reason and, if there is a similar name, a suggestion.
//!
//! To add a built-in theme, add its folder and a line in [`folder`]; operators put theirs into `THEMES_DIR`. To add a key,
//! add a field in `document.rs` and its meaning in `resolve/`.

mod art;
mod document;
pub mod folder;
#[cfg(test)]
mod fuzz;
mod problem;
mod reference;
mod registry;
mod resolve;
mod settings;
mod template;
mod values;

pub use folder::{FolderError, ThemeFolder};
pub use problem::{Problem, Problems, SourceLocation, nearest};
pub use reference::reference;
pub use registry::{Registry, RegistryError};
pub use settings::Settings;
pub use template::ThemeTemplate;
pub use values::{as_text, expand, is_name, parse_value};
