//! The seed writes the same members to Postgres and to the emulator, each with the roles of their tier.

use arrakis_config::Secret;
use arrakis_db::{CommunityId, UserId};
use loadtests::platform::Platform;
use loadtests::seed;

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
