//! The wallet page and its requests.

mod page;
mod requests;
