//! A server is torn down and recovered by gaib while the whole platform runs: export, checkpoint, apply, restore. Compared is what the
//! emulator has, by names: ids differ.

use std::collections::BTreeSet;
use std::time::Duration;

use arrakis_config::Secret;
use loadtests::platform::{Platform, PlatformServices, ServerView};
use loadtests::seed;

/// 241 members get their roles at ten changes a second. The first attempt may be made before the proxy applies the end of the freeze;
/// the second one follows after 5 s.
const ROLES_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn torn_down_server_is_recovered_with_the_tier_roles_of_its_members() {
    arrakis_runtime::install_crypto_provider();
    let services = PlatformServices::of_the_environment().await;
    let mut platform = Platform::prepare_on(services, &["--rate-limits", "off"]).await.unwrap();
    let admin_url = Secret::new(platform.database().admin_url());
    let plan = seed::run(&platform.discord, &admin_url, 1).await.unwrap();
    platform.start().await.unwrap();
    platform.start_api().await.unwrap();
    let tabr = &plan.servers[0];
    let mut gaib = platform.gaib().unwrap();
    platform.connect_gaib(&mut gaib, tabr.guild).await.unwrap();
    let view = async || ServerView::read(&platform.discord, tabr.guild).await.unwrap();
    let before = view().await;

    let torn_down = gaib.tear_down(tabr.guild, tabr.name).await.unwrap();
    let empty = view().await;
    assert_eq!((empty.roles.len(), empty.channels.len()), (2, 0), "{empty:?}");
    let has_no_role = |roles: &BTreeSet<String>| {
        roles
            .iter()
            .all(|role| empty.roles.iter().any(|kept| kept.contains(role)))
    };
    assert!(empty.members.values().all(has_no_role), "{empty:?}");

    gaib.apply_export(&torn_down).await.unwrap();
    gaib.restore_checkpoint(&torn_down).await.unwrap();
    let recovered = platform
        .discord
        .until_within(ROLES_WITHIN, "the members' roles", async || {
            Ok((view().await == before).then_some(()))
        })
        .await;
    if recovered.is_err() {
        assert_eq!(view().await, before);
    }
    platform.stop().await;
}
