//! Resources of a test, separate for each test so that tests run concurrently: a database, a vhost, a Redis database,
//! processes, a fault proxy, a forwarder for HTTP proxies, a chain, an S3 with a DynamoDB, an OpenBao, a collector of traces; and [`eventually`] instead of
//! sleeping.
//!
//! The services are real. `./dev test` sets the environment variables with their addresses; without these a test fails with
//! a message. The types panic instead of returning errors: a test without its resources has failed.

mod anvil;
mod database;
mod environment;
mod fault_proxy;
mod http_forwarder;
mod merge_cases;
mod metrics_page;
mod moto;
mod openbao;
mod process;
mod redis;
mod trace_collector;
mod vhost;
mod wait;

pub use anvil::{
    Amount, Anvil, AnvilOptions, Erc20, Erc721, Erc1155, Ledger, MULTICALL3, Movement, address_of, tokens,
};
pub use database::TestDatabase;
pub use environment::required as required_variable;
pub use fault_proxy::{Direction, FaultProxy, TrafficFaults};
pub use http_forwarder::{ForwardedResponse, HttpForwarder};
pub use merge_cases::{MERGE_CASES, MergeCase};
pub use metrics_page::{assert_accepted, assert_metrics};
pub use moto::Moto;
pub use openbao::{AppRole, OpenBao};
pub use process::Process;
pub use redis::TestRedis;
pub use trace_collector::{CollectedSpan, TraceCollector};
pub use vhost::TestVhost;
pub use wait::{Condition, eventually, eventually_within};
