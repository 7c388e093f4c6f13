//! Applies plans at Discord.
//!
//! Owns the input and output of the pure engine (`arrakis-iac`): the HTTP client with Discord's rate limits, the reader of the
//! live server with its images and the roles of its members, the store of states with their locks, and the executor. The plan
//! contains all decisions. The crate prints nothing and reads no environment variables: progress is reported as [`Event`]s, options
//! are arguments.
//!
//! To add a kind of resource: see `kinds`.

mod capture;
mod cdn;
mod event;
mod execute;
pub mod http;
mod image;
mod kinds;
mod members;
mod read;
pub mod store;

pub use capture::{CapturedImages, UncapturedImage, capture_images};
pub use cdn::{Cdn, CdnError, is_of_discord};
pub use event::{Event, NoProgress, Progress, Wait};
pub use execute::{ApplyError, Executor};
pub use image::{ImageFolder, ImageSource, check_image, digest, max_image_bytes, read_image_file, unusable_images};
pub use kinds::FormError;
pub use members::{GivenRoles, RoleGrant, give_roles, member_roles};
pub use read::{ReadError, absent_members, all_kinds, read};
