//! Carries out plans at Discord.
//!
//! Owns everything between the pure engine (`arrakis-iac`) and the world: the HTTP client with Discord's rate limits, the
//! reader of the live server, the store of the state with its lock, the executor, import. Refuses decisions: what is to be
//! done is in the plan. Prints nothing, asks nothing, reads no environment: progress goes out as [`Event`]s, choices come in
//! as arguments.
//!
//! To add a kind of resource: see `kinds`.

mod cdn;
mod event;
mod execute;
pub mod http;
mod kinds;
mod picture;
mod read;
pub mod store;

pub use cdn::{Cdn, CdnError};
pub use event::{Event, Progress, Silent, Wait};
pub use execute::{ApplyError, Executor};
pub use kinds::FormError;
pub use picture::{Folder, Pictures, check_image, digest, largest_image, unusable_images};
pub use read::{ReadError, absent_members, all_kinds, read};
