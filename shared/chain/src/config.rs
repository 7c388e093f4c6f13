//! Configuration: endpoints from the environment, and limits with defaults.

use std::time::Duration;

use arrakis_config::{ChainEndpoints, Reader, variables};

/// The chains of a service and the limits of their clients.
#[derive(Debug, Clone, Default)]
pub struct ChainsConfig {
    /// Endpoints of each chain (`CHAIN_RPC_URLS`); empty where none is configured.
    pub chains: Vec<ChainEndpoints>,
    /// Limits of the clients of all chains.
    pub settings: ChainSettings,
}

impl ChainsConfig {
    /// Reads `CHAIN_RPC_URLS` and `CHAIN_FINALIZED_DEPTH`; `None` if `reader` recorded an error.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let chains = reader.chain_rpc_urls();
        let depth = reader.defaulted::<u64>(&variables::CHAIN_FINALIZED_DEPTH);
        Some(Self {
            chains: chains?,
            settings: ChainSettings {
                finalized_depth: depth?,
                ..ChainSettings::default()
            },
        })
    }

    /// One chain with these endpoints and the default settings, for tests and tools.
    #[must_use]
    pub fn of_chain(chain_id: u64, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let urls = urls.into_iter().map(arrakis_config::Secret::new).collect();
        Self {
            chains: vec![ChainEndpoints { chain_id, urls }],
            settings: ChainSettings::default(),
        }
    }
}

/// Limits of the clients of all chains. `CHAIN_FINALIZED_DEPTH` sets the first one; the others are the constants of
/// [`ChainSettings::default`].
#[derive(Debug, Clone, Copy)]
pub struct ChainSettings {
    /// Blocks behind the latest one from which a block counts as final, where no endpoint supports the tag `finalized`.
    pub finalized_depth: u64,
    /// Time limit of establishing a connection.
    pub connect_timeout: Duration,
    /// Time limit of one request for a block, a call or code.
    pub call_timeout: Duration,
    /// Time limit of one request for logs.
    pub logs_timeout: Duration,
    /// Time in which calls are repeated at endpoints before [`crate::ChainError::Unavailable`] is returned. No attempt begins later.
    pub call_patience: Duration,
    /// Time in which a batch of logs is requested from endpoints before [`crate::ChainError::Unavailable`] is returned.
    pub logs_patience: Duration,
    /// Largest response in bytes.
    pub max_response: usize,
    /// Concurrent requests to one endpoint.
    pub max_requests: usize,
    /// Blocks of the first request for logs to an endpoint.
    pub first_log_range: u64,
    /// Largest number of blocks of a request for logs.
    pub max_log_range: u64,
    /// Number of logs in a response above which the range is shortened.
    pub target_logs: usize,
    /// First pause of an endpoint after three consecutive failures; doubled with each further failure.
    pub first_pause: Duration,
    /// Longest pause of an endpoint.
    pub max_pause: Duration,
    /// Age from which the head of an endpoint is read again before a call at the latest block.
    pub head_age: Duration,
    /// Calls of one Multicall3 request.
    pub multicall_size: usize,
}

impl Default for ChainSettings {
    fn default() -> Self {
        Self {
            finalized_depth: 64,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(5),
            logs_timeout: Duration::from_secs(30),
            call_patience: Duration::from_secs(10),
            logs_patience: Duration::from_secs(60),
            max_response: 16 * 1024 * 1024,
            max_requests: 16,
            first_log_range: 2_000,
            max_log_range: 100_000,
            target_logs: 5_000,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(300),
            head_age: Duration::from_secs(10),
            multicall_size: 200,
        }
    }
}
