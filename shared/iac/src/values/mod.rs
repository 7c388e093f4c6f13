//! Values that every kind of resource is made of: addresses, references, ids, permissions, limits.
//!
//! This module does not depend on the attributes of a kind, which are in `kinds`.

#[macro_use]
mod macros;

mod address;
mod choice;
mod clearable;
mod image;
pub mod limits;
mod overwrite;
mod permissions;
mod reference;
mod rule;
mod snowflake;

pub use address::{Address, AddressError, Kind, LogicalName, LogicalNameError};
pub use choice::{Choice, UnknownName};
pub use clearable::Clearable;
pub use image::{Image, ImageAttribute, ImageFormat};
pub use overwrite::{Overwrite, Overwrites, Target, TargetError};
pub(crate) use permissions::optional_names;
pub use permissions::{PermissionNames, permission_by_name, permission_names};
pub(crate) use reference::{CATEGORY, CHANNEL, CHANNEL_OR_CATEGORY, EMOJI, ROLE};
pub use reference::{EmojiReference, Kinds, Reference, ReferenceError};
pub use rule::{BrokenRule, Origin, RulePart};
pub use snowflake::{ID_DIGITS, IdError, Snowflake};
