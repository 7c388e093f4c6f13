mod keys;
mod kill_switch;
mod refusals;
pub(crate) mod servers;
mod users;
