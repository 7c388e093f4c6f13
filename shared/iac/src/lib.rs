//! Discord servers as code: the engine of `gaib`, of the worker's wizard and of the backups.
//!
//! Owns the model of a server, its configuration in YAML, the document of state, the plan and its rendering, the export of
//! a live server. Refuses input and output of every kind: it reads bytes that a caller read, and hands out values that a
//! caller carries out. Every function is a pure function of its arguments.
//!
//! To add a kind of resource: a line in [`model::Kind`], a struct of attributes, a variant of [`model::Attributes`]; the
//! compiler names what is left.

pub mod config;
pub mod export;
#[cfg(test)]
mod fuzz;
pub mod import;
pub mod live;
pub mod model;
pub mod plan;
pub mod render;
pub mod state;
pub mod words;
