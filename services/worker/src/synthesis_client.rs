//! What the clients of the engine for Discord servers share; `synthesis` connects them.

use std::fmt;
use std::sync::Arc;

use arrakis_cache::LocalBuckets;
use arrakis_config::Secret;
use arrakis_discord::DiscordConfig;
use url::Url;

/// What a client of the engine needs: the discord-proxies and the worker's credential.
#[derive(Clone)]
pub struct SynthesisClient {
    pub(crate) proxies: Vec<Url>,
    pub(crate) credential: Secret,
    /// The rate of calls while Redis is unavailable, for all clients of this process.
    pub(crate) local: Arc<LocalBuckets>,
}

impl fmt::Debug for SynthesisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SynthesisClient")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

impl SynthesisClient {
    /// A client with the same proxies and credential as the worker's other calls.
    pub fn new(config: &DiscordConfig) -> Self {
        Self {
            proxies: config.proxies.clone(),
            credential: config.credential.clone(),
            local: Arc::default(),
        }
    }
}
