mod keys;
mod refusals;
mod users;
