//! Imports of members from another tool.

use arrakis_db::{TenantTx, TierImport, TierImportCounts, TierImportState, UserId};
use arrakis_domain::{Address, TierId};
use time::{Duration, OffsetDateTime};

use crate::fixtures::{one_community, token, user};

const NOON: OffsetDateTime = time::macros::datetime!(2026-11-21 12:00 UTC);

fn tier(id: &str) -> TierId {
    TierId::new(id).unwrap()
}

fn import(id: u64, users: &[u64]) -> TierImport {
    TierImport {
        id,
        state: TierImportState::Previewed,
        source: "the role Holder".to_owned(),
        days: 14,
        members: users.iter().map(|id| (user(*id), tier("usul"))).collect(),
        created_by: user(1),
    }
}

/// The import with one more user.
fn super_set(import: &TierImport) -> TierImport {
    let mut other = import.clone();
    other.members.push((user(7), tier("usul")));
    other
}

/// Members 1 (a wallet), 2 (protected), 3 and 4; 5 has left.
async fn members(tx: &mut TenantTx) {
    for id in 1..=5 {
        tx.profiles()
            .join(user(id), "Member", NOON - Duration::DAY)
            .await
            .unwrap();
    }
    tx.profiles()
        .link_wallet(user(1), Some(Address::from_bytes([7; 20])))
        .await
        .unwrap();
    tx.profiles().set_protected(user(2), true).await.unwrap();
    tx.profiles().leave(user(5), NOON).await.unwrap();
}

async fn imported_tier(tx: &mut TenantTx, id: u64, now: OffsetDateTime) -> Option<TierId> {
    let input = tx
        .profiles()
        .evaluation_input(&token(), user(id), now, 0)
        .await
        .unwrap();
    input.unwrap().facts.imported_tier
}

fn ids(mut users: Vec<UserId>) -> Vec<u64> {
    users.sort_unstable();
    users.into_iter().map(UserId::get).collect()
}

#[tokio::test]
async fn import_is_previewed_applied_once_and_undone() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    members(&mut tx).await;
    let import = import(9, &[1, 2, 3, 4, 5, 6]);
    let users: Vec<UserId> = import.members.iter().map(|(user, _)| *user).collect();
    tx.tier_imports().preview(&super_set(&import)).await.unwrap();
    tx.tier_imports().preview(&import).await.unwrap();
    assert_eq!(tx.tier_imports().get(9).await.unwrap(), Some(import.clone()));
    assert_eq!(
        tx.tier_imports().counts(&users, NOON).await.unwrap(),
        TierImportCounts {
            fitting: 2,
            verified: 1,
            protected: 1,
            imported: 0,
            unknown: 2,
        }
    );

    assert_eq!(ids(tx.tier_imports().apply(&import, NOON).await.unwrap()), [3, 4]);
    assert!(tx.tier_imports().apply(&import, NOON).await.unwrap().is_empty());
    assert_eq!(tx.tier_imports().tiers_of(9).await.unwrap().len(), 2);
    assert_eq!(tx.tier_imports().counts(&users, NOON).await.unwrap().imported, 2);
    tx.tier_imports().preview(&super_set(&import)).await.unwrap();
    let applied = tx.tier_imports().get(9).await.unwrap().unwrap();
    assert_eq!(applied.members, import.members, "an applied import stays");

    assert_eq!(ids(tx.tier_imports().undo(9).await.unwrap()), [3, 4]);
    assert!(tx.tier_imports().undo(9).await.unwrap().is_empty());
    assert_eq!(tx.tier_imports().tiers_of(9).await.unwrap(), []);
    assert_eq!(
        tx.tier_imports().get(9).await.unwrap().unwrap().state,
        TierImportState::Undone
    );
}

#[tokio::test]
async fn imported_tier_counts_until_a_wallet_is_verified_or_it_ends() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    members(&mut tx).await;
    let import = import(9, &[3, 4]);
    tx.tier_imports().preview(&import).await.unwrap();
    tx.tier_imports().apply(&import, NOON).await.unwrap();
    assert_eq!(imported_tier(&mut tx, 3, NOON).await, Some(tier("usul")));
    assert_eq!(imported_tier(&mut tx, 3, NOON + Duration::days(14)).await, None);
    tx.profiles()
        .link_wallet(user(3), Some(Address::from_bytes([8; 20])))
        .await
        .unwrap();
    assert_eq!(imported_tier(&mut tx, 3, NOON).await, None);
    assert_eq!(imported_tier(&mut tx, 4, NOON).await, Some(tier("usul")));
}

#[tokio::test]
async fn later_import_replaces_an_ended_one_alone() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    members(&mut tx).await;
    let (first, second) = (import(9, &[3]), import(10, &[3, 4]));
    tx.tier_imports().preview(&first).await.unwrap();
    tx.tier_imports().preview(&second).await.unwrap();
    tx.tier_imports().apply(&first, NOON).await.unwrap();
    assert_eq!(ids(tx.tier_imports().apply(&second, NOON).await.unwrap()), [4]);
    let third = import(11, &[3]);
    tx.tier_imports().preview(&third).await.unwrap();
    let later = NOON + Duration::days(15);
    assert_eq!(ids(tx.tier_imports().apply(&third, later).await.unwrap()), [3]);
    assert_eq!(tx.tier_imports().tiers_of(9).await.unwrap(), []);
}

#[tokio::test]
async fn imported_tier_is_not_reached() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    members(&mut tx).await;
    let import = import(9, &[3]);
    tx.tier_imports().preview(&import).await.unwrap();
    tx.tier_imports().apply(&import, NOON).await.unwrap();
    let usul = tier("usul");
    assert!(
        tx.profiles()
            .record_tier(user(3), Some(&usul), None, NOON)
            .await
            .unwrap()
    );
    let profile = tx.profiles().by_user(user(3)).await.unwrap().unwrap();
    assert_eq!((profile.tier, profile.highest_tier), (Some(usul.clone()), None));
    let reached = async |tx: &mut TenantTx| {
        let input = tx
            .profiles()
            .evaluation_input(&token(), user(3), NOON, 0)
            .await
            .unwrap();
        input.unwrap().facts.reached.contains(&tier("usul"))
    };
    assert!(!reached(&mut tx).await);
    tx.profiles()
        .link_wallet(user(3), Some(Address::from_bytes([8; 20])))
        .await
        .unwrap();
    tx.profiles()
        .record_tier(user(3), Some(&usul), Some(&usul), NOON)
        .await
        .unwrap();
    assert!(reached(&mut tx).await);
}

#[tokio::test]
async fn only_imports_without_tiers_are_pruned() {
    let (_test, database, community) = one_community().await;
    let mut tx = database.tenant(community).await.unwrap();
    members(&mut tx).await;
    for id in 9..=11 {
        tx.tier_imports().preview(&import(id, &[3])).await.unwrap();
    }
    tx.tier_imports().apply(&import(9, &[3]), NOON).await.unwrap();
    tx.tier_imports().undo(9).await.unwrap();
    tx.tier_imports().apply(&import(10, &[3]), NOON).await.unwrap();
    let later = OffsetDateTime::now_utc() + Duration::DAY;
    assert_eq!(tx.tier_imports().prune(later).await.unwrap(), 2);
    assert!(tx.tier_imports().get(10).await.unwrap().is_some());
}
