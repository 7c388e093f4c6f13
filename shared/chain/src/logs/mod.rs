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

pub(crate) use range::AdaptiveRange;
pub use reader::TransferReader;
