//! Public eligibility: which wallets are eligible, and the standing of one wallet.
//!
//! The answers are as of the last sync and change with its snapshot only, so they have an `ETag` made of it and may be cached for a minute.

mod list;
mod of_address;
mod snapshot;

pub(crate) use self::list::{__path_list, list};
pub(crate) use self::of_address::{__path_of_address, of_address};
