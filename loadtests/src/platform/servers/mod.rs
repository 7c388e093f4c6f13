//! Private servers, from Debian's packages, that a scenario may kill, suspend, fill and start again. The servers that the
//! environment names are shared with other runs and stay unchanged.
//!
//! To add one: a file with a type that starts the server on free loopback ports with its data in a folder of its own, and that
//! kills the server when dropped.

mod postgres;
mod rabbit_cluster;
mod rabbitmq;
mod redis;

pub use postgres::PostgresServer;
pub use rabbit_cluster::RabbitCluster;
pub use rabbitmq::{ClusterNode, RabbitOptions, RabbitServer};
pub use redis::{RedisServer, RefusalMode};
