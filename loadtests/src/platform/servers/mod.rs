//! Private servers: instances of Debian's packages that a scenario may kill, stop, fill and start again. What the environment
//! names is shared with other runs and never touched.
//!
//! To add one: a file with a type that starts the server on free loopback ports with its data in a folder of its own, and
//! dies with it when dropped.

mod postgres;
mod rabbit_cluster;
mod rabbitmq;
mod redis;

pub use postgres::PostgresServer;
pub use rabbit_cluster::RabbitCluster;
pub use rabbitmq::{Cluster, Rabbit, RabbitOptions};
pub use redis::{Ailment, Redis};
