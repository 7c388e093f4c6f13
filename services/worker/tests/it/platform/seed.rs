//! The seed of a test: an onboarded server with members of several tiers, and a server that is not onboarded.

use std::collections::BTreeMap;

use arrakis_db::{CommunityId, Database, GuildId, NewCommunity, TokenProfile, TokenProfileId, UserId};
use arrakis_domain::{Address, Balance, Plan, RoleId, Theme};
use arrakis_emulator_client::SeedRequest;
use arrakis_themes::Registry;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Control;

/// Wallets without a member that rank between the first member and the others, so that those are below rank 69.
const OTHER_WALLETS: u32 = 80;

/// Members with a wallet, its balance, and the resulting tier.
pub const HOLDERS: [(&str, &str, Option<&str>); 4] = [
    ("chani", "9000", Some("naib")),
    ("stilgar", "1500", Some("usul")),
    ("jamis", "69", Some("ichwan")),
    ("liet", "6.8", None),
];

/// The onboarded community with the ids of its parts.
pub struct Community {
    pub id: CommunityId,
    pub guild: String,
    pub channel: String,
    /// Discord roles by the theme's key.
    pub roles: BTreeMap<String, String>,
    /// Users by name.
    pub users: BTreeMap<String, String>,
    /// A server that is not onboarded, and its channel.
    pub other_guild: String,
    pub other_channel: String,
}

impl Community {
    pub fn user(&self, name: &str) -> &str {
        &self.users[name]
    }

    pub fn user_id(&self, name: &str) -> UserId {
        self.users[name].parse().unwrap()
    }

    /// The theme's keys of those of the roles that belong to it.
    pub fn keys(&self, roles: &Value) -> Vec<&str> {
        let ids: Vec<_> = roles
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        let ours = self.roles.iter().filter(|(_, id)| ids.contains(&id.as_str()));
        ours.map(|(key, _)| key.as_str()).collect()
    }
}

pub async fn community(control: &Control, database: &Database) -> Community {
    let theme = Registry::load(None).unwrap().theme("sietch").unwrap().clone();
    let made = server(control, &theme).await;
    let guild = made["guild_id"].as_str().unwrap().to_owned();
    let named = |kind: &str| -> BTreeMap<String, String> { serde_json::from_value(made[kind].clone()).unwrap() };
    let (by_name, users) = (named("roles"), named("members"));
    let automatic = theme.roles.iter().filter(|role| role.given_to.is_automatic());
    let roles: BTreeMap<_, _> = automatic
        .map(|role| (role.key.to_string(), by_name[&role.name].clone()))
        .collect();
    let guild_description =
        json!({"name": "Not onboarded", "channels": [{"name": "lobby"}], "members": [{"name": "stranger"}]});
    let request = SeedRequest::Server {
        guild: guild_description,
    };
    let stranger = control.seed(&request).await.unwrap()["guild"].clone();
    let mut community = Community {
        id: CommunityId::new(),
        guild,
        channel: named("channels")["general"].clone(),
        roles,
        users,
        other_guild: stranger["guild_id"].as_str().unwrap().to_owned(),
        other_channel: stranger["channels"]["lobby"].as_str().unwrap().to_owned(),
    };
    let stranger_user = stranger["members"]["stranger"].as_str().unwrap().to_owned();
    community.users.insert("stranger".to_owned(), stranger_user);
    rows(database, &community, &theme).await;
    community
}

/// Writes the same rows to another database, as a copy has them.
pub async fn copy(database: &Database, community: &Community) {
    let theme = Registry::load(None).unwrap().theme("sietch").unwrap().clone();
    rows(database, community, &theme).await;
}

async fn server(control: &Control, theme: &Theme) -> Value {
    let roles = theme.roles.iter().filter(|role| role.given_to.is_automatic());
    let roles: Vec<_> = roles.map(|role| json!({"name": role.name})).collect();
    let members: Vec<_> = HOLDERS
        .iter()
        .map(|(name, ..)| json!({"name": name, "joined_days_ago": 10}))
        .collect();
    let mut members = members;
    members.push(json!({"name": "harah", "joined_days_ago": 5}));
    let guild = json!({"name": "Sietch Tabr", "roles": roles, "members": members, "channels": [{"name": "general"}]});
    control.seed(&SeedRequest::Server { guild }).await.unwrap()["guild"].clone()
}

async fn rows(database: &Database, community: &Community, theme: &Theme) {
    let token = TokenProfileId::new("bgt").unwrap();
    let now = OffsetDateTime::now_utc();
    let mut tx = database.global().await.unwrap();
    let profile = TokenProfile {
        id: token.clone(),
        name: "BGT".to_owned(),
        symbol: "BGT".to_owned(),
        standard: arrakis_db::ProfileStandard::Erc20,
        chain_id: 80094,
        contract: address(9_999),
        decimals: 18,
        claims_from: None,
        burns_to: None,
        token_ids: Vec::new(),
        start_block: 0,
    };
    tx.eligibility().put_token_profile(&profile).await.unwrap();
    tx.replace_ranking(&token, &ranking(), 1, now).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = database.tenant(community.id).await.unwrap();
    let new = NewCommunity {
        guild: GuildId::new(community.guild.parse().unwrap()).unwrap(),
        name: "Sietch Tabr".to_owned(),
        theme: theme.id.clone(),
        theme_plan: theme.plan,
        rule_set: theme.default_rules.clone(),
        plan: Plan::Premium,
        token_profile: token,
    };
    tx.communities().create(&new).await.unwrap();
    for (key, id) in &community.roles {
        let role = RoleId(id.parse().unwrap());
        tx.communities().bind_role(&key.parse().unwrap(), role).await.unwrap();
    }
    let joined = now - time::Duration::days(10);
    for (index, (name, ..)) in HOLDERS.iter().enumerate() {
        let user = community.user_id(name);
        tx.profiles().join(user, name, joined).await.unwrap();
        tx.profiles().link_wallet(user, Some(wallet(index))).await.unwrap();
    }
    tx.profiles()
        .join(community.user_id("harah"), "harah", joined)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// The wallet of a holder, by index in [`HOLDERS`].
fn wallet(index: usize) -> Address {
    address(1_000 + u32::try_from(index).unwrap())
}

fn address(number: u32) -> Address {
    format!("0x{number:040x}").parse().unwrap()
}

/// The ranking: Chani first, the other wallets with 5,000 and less, then the other members.
fn ranking() -> Vec<(Address, Balance)> {
    let mut holdings: Vec<(Address, Balance)> = (0..OTHER_WALLETS)
        .map(|n| (address(n + 1), Balance::from_tokens(u64::from(5_000 - n))))
        .collect();
    holdings.extend(
        HOLDERS
            .iter()
            .enumerate()
            .map(|(index, (_, held, _))| (wallet(index), held.parse().unwrap())),
    );
    holdings.sort_by(|(_, a), (_, b)| b.cmp(a));
    holdings
}
