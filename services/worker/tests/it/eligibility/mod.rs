//! The eligibility sync with real Postgres and RabbitMQ: on a chain in memory, whose faults the test decides, and on anvil.

mod chain_in_memory;
mod faults;
mod many_holders;
mod on_anvil;
mod setup;
mod swap;
mod worker;
