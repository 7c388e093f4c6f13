//! A database with a token profile and communities, and the services of a worker.

use std::time::Duration;

use arrakis_broker::{BrokerConnection, BrokerSettings, Priorities, Publisher, Topology};
use arrakis_cache::{Cache, CacheOptions};
use arrakis_chain::Chains;
use arrakis_config::Secret;
use arrakis_db::{
    CommunityId, Database, DatabaseOptions, GuildId, NewCommunity, ProfileStandard, SyncHealth, TokenProfile,
    TokenProfileId, UserId,
};
use arrakis_discord::{Discord, DiscordConfig};
use arrakis_domain::{Address, Balance, Plan, Ranking, U256, scale_to_balance};
use arrakis_telemetry::Metrics;
use arrakis_test_support::{TestDatabase, TestVhost};
use arrakis_themes::Registry;
use arrakis_worker::jobs::eligibility_sync::{ProfileSync, SyncEnd, SyncError, SyncSummary, TokenChain};
use arrakis_worker::metrics::WorkerMetrics;
use arrakis_worker::services::Services;
use arrakis_worker::synthesis_client::SynthesisClient;
use time::OffsetDateTime;
use twilight_model::id::Id;

use super::chain_in_memory::{CONTRACT, MemoryChain};

const NO_LISTENER: &str = "127.0.0.1:1";

/// A database with a token profile, and services.
pub struct Setup {
    pub services: Services,
    pub profile: TokenProfile,
    pub metrics: Metrics,
    pub database: Database,
    pub vhost: TestVhost,
    _test_database: TestDatabase,
}

pub fn profile(standard: ProfileStandard, contract: Address) -> TokenProfile {
    TokenProfile {
        id: "token".parse().unwrap(),
        name: "Token".to_owned(),
        symbol: "T".to_owned(),
        standard,
        chain_id: 80_094,
        contract,
        decimals: if standard.has_ids() { 0 } else { 18 },
        claims_from: None,
        burns_to: None,
        token_ids: Vec::new(),
        start_block: 0,
    }
}

impl Setup {
    /// With a profile of an ERC-20 token on the chain in memory.
    pub async fn new() -> Self {
        Self::with(profile(ProfileStandard::Erc20, CONTRACT), Chains::default()).await
    }

    pub async fn with(profile: TokenProfile, chains: Chains) -> Self {
        Self::with_statement_timeout(profile, chains, DatabaseOptions::default().statement_timeout).await
    }

    /// With another time limit of statements.
    pub async fn with_statement_timeout(profile: TokenProfile, chains: Chains, statement_timeout: Duration) -> Self {
        arrakis_runtime::install_crypto_provider();
        let test_database = TestDatabase::create().await;
        let options = DatabaseOptions {
            application_name: "test",
            max_connections: 5,
            statement_timeout,
            ..DatabaseOptions::default()
        };
        let url = Secret::new(test_database.app_url());
        let database = Database::connect(&url, options).await.unwrap();
        let vhost = TestVhost::create().await;
        let connection = BrokerConnection::open(&BrokerSettings::new(vhost.url()), "test");
        let topology = Topology::new(Priorities::Classic);
        topology.declare(&connection.current().await.unwrap()).await.unwrap();
        let metrics = Metrics::new();
        let discord = DiscordConfig {
            proxies: vec![format!("http://{NO_LISTENER}").parse().unwrap()],
            credential: Secret::new("unused"),
            application: Id::new(1),
        };
        let cache = Cache::new(&Secret::new(format!("redis://{NO_LISTENER}")), CacheOptions::default()).unwrap();
        let services = Services {
            database: database.clone(),
            eligibility: crate::platform::eligibility_provider(chains.clone(), None, cache.clone()),
            cache,
            discord: Discord::new(&discord).unwrap(),
            shadows: None,
            synthesis: SynthesisClient::new(&discord),
            chains,
            publisher: Publisher::new(connection.clone()),
            themes: Registry::load(None).unwrap(),
            metrics: WorkerMetrics::new(&metrics),
            command_limit: Duration::from_secs(2),
            stale_after: time::Duration::hours(7),
            admin_commands_without_mfa: false,
            mfa: None,
            kill_switch: arrakis_kill_switch::PlatformSwitch::default(),
            backups: None,
            approvals: arrakis_worker::approvals::Approvals::default(),
            status_page: None,
            verification: None,
        };
        let mut tx = database.global().await.unwrap();
        tx.eligibility().put_token_profile(&profile).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            services,
            profile,
            metrics,
            database,
            vhost,

            _test_database: test_database,
        }
    }

    pub fn token(&self) -> &TokenProfileId {
        &self.profile.id
    }

    pub fn sync<'a>(&'a self, chain: &'a dyn TokenChain) -> ProfileSync<'a> {
        ProfileSync {
            services: &self.services,
            chain,
            profile: &self.profile,
            job: None,
            part: None,
            accept_empty: false,
        }
    }

    /// Syncs to the end.
    pub async fn complete(&self, chain: &dyn TokenChain) -> SyncSummary {
        match self.sync(chain).run().await.unwrap() {
            SyncEnd::Complete(summary) => summary,
            SyncEnd::PartOver { .. } => panic!("a sync without parts ends"),
        }
    }

    pub async fn failure(&self, chain: &dyn TokenChain) -> SyncError {
        self.sync(chain).run().await.unwrap_err()
    }

    pub async fn ranking(&self) -> Ranking {
        let mut tx = self.database.global().await.unwrap();
        tx.eligibility().ranking(self.token()).await.unwrap()
    }

    /// The addresses in order of rank with their raw holdings.
    pub async fn ranked(&self) -> Vec<(Address, Balance)> {
        self.ranking().await.wallets().to_vec()
    }

    pub async fn health(&self) -> SyncHealth {
        let mut tx = self.database.global().await.unwrap();
        tx.eligibility().sync_health(self.token()).await.unwrap()
    }

    pub async fn next_block(&self) -> u64 {
        let mut tx = self.database.global().await.unwrap();
        tx.eligibility()
            .sync_cursor(self.token())
            .await
            .unwrap()
            .unwrap()
            .next_block
    }

    /// The value of a metric of this profile.
    pub fn metric(&self, name: &str) -> f64 {
        let line = format!("{name}{{token_profile=\"{}\"}} ", self.token());
        let text = self.metrics.render();
        let value = text.lines().find_map(|found| found.strip_prefix(&line));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// A community of the profile with members who have these wallets.
    pub async fn community(&self, guild: u64, members: &[(u64, Address)]) -> CommunityId {
        let community = CommunityId::new();
        let theme = self.services.themes.theme("sietch").unwrap();
        let mut tx = self.database.tenant(community).await.unwrap();
        let new = NewCommunity {
            guild: GuildId::new(guild).unwrap(),
            name: format!("Community {guild}"),
            theme: theme.id.clone(),
            theme_plan: theme.plan,
            rule_set: theme.default_rules.clone(),
            plan: Plan::Premium,
            token_profile: self.profile.id.clone(),
        };
        tx.communities().create(&new).await.unwrap();
        for (id, wallet) in members {
            let user = UserId::new(*id).unwrap();
            let now = OffsetDateTime::now_utc();
            tx.profiles().join(user, &format!("Member {id}"), now).await.unwrap();
            tx.profiles().link_wallet(user, Some(*wallet)).await.unwrap();
        }
        tx.commit().await.unwrap();
        community
    }

    /// The ranking must be that of the chain's own count.
    pub async fn assert_equals_ledger(&self, chain: &MemoryChain) {
        let mut expected: Vec<_> = chain.ledger().into_iter().collect();
        // Blocks of these tests have one transfer, so that no two holdings have existed for the same time, except those of sender and
        // receiver, which the address decides.
        expected.sort_by_key(|(address, (held, block))| (std::cmp::Reverse(*held), *block, *address));
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(address, (held, _))| (address, scale_to_balance(U256::from(held), 18)))
            .collect();
        assert_eq!(self.ranked().await, expected);
    }
}

/// The nth wallet.
pub fn wallet(number: u64) -> Address {
    arrakis_test_support::address_of(number)
}
