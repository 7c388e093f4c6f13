//! Transfer logs of a contract, read in batches: each batch from one endpoint, in a range of blocks that the endpoint accepts, and never
//! beyond the endpoint's finalised block.

mod decode;
mod fetch;
mod query;
mod range;
mod reader;
mod wire;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use {tests::read_logs, wire::WireLog};

pub(crate) use range::AdaptiveRange;
pub use reader::TransferReader;
