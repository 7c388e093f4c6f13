mod keys;
mod refusals;
pub(crate) mod servers;
mod users;
