//! Routes for admins, which need an API key.

pub(crate) mod users;
