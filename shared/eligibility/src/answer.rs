//! A question about a wallet, and its answer with source and time.

use std::time::Duration;

use arrakis_chain::{Token, TokenStandard};
use arrakis_domain::{Address, Rank, U256};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A question: what a wallet holds of a token, and how the score service rates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The token, with the ids that count.
    pub token: Token,
    /// The wallet.
    pub wallet: Address,
}

impl Question {
    /// Whether the holding can be read from the chain: the standard ERC-1155 has no balance over all ids, so such a token needs ids.
    pub(crate) fn is_on_chain(&self) -> bool {
        self.token.standard != TokenStandard::Erc1155 || !self.token.ids.is_empty()
    }
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where the answer comes from.
    pub source: Source,
    /// What the wallet holds of the token.
    pub holding: Holding,
    /// The rating of the score service; `None` when only the chain was read.
    pub score: Option<Score>,
}

/// What a wallet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Amount in the token's smallest unit; for NFTs their number.
    pub held: U256,
    /// When it was read from the chain; for a holding of the score service, the time of its data.
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub as_of: OffsetDateTime,
    /// The tier that reported it.
    pub tier: Tier,
}

/// The two tiers of the provider. They are not the tiers of a theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Tier 1: the chain, by way of its RPC endpoints.
    Native,
    /// Tier 2: the score service.
    Score,
}

/// The rating of a wallet by the score service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Rank of the wallet; `None` when it has none.
    pub rank: Option<Rank>,
    /// What the wallet holds, in the token's smallest unit.
    pub held: U256,
    /// Activity of the wallet, 0 to 100; `None` when the service does not rate it.
    pub activity: Option<u8>,
    /// Time of the service's data.
    #[serde(with = "time::serde::timestamp::milliseconds")]
    pub as_of: OffsetDateTime,
}

impl Score {
    /// The holding that the service reports.
    pub(crate) const fn holding(&self) -> Holding {
        Holding {
            held: self.held,
            as_of: self.as_of,
            tier: Tier::Score,
        }
    }
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The score service; the holding is that of the chain where the chain responded, too.
    Score,
    /// The chain; no score service is configured.
    Native,
    /// A stored answer of this age.
    Cache {
        /// Time since the older one of its parts was received.
        age: Duration,
    },
    /// The chain stands in for the score service.
    Degraded(DegradedBecause),
}

impl Source {
    /// Every name of [`Source::name`].
    pub const NAMES: [&'static str; 4] = ["score", "native", "cache", "degraded"];

    /// Its name, for metrics and APIs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Native => "native",
            Self::Cache { .. } => "cache",
            Self::Degraded(_) => "degraded",
        }
    }
}

/// Why the chain stands in for the score service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DegradedBecause {
    /// The score service did not respond within the time of an answer.
    Late,
    /// The response of the score service was an error, or malformed.
    Failed,
    /// The circuit breaker is open: no request was sent.
    BreakerOpen,
    /// The score service has no data of this token.
    NotCovered,
}

/// Why there is no answer. It is not an error of the wallet: the caller uses the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No RPC endpoint of the chain is configured, and no score service.
    #[error("no RPC endpoint of this chain and no score service is configured")]
    NotConfigured,
    /// The chain has no such balance (an ERC-1155 token over all its ids), and no score service is configured.
    #[error("the chain has no balance over all ids of an ERC-1155 token, and no score service is configured")]
    NotReadable,
    /// Neither tier responded in time, and there is no stored answer.
    #[error("neither the chain nor the score service responded, and there is no stored answer")]
    NoResponse,
}
