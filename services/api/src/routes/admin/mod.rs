//! Routes for admins, which need an API key.

pub(crate) mod approvals;
pub(crate) mod kill_switch;
pub(crate) mod servers;
pub(crate) mod users;
