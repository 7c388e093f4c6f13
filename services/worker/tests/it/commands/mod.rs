//! Commands with a real database: a community, a ranking, and members. Each command is called as the pipeline calls it.
//!
//! Broker, Redis and proxy have addresses without a listener: a command that required one of them would fail.

mod admin_stats;
mod badges;
mod check_eligibility;
mod directory;
mod leaderboard;
mod naib;
mod position;
mod profile;
mod stats;
mod threshold;

use arrakis_broker::{BrokerConnection, BrokerSettings, Publisher};
use arrakis_cache::{Cache, CacheOptions};
use arrakis_chain::Chains;
use arrakis_config::{ScoreApi, Secret};
use arrakis_db::{CommunityId, Database, GuildId, NewCommunity, TenantTx, TokenProfile, TokenProfileId, UserId};
use arrakis_discord::{Discord, DiscordConfig};
use arrakis_domain::{Address, Balance, Plan};
use arrakis_telemetry::Metrics;
use arrakis_test_support::TestDatabase;
use arrakis_themes::Registry;
use arrakis_worker::commands::{CommandContext, Commands};
use arrakis_worker::community::Community;
use arrakis_worker::interaction::invocation::{Invocation, InvocationData};
use arrakis_worker::interaction::refusal::Refusal;
use arrakis_worker::interaction::reply::{CommandError, Reply};
use arrakis_worker::metrics::WorkerMetrics;
use arrakis_worker::services::Services;
use arrakis_worker::synthesis_client::SynthesisClient;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use twilight_model::id::Id;

use crate::platform::eligibility_provider;

/// An address without a listener.
const NO_LISTENER: &str = "127.0.0.1:1";

/// Runs commands on a database with one community of the theme `sietch`.
pub(crate) struct CommandHarness {
    _database: TestDatabase,
    services: Services,
    commands: Commands,
    pub(crate) community: Community,
}

/// The reply of a command.
#[derive(Debug)]
pub(crate) struct CommandReply {
    /// Whether it is an ephemeral message of its own.
    pub(crate) private: bool,
    /// The message.
    pub(crate) message: Value,
}

impl CommandReply {
    pub(crate) fn description(&self) -> &str {
        self.message["embeds"][0]["description"].as_str().unwrap()
    }

    /// The value of the field whose name starts with `name`.
    pub(crate) fn field(&self, name: &str) -> &str {
        let fields = self.message["embeds"][0]["fields"].as_array().unwrap();
        let field = fields
            .iter()
            .find(|field| field["name"].as_str().unwrap().starts_with(name));
        field.unwrap_or_else(|| panic!("no field {name} in {fields:?}"))["value"]
            .as_str()
            .unwrap()
    }

    /// The custom id of the button with this label; `None` if it is disabled.
    pub(crate) fn button(&self, label: &str) -> Option<String> {
        let buttons = self.message["components"][0]["components"].as_array()?;
        let button = buttons.iter().find(|button| button["label"] == label).unwrap();
        let disabled = button["disabled"].as_bool().unwrap_or(false);
        (!disabled).then(|| button["custom_id"].as_str().unwrap().to_owned())
    }
}

impl CommandHarness {
    /// A harness with a ranking of these balances, largest first; the wallet of rank n is `wallet(n)`.
    pub(crate) async fn with_ranking(holdings: &[&str]) -> Self {
        let test = TestDatabase::create().await;
        let database = test.database().await;
        let token = put_ranking(&database, holdings).await;
        let community = create_community(&database, &token, 1).await;
        let services = services(database);
        let community = Community::load(&services, community).await.unwrap().unwrap();
        Self {
            commands: Commands::default(),
            _database: test,
            services,
            community,
        }
    }

    /// Lets the token of the ranking be this contract, and reads it from these chains and this score service.
    pub(crate) async fn read_live(&mut self, contract: Address, chains: Chains, score: Option<&ScoreApi>) {
        let mut tx = self.services.database.global().await.unwrap();
        let token = &self.community.record.token_profile;
        let mut profile = tx.eligibility().token_profile(token).await.unwrap().unwrap();
        profile.contract = contract;
        tx.eligibility().put_token_profile(&profile).await.unwrap();
        tx.commit().await.unwrap();
        let cache = self.services.cache.clone();
        self.services.eligibility = eligibility_provider(chains, score, cache);
    }

    pub(crate) async fn tenant(&self) -> TenantTx {
        self.services.database.tenant(self.community.id()).await.unwrap()
    }

    /// Creates a second community with the same ranking.
    pub(crate) async fn second_community(&self) -> CommunityId {
        create_community(&self.services.database, &self.community.record.token_profile, 2).await
    }

    /// Creates members: user n has the name `member-n` and the wallet of the rank, if any.
    pub(crate) async fn join(&self, community: CommunityId, members: impl IntoIterator<Item = (u64, Option<u32>)>) {
        let mut tx = self.services.database.tenant(community).await.unwrap();
        for (user, rank) in members {
            let joined = OffsetDateTime::now_utc() - Duration::days(100);
            tx.profiles()
                .join(id(user), &format!("member-{user}"), joined)
                .await
                .unwrap();
            if let Some(rank) = rank {
                tx.profiles().link_wallet(id(user), Some(wallet(rank))).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    /// Runs a command of a member, with options as Discord sends them.
    pub(crate) async fn run(&self, command: &str, user: u64, options: Value) -> Result<CommandReply, Refusal> {
        let invocation = invocation(command, user, &options);
        let entry = self.commands.get(command).unwrap();
        let result = entry.command.run(&self.context(&invocation).await).await;
        command_reply(result)
    }

    /// Clicks a button on the reply to a command of `owner`.
    pub(crate) async fn click(&self, custom_id: &str, user: u64, owner: u64) -> Result<CommandReply, Refusal> {
        let mut invocation = invocation("unused", user, &json!([]));
        invocation.data = InvocationData::Component {
            custom_id: custom_id.to_owned(),
            values: Vec::new(),
            command_user: Some(Id::new(owner)),
        };
        let segments: Vec<&str> = custom_id.split(':').collect();
        let entry = self.commands.get(segments[0]).unwrap();
        let result = entry
            .command
            .component(&self.context(&invocation).await, &segments[1..])
            .await;
        command_reply(result)
    }

    async fn context<'a>(&'a self, invocation: &'a Invocation) -> CommandContext<'a> {
        let tx = self.tenant().await;
        CommandContext::new(
            &self.services,
            &self.commands,
            invocation,
            Some(&self.community),
            Some(tx),
        )
    }
}

pub(crate) fn id(user: u64) -> UserId {
    UserId::new(user).unwrap()
}

/// The wallet of a rank.
pub(crate) fn wallet(rank: u32) -> Address {
    let mut bytes = [0xaa; 20];
    bytes[16..].copy_from_slice(&rank.to_be_bytes());
    Address::from_bytes(bytes)
}

fn command_reply(result: Result<Reply, CommandError>) -> Result<CommandReply, Refusal> {
    let (private, message) = match result {
        Ok(Reply::Message(message)) => (false, message),
        Ok(Reply::Private(message)) => (true, message),
        Ok(other) => panic!("unexpected {other:?}"),
        Err(CommandError::Refused(refusal)) => return Err(refusal),
        Err(CommandError::Failed(failure)) => panic!("{failure}"),
    };
    let message = serde_json::to_value(message).unwrap();
    Ok(CommandReply { private, message })
}

async fn put_ranking(database: &Database, holdings: &[&str]) -> TokenProfileId {
    let token = TokenProfileId::new("bgt").unwrap();
    let profile = TokenProfile {
        id: token.clone(),
        name: "Bera Governance Token".into(),
        symbol: "BGT".into(),
        standard: arrakis_db::ProfileStandard::Erc20,
        chain_id: 80_094,
        contract: wallet(0),
        decimals: 18,
        claims_from: None,
        burns_to: None,
        token_ids: Vec::new(),
        start_block: 0,
    };
    let ranking: Vec<(Address, Balance)> = (1..)
        .zip(holdings)
        .map(|(rank, held)| (wallet(rank), held.parse().unwrap()))
        .collect();
    let mut tx = database.global().await.unwrap();
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    tx.replace_ranking(&token, &ranking, 1_000, OffsetDateTime::now_utc())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    token
}

async fn create_community(database: &Database, token: &TokenProfileId, guild: u64) -> CommunityId {
    let community = CommunityId::new();
    let mut tx = database.tenant(community).await.unwrap();
    let new = NewCommunity {
        guild: GuildId::new(guild).unwrap(),
        name: format!("Sietch {guild}"),
        theme: "sietch".parse().unwrap(),
        theme_plan: Plan::Premium,
        rule_set: "balance".parse().unwrap(),
        plan: Plan::Premium,
        token_profile: token.clone(),
    };
    tx.communities().create(&new).await.unwrap();
    tx.commit().await.unwrap();
    community
}

/// Services with this database alone.
pub fn services(database: Database) -> Services {
    let discord = DiscordConfig {
        proxies: vec![format!("http://{NO_LISTENER}").parse().unwrap()],
        credential: Secret::new("unused"),
        application: Id::new(1),
    };
    let cache = Cache::new(&Secret::new(format!("redis://{NO_LISTENER}")), CacheOptions::default()).unwrap();
    let chains = Chains::default();
    Services {
        database,
        eligibility: eligibility_provider(chains.clone(), None, cache.clone()),
        cache,
        discord: Discord::new(&discord).unwrap(),
        shadows: None,
        synthesis: SynthesisClient::new(&discord),
        chains,
        publisher: Publisher::new(BrokerConnection::open(
            &BrokerSettings::new(format!("amqp://{NO_LISTENER}")),
            "unused",
        )),
        themes: Registry::load(None).unwrap(),
        verification: None,
        metrics: WorkerMetrics::new(&Metrics::new()),
        command_limit: std::time::Duration::from_secs(2),
        stale_after: Duration::hours(7),
        admin_commands_without_mfa: false,
        mfa: None,
        kill_switch: arrakis_kill_switch::PlatformSwitch::default(),
        backups: None,
        approvals: arrakis_worker::approvals::Approvals::default(),
        status_page: None,
    }
}

fn invocation(command: &str, user: u64, options: &Value) -> Invocation {
    let person = |id: u64| {
        json!({"id": id.to_string(), "username": format!("member-{id}"), "discriminator": "0", "avatar": null,
               "global_name": null, "bot": false})
    };
    let joined = "2026-01-01T00:00:00.000000+00:00";
    let resolved = |option: &Value| {
        let id = option["value"].as_str().filter(|_| option["type"] == 6)?;
        Some((id.to_owned(), person(id.parse().unwrap())))
    };
    let users: serde_json::Map<String, Value> = options.as_array().unwrap().iter().filter_map(resolved).collect();
    let body = json!({
        "id": "1300000000000000000", "application_id": "1", "type": 2, "token": "token", "version": 1,
        "guild_id": "1", "locale": "en-GB", "guild_locale": "en-GB", "app_permissions": "0",
        "attachment_size_limit": 524_288, "entitlements": [], "authorizing_integration_owners": {},
        "data": {"id": "2", "name": command, "type": 1, "options": options, "resolved": {"users": users}},
        "member": {"user": person(user), "roles": [], "joined_at": joined, "deaf": false, "mute": false, "flags": 0,
                   "permissions": "0", "communication_disabled_until": null, "nick": null},
    });
    Invocation::read(body.to_string().as_bytes()).unwrap()
}
