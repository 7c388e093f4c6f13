//! The api with real PostgreSQL, Redis and RabbitMQ, in this process. Tests are on paths that mirror the routes. Every answer to a client of a
//! test is compared with the OpenAPI document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::large_futures,
    reason = "a failure of the set-up fails the test"
)]

mod admin;
mod approvals;
mod connections;
mod eligibility;
mod headers;
mod limits;
mod openapi;
mod process;
mod status;
mod support;
mod verify;
