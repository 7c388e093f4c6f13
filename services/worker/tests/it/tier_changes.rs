//! From a new ranking to the member's roles: promotion, demotion, and each side of a boundary, by the rank and by the holding.

use arrakis_db::TokenProfileId;
use arrakis_domain::{Address, Balance};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_themes::Registry;
use arrakis_worker::jobs::{self, tier_sync};
use time::OffsetDateTime;
use twilight_model::id::Id;

use crate::platform::Platform;

/// A wallet that no member has.
fn foreign(number: u32) -> Address {
    let mut bytes = [0xee; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Address::from_bytes(bytes)
}

/// Replaces the ranking by one in which the member's wallet has this rank and holding, and syncs the member. Wallets above hold more, or as
/// much and had it earlier.
async fn place(platform: &Platform, name: &str, (rank, held): (u32, &str)) {
    let user = platform.community.user_id(name);
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap();
    let wallet = profile.unwrap().wallet.unwrap();
    let held: Balance = held.parse().unwrap();
    let above = held.max(Balance::from_tokens(2_000));
    let mut ranking: Vec<(Address, Balance)> = (1..rank).map(|number| (foreign(number), above)).collect();
    ranking.push((wallet, held));
    let (token, now) = (TokenProfileId::new("bgt").unwrap(), OffsetDateTime::now_utc());
    let mut tx = platform.database.global().await.unwrap();
    tx.replace_ranking(&token, &ranking, 2, now).await.unwrap();
    tx.commit().await.unwrap();
    let id = format!("tier-sync:test:{name}:{rank}:{held}");
    let request = tier_sync::for_member(id, Id::new(user.get()));
    let services = platform.services(&Metrics::new());
    assert!(jobs::enqueue(&services, platform.community.id, &request).await.unwrap());
}

/// Waits until the member has the role of this tier, or of none with `None`, and of no other tier.
async fn until_tier(platform: &Platform, name: &str, tier: Option<&str>) {
    let registry = Registry::load(None).unwrap();
    let tiers = &registry.theme("sietch").unwrap().tiers;
    let wanted: Vec<&str> = tier.into_iter().collect();
    let is_held = async || {
        let member = platform.control.member(&platform.community, name).await;
        let roles = platform.community.keys(&member["roles"]);
        let of_tiers = tiers.iter().map(|tier| tier.id.as_str());
        let held: Vec<&str> = of_tiers.filter(|tier| roles.contains(tier)).collect();
        held == wanted
    };
    eventually(is_held, format!("{name} to have the tier role {tier:?}")).await;
}

async fn until_former(platform: &Platform, name: &str, is_former: bool) {
    let is_as_wanted = async || {
        let member = platform.control.member(&platform.community, name).await;
        platform.community.keys(&member["roles"]).contains(&"former-naib") == is_former
    };
    eventually(is_as_wanted, format!("{name} is a former Naib: {is_former}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_role_follows_the_holding_on_each_side_of_a_boundary() {
    let (platform, _worker) = Platform::with_worker().await;
    // The first reconcile is over.
    until_tier(&platform, "jamis", Some("ichwan")).await;
    for (held, tier) in [
        ("68.999999999999999999", Some("hajra")),
        ("69", Some("ichwan")),
        ("1111", Some("usul")),
        ("1110.999999999999999999", Some("sayyadina")),
        ("6.899999999999999999", None),
    ] {
        place(&platform, "jamis", (81, held)).await;
        until_tier(&platform, "jamis", tier).await;
    }
    let user = platform.community.user_id("jamis");
    let profile = platform.tenant().await.profiles().by_user(user).await.unwrap().unwrap();
    let highest = profile.highest_tier.map(|tier| tier.to_string());
    assert_eq!((profile.tier, highest.as_deref()), (None, Some("usul")));
}

/// The rank decides before the holding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_role_follows_the_rank_and_a_demoted_naib_is_a_former_one() {
    let (platform, _worker) = Platform::with_worker().await;
    until_tier(&platform, "chani", Some("naib")).await;
    for (rank, held, tier) in [
        (7, "1", "naib"),
        (8, "1500", "fedaykin"),
        (69, "0.5", "fedaykin"),
        (70, "1500", "usul"),
        (70, "420", "sihaya"),
    ] {
        place(&platform, "chani", (rank, held)).await;
        until_tier(&platform, "chani", Some(tier)).await;
        until_former(&platform, "chani", tier != "naib").await;
    }
    place(&platform, "chani", (1, "9000")).await;
    until_tier(&platform, "chani", Some("naib")).await;
    until_former(&platform, "chani", false).await;
}
