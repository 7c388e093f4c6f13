//! The seed writes the same members to Postgres and to the emulator, each with the roles of their tier.

use arrakis_config::Secret;
use arrakis_db::{CommunityId, UserId};
use arrakis_domain::{Address, Balance};
use loadtests::platform::{Chain, Platform};
use loadtests::seed::{self, Plan, RankingSource, TOKEN_PROFILE};

#[tokio::test]
async fn members_are_in_postgres_and_emulator_with_the_roles_of_their_tier() {
    arrakis_runtime::install_crypto_provider();
    let platform = Platform::prepare().await.unwrap();
    let admin_url = Secret::new(platform.database().admin_url());
    let plan = seed::run(&platform.discord, &admin_url, 1).await.unwrap();

    let tabr = &plan.servers[0];
    let themes = arrakis_themes::Registry::load(None).unwrap();
    let theme = themes.theme("sietch").unwrap();
    let database = platform.database().database().await;
    let community = tabr.community.as_ref().unwrap();
    let mut tx = database.tenant(CommunityId::from_uuid(community.id)).await.unwrap();
    for member in tabr.members.iter().step_by(17) {
        let profile = tx
            .profiles()
            .by_user(UserId::new(member.user).unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(profile.wallet.is_some(), member.holder.is_some(), "{}", member.name);
        let found = platform.discord.member(tabr.guild, member.user).await.unwrap().unwrap();
        if let Some(tier) = profile.tier {
            let role = seed::role_of_tier(theme, tabr.guild, tier.as_str())
                .unwrap()
                .to_string();
            assert!(found.roles.contains(&role), "{} has no role of {tier}", member.name);
        }
    }
    let numbers = tx.profiles().counts().await.unwrap();
    assert_eq!(numbers.members as usize, tabr.members.len());
    tx.rollback().await.unwrap();

    let servers = platform.discord.guilds().await.unwrap();
    assert_eq!(servers.len(), plan.servers.len());
    platform.stop().await;
}

/// The stored ranking, best rank first.
async fn ranking(platform: &Platform) -> Vec<(Address, Balance)> {
    let database = platform.database().database().await;
    let mut tx = database.global().await.unwrap();
    let ranking = tx.eligibility().ranking(&TOKEN_PROFILE.parse().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    ranking.wallets().to_vec()
}

/// Writes profile and holdings for a chain, and starts a worker that reads it.
async fn start_on(platform: &mut Platform, chain: &Chain, plan: &Plan) {
    let admin_url = Secret::new(platform.database().admin_url());
    let source = RankingSource::LocalChain(chain);
    seed::write_ranking(&admin_url, plan, source).await.unwrap();
    platform.read_chain(chain.rpc_urls());
    platform.start_worker().await.unwrap();
}

#[tokio::test]
async fn sync_of_a_seeded_chain_gives_the_ranking_of_the_plan() {
    arrakis_runtime::install_crypto_provider();
    let plan = Plan::new(1);
    let mut platform = Platform::prepare().await.unwrap();
    platform.start_proxy().await.unwrap();
    let chain = Chain::start().await.unwrap();
    start_on(&mut platform, &chain, &plan).await;
    platform.sync(TOKEN_PROFILE).await.unwrap();
    assert_eq!(ranking(&platform).await, plan.holdings());
    platform.stop().await;
}

#[tokio::test]
async fn chain_of_another_database_begins_anew() {
    arrakis_runtime::install_crypto_provider();
    let plan = Plan::new(1);
    let mut platform = Platform::prepare().await.unwrap();
    platform.start_proxy().await.unwrap();
    let chain = Chain::start().await.unwrap();
    start_on(&mut platform, &chain, &plan).await;
    let first = &plan.holders[0];
    chain.claim(first.address, Balance::from_tokens(1)).await;
    platform.sync(TOKEN_PROFILE).await.unwrap();
    let held = ranking(&platform).await[0].1;
    assert_eq!(held, first.held.checked_add(Balance::from_tokens(1)).unwrap());
    platform.kill_workers().await;

    // The same chain and database: both stay.
    let chain = Chain::open(chain.url()).await.unwrap();
    start_on(&mut platform, &chain, &plan).await;
    assert_eq!(chain.holding(first.address).await, held);
    platform.kill_workers().await;

    // Another chain, with the same history in other blocks.
    let other = Chain::start().await.unwrap();
    other.anvil().mine(1).await;
    other.seed_history(&plan.holdings()).await;
    let other = Chain::open(other.url()).await.unwrap();
    start_on(&mut platform, &other, &plan).await;
    platform.sync(TOKEN_PROFILE).await.unwrap();
    assert_eq!(ranking(&platform).await, plan.holdings());
    platform.stop().await;
}
