//! Themes as data and their loader.
//!
//! Owns the theme folders `basic` and `sietch` beside this crate's sources, the YAML schema they follow, and the registry
//! that the worker and `gaib` read them from. Refuses, with file, line, column, reason and, where one is near, the right
//! spelling: unknown keys, bad values, unresolved variables, and themes that do not hang together.
//!
//! To add a theme that ships, add its folder and a line in [`folder`]; operators put theirs into `THEMES_DIR`. To add a key,
//! add a field in `document.rs` and what it means in `resolve/`.

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
pub use problem::{Place, Problem, Problems, nearest};
pub use reference::reference;
pub use registry::{Registry, RegistryError};
pub use settings::Settings;
pub use template::ThemeTemplate;
pub use values::{as_text, expand, is_name, parse_value};
