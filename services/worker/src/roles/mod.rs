//! A member's roles: what they should be, and making them so.
//!
//! Owns the one way in which roles are changed, for a join, an update, a sync and a repair alike. Measuring writes down what
//! it found (`measure.rs`); changing is idempotent, since a role that is there is not given again and Discord takes the same
//! PUT twice (`apply.rs`).

mod apply;
mod measure;

pub use apply::{Applied, Broken, apply};
pub use measure::{Measured, difference, measure};
