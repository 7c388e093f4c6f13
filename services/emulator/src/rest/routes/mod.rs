//! The routes, one file per resource, each with its own table.
//!
//! To add a resource, add a file with `ROUTES` and its line in [`all`].

mod gateway;

use super::route::Route;

/// Every route below `/api/v10`.
#[must_use]
pub fn all() -> Vec<Route> {
    [gateway::ROUTES].concat()
}

/// Routes of the content network, outside of `/api`.
pub const CDN: &[Route] = &[];
