//! The eligibility sync: reads the transfers of a token profile from its chain, ranks the wallets, and stores what changed.
//!
//! `sync.rs` reads logs in batches, each of which is one transaction; `reorganisation.rs` compares the stored end of the logs with the
//! chain; `reconcile.rs` compares the best wallets with their balances on the chain; `swap.rs` replaces the ranking. `token_chain.rs`
//! is what the sync needs of a chain. Changes no roles: it enqueues tier syncs.
//!
//! A sync may be stopped anywhere, and two may run at once: every write names its run, and only the run that began last may write
//! (`shared/db/src/eligibility_sync.rs`).

mod communities;
mod error;
mod events;
pub mod health;
mod metrics;
mod reconcile;
mod reorganisation;
mod swap;
mod sync;
mod token_chain;

pub use communities::profiles_in_use;
pub use error::SyncError;
pub use metrics::EligibilityMetrics;
pub use swap::SyncSummary;
pub use sync::{EligibilitySync, SyncEnd};
pub use token_chain::{TokenChain, TransferBatches};
