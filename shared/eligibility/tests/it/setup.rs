//! A provider with short times, a chain with one token, and questions.

use std::sync::Arc;
use std::time::Duration;

use arrakis_cache::{Cache, CacheOptions};
use arrakis_chain::{Chains, ChainsConfig, Token, TokenStandard};
use arrakis_config::Secret;
use arrakis_domain::Address;
use arrakis_eligibility::{
    BreakerSettings, BreakerState, EligibilityProvider, ProviderObserver, ProviderSettings, Question,
};
use arrakis_test_support::{Anvil, Erc20, TestRedis, address_of};
use parking_lot::Mutex;

use crate::score_double::ScoreDouble;

/// Chain id of the tests.
pub(crate) const CHAIN: u64 = 80_094;
/// An address without a listener.
pub(crate) const NO_LISTENER: &str = "127.0.0.1:1";

/// Settings with which failures take milliseconds. Stored answers are never fresh, so that each question is a request.
pub(crate) fn settings() -> ProviderSettings {
    ProviderSettings {
        answer_limit: Duration::from_millis(1_500),
        score_timeout: Duration::from_secs(3),
        connect_timeout: Duration::from_millis(500),
        fresh_for: Duration::ZERO,
        breaker: BreakerSettings {
            open_for: Duration::from_millis(500),
            ..BreakerSettings::default()
        },
        ..ProviderSettings::default()
    }
}

/// What the provider reported.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    pub(crate) sources: Mutex<Vec<&'static str>>,
    pub(crate) outcomes: Mutex<Vec<&'static str>>,
}

impl ProviderObserver for Reported {
    fn answered(&self, source: &'static str, _: Duration) {
        self.sources.lock().push(source);
    }

    fn score_requested(&self, outcome: &'static str, _: Duration) {
        self.outcomes.lock().push(outcome);
    }
}

/// A chain with a token of which wallet n holds n units.
pub(crate) struct Chain {
    pub(crate) anvil: Anvil,
    pub(crate) token: Erc20,
}

impl Chain {
    pub(crate) async fn start() -> Self {
        let anvil = Anvil::start().await;
        let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
        for number in 1..=3_u64 {
            token.mint(address_of(number), number).await;
        }
        Self { anvil, token }
    }

    pub(crate) fn question(&self, wallet: u64) -> Question {
        question(self.token.address(), address_of(wallet))
    }
}

pub(crate) fn question(contract: Address, wallet: Address) -> Question {
    Question {
        chain_id: CHAIN,
        token: Token {
            contract,
            standard: TokenStandard::Erc20,
            ids: Vec::new(),
        },
        wallet,
    }
}

pub(crate) fn chains(url: &str) -> Chains {
    let mut config = ChainsConfig::of_chain(CHAIN, [url]);
    config.settings.call_patience = Duration::from_secs(2);
    Chains::new(&config)
}

/// A provider with what it reported.
pub(crate) struct Provider {
    pub(crate) provider: EligibilityProvider,
    pub(crate) reported: Arc<Reported>,
}

impl Provider {
    pub(crate) fn state(&self) -> BreakerState {
        self.provider.breaker().unwrap().borrow().state
    }
}

/// A provider without Redis.
pub(crate) fn provider(chains: Chains, score: Option<&ScoreDouble>, settings: ProviderSettings) -> Provider {
    with_cache(chains, score, settings, &format!("redis://{NO_LISTENER}"))
}

pub(crate) fn with_redis(
    chains: Chains,
    score: Option<&ScoreDouble>,
    settings: ProviderSettings,
    redis: &TestRedis,
) -> Provider {
    with_cache(chains, score, settings, &redis.url())
}

fn with_cache(chains: Chains, score: Option<&ScoreDouble>, settings: ProviderSettings, redis: &str) -> Provider {
    let cache = Cache::new(&Secret::new(redis), CacheOptions::default()).unwrap();
    let reported = Arc::new(Reported::default());
    let api = score.map(ScoreDouble::api);
    let observer = Arc::clone(&reported) as Arc<dyn ProviderObserver>;
    let provider = EligibilityProvider::new(chains, api.as_ref(), cache, settings, observer).unwrap();
    Provider { provider, reported }
}
