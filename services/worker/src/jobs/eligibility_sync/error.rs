//! Why a sync ended without a new ranking.

use arrakis_chain::ChainError;
use arrakis_db::{DbError, TokenProfileId};
use arrakis_domain::Address;

use crate::failure::Failure;

/// Why a sync ended without a new ranking. The stored ranking is unchanged; the logs that were stored so far are kept.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// No endpoint gave a usable response, or the contract is not what the profile states.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Postgres is unavailable, or refused a write.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Another run of this profile has begun; it continues where this one ended.
    #[error("another run of the sync has begun and continues")]
    Superseded,
    /// The chain as the endpoints show it ends before a block that was read already: they lag.
    #[error(
        "block {read} was read already, but the endpoints' finalised block is {finalized}: they lag. If the chain was started anew, restart the \
         workers and run `arrakis-worker eligibility sync {profile} --from-start`"
    )]
    Lagging {
        /// The profile.
        profile: TokenProfileId,
        /// The last block that was read.
        read: u64,
        /// The endpoints' finalised block.
        finalized: u64,
    },
    /// The profile was changed to another chain while the run began.
    #[error("the token profile {0} was changed and is of chain {1} now; the next attempt reads that chain")]
    OtherChain(TokenProfileId, u64),
    /// One endpoint alone replaces many blocks.
    #[error(
        "one endpoint replaces the {depth} latest blocks whose logs are stored, and no second endpoint confirms it (block {block}: {reports}). \
         The logs are kept, and the next attempt compares again. If the chain was replaced: `arrakis-worker eligibility sync {profile} --from-start`"
    )]
    Unconfirmed {
        /// The profile.
        profile: TokenProfileId,
        /// Blocks that would be rolled back.
        depth: u64,
        /// The first block that differs.
        block: u64,
        /// What each endpoint reports.
        reports: String,
    },
    /// No endpoint has a block whose logs are stored.
    #[error("no endpoint has block {0}, whose logs are stored: they lag")]
    BlockUnavailable(u64),
    /// There is no contract at the profile's address.
    #[error("there is no contract at {0} on chain {1}; correct the token profile")]
    NoContract(Address, u64),
    /// The blocks changed while they were read, several times.
    #[error("the chain's blocks changed while they were read, {0} times; the next attempt reads them again")]
    Unstable(u32),
    /// No wallet holds the token, but the stored ranking has wallets.
    #[error(
        "no wallet holds the token at block {block}, but the stored ranking has {stored} wallets; it is kept. If no wallet should hold \
         it, run `arrakis-worker eligibility sync {profile} --accept-empty`"
    )]
    Empty {
        /// The profile.
        profile: TokenProfileId,
        /// The block up to which logs were read.
        block: u64,
        /// Wallets in the stored ranking.
        stored: usize,
    },
    /// A community could not be read, or the job must end.
    #[error("{0}")]
    Stopped(Failure),
}

impl From<Failure> for SyncError {
    fn from(failure: Failure) -> Self {
        Self::Stopped(failure)
    }
}
