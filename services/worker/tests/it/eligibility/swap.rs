//! What a new ranking leads to: changes, notification events, tier syncs, overrides.

use arrakis_contracts::JobKind;
use arrakis_db::{CommunityId, NewOverride, NotificationKind, UserId};
use arrakis_domain::{Address, ChangeKind, EntryThreshold, OverrideEffect, Rank, Zones};
use arrakis_test_support::eventually;
use arrakis_worker::jobs::eligibility_sync::SyncEnd;
use serde_json::json;
use time::OffsetDateTime;

use super::chain_in_memory::{MemoryChain, Move, ZERO};
use super::setup::{Setup, wallet};

fn mint(to: Address, amount: u64) -> Move {
    Move { from: ZERO, to, amount }
}

/// 120 wallets, wallet n on rank n.
async fn ranked() -> (Setup, MemoryChain) {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(50);
    for number in 1..=120 {
        chain.block(&[mint(wallet(number), 2_000 - 10 * number)]);
    }
    (setup, chain)
}

async fn jobs(setup: &Setup, community: CommunityId) -> Vec<serde_json::Value> {
    let later = OffsetDateTime::now_utc() + time::Duration::hours(1);
    let mut tx = setup.database.tenant(community).await.unwrap();
    let due = tx.jobs().due(later, later, 100).await.unwrap();
    assert!(due.iter().all(|job| job.kind == JobKind::TierSync.name()));
    due.into_iter().map(|job| job.payload).collect()
}

async fn notifications(setup: &Setup, community: CommunityId) -> Vec<(NotificationKind, Option<u64>)> {
    let mut tx = setup.database.tenant(community).await.unwrap();
    let events = tx.notifications().latest(1_000).await.unwrap();
    let mut found: Vec<_> = events
        .into_iter()
        .map(|found| (found.event.kind, found.event.user.map(UserId::get)))
        .collect();
    found.sort_by_key(|(kind, user)| (*user, kind.as_str()));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_ranking_syncs_all_members_and_notifies_no_member() {
    let (setup, chain) = ranked().await;
    let community = setup.community(1, &[(11, wallet(1))]).await;
    let summary = setup.complete(&chain).await;
    assert_eq!((summary.holders, summary.tier_syncs), (120, 1));
    assert_eq!(jobs(&setup, community).await, [json!({})]);
    assert_eq!(notifications(&setup, community).await, []);
    let mut tx = setup.database.global().await.unwrap();
    let (snapshot, block) = tx.eligibility().latest_snapshot(setup.token()).await.unwrap().unwrap();
    assert_eq!(block, 120);
    assert_eq!(
        tx.eligibility().ranking_changes(setup.token(), snapshot).await.unwrap(),
        []
    );
    let queue = JobKind::TierSync.queue();
    eventually(
        || async { setup.vhost.messages(&queue).await == 1 },
        "the message of the tier sync",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crossing_the_line_is_stored_and_notified_once() {
    let (setup, chain) = ranked().await;
    // Members on ranks 7, 8, 69, 70 and one without a change; a second community shares the profile; a third has another one.
    let members = [
        (7, wallet(7)),
        (8, wallet(8)),
        (69, wallet(69)),
        (70, wallet(70)),
        (1, wallet(1)),
    ];
    let community = setup.community(1, &members).await;
    let other = setup.community(2, &[(770, wallet(70))]).await;
    setup.complete(&chain).await;
    for id in [community, other] {
        let mut tx = setup.database.tenant(id).await.unwrap();
        for job in tx
            .jobs()
            .due(OffsetDateTime::now_utc(), OffsetDateTime::now_utc(), 100)
            .await
            .unwrap()
        {
            tx.jobs().start(&job.id, OffsetDateTime::now_utc()).await.unwrap();
            tx.jobs()
                .end(&job.id, 1, &arrakis_db::JobOutcome::Succeeded)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
    }
    // Wallet 70 passes 69, wallet 8 passes 7.
    chain.block(&[mint(wallet(70), 11)]);
    chain.block(&[mint(wallet(8), 11)]);
    let summary = setup.complete(&chain).await;
    assert_eq!((summary.changed, summary.tier_syncs), (4, 2));
    let mut tx = setup.database.global().await.unwrap();
    let (snapshot, _) = tx.eligibility().latest_snapshot(setup.token()).await.unwrap().unwrap();
    let mut changes = tx.eligibility().ranking_changes(setup.token(), snapshot).await.unwrap();
    changes.sort();
    let mut expected = vec![
        (wallet(70), ChangeKind::BecameEligible),
        (wallet(70), ChangeKind::LeftWaitlist),
        (wallet(69), ChangeKind::LostEligibility),
        (wallet(69), ChangeKind::EnteredWaitlist),
        (wallet(8), ChangeKind::PromotedToCouncil),
        (wallet(7), ChangeKind::DemotedFromCouncil),
    ];
    expected.sort();
    assert_eq!(changes, expected);
    drop(tx);
    use NotificationKind::{Rank as OfRank, Threshold, Zone};
    let wanted = [
        (Threshold, None),
        (OfRank, Some(7)),
        (Zone, Some(7)),
        (OfRank, Some(8)),
        (Zone, Some(8)),
        (OfRank, Some(69)),
        (Zone, Some(69)),
        (OfRank, Some(70)),
        (Zone, Some(70)),
    ];
    assert_eq!(notifications(&setup, community).await, wanted);
    assert_eq!(
        notifications(&setup, other).await,
        [(Threshold, None), (OfRank, Some(770)), (Zone, Some(770))]
    );
    assert_eq!(
        jobs(&setup, community).await,
        [json!({"users": ["7", "8", "69", "70"]})]
    );
    assert_eq!(jobs(&setup, other).await, [json!({"user": "770"})]);
    // The next sync has nothing to add.
    assert_eq!(setup.complete(&chain).await.changed, 0);
    assert_eq!(notifications(&setup, community).await, wanted);
    assert_eq!(jobs(&setup, community).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rank_without_a_change_of_tier_or_zone_needs_no_tier_sync() {
    let (setup, chain) = ranked().await;
    let community = setup.community(1, &[(20, wallet(20))]).await;
    setup.complete(&chain).await;
    let before = jobs(&setup, community).await.len();
    chain.block(&[mint(wallet(20), 11)]);
    let summary = setup.complete(&chain).await;
    assert_eq!((summary.changed, summary.tier_syncs), (2, 0));
    assert_eq!(jobs(&setup, community).await.len(), before);
    assert_eq!(
        notifications(&setup, community).await,
        [(NotificationKind::Rank, Some(20))]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_community_gets_events_and_no_tier_sync() {
    let (setup, chain) = ranked().await;
    let community = setup.community(1, &[(70, wallet(70))]).await;
    let mut tx = setup.database.tenant(community).await.unwrap();
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    setup.complete(&chain).await;
    chain.block(&[mint(wallet(70), 11)]);
    assert_eq!(setup.complete(&chain).await.tier_syncs, 0);
    assert_eq!(notifications(&setup, community).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overrides_apply_until_they_end() {
    let (setup, chain) = ranked().await;
    setup.complete(&chain).await;
    let now = OffsetDateTime::now_utc();
    let new = |address, effect, expires_at| NewOverride {
        address,
        effect,
        reason: "a test",
        created_by: "liet",
        expires_at,
    };
    let mut tx = setup.database.global().await.unwrap();
    let mut overrides = tx.eligibility();
    let token = setup.token();
    let ended = Some(now - time::Duration::hours(1));
    for new in [
        new(wallet(1), OverrideEffect::Remove, None),
        new(wallet(100), OverrideEffect::Add, Some(now + time::Duration::days(1))),
        new(wallet(5), OverrideEffect::Remove, ended),
    ] {
        assert!(
            overrides
                .add_override(token, &new, now - time::Duration::hours(2))
                .await
                .unwrap()
                .is_some()
        );
    }
    let second = new(wallet(1), OverrideEffect::Add, None);
    assert_eq!(overrides.add_override(token, &second, now).await.unwrap(), None);
    // The ended one does not prevent another.
    assert!(
        overrides
            .add_override(token, &new(wallet(5), OverrideEffect::Add, None), now)
            .await
            .unwrap()
            .is_some()
    );
    tx.commit().await.unwrap();
    setup.complete(&chain).await;
    let position = async |address: Address| {
        let ranked = setup.ranked().await;
        ranked
            .iter()
            .position(|(found, _)| *found == address)
            .map(|index| index + 1)
    };
    assert_eq!((position(wallet(1)).await, position(wallet(2)).await), (None, Some(1)));
    assert_eq!(
        (position(wallet(100)).await, position(wallet(70)).await),
        (Some(69), Some(70))
    );
    assert_eq!(position(wallet(5)).await, Some(4));
    // The added wallet holds less than the threshold, and the last wallet with its rank by holding sets it.
    let ranking = setup.ranking().await;
    let threshold = ranking.entry_threshold(Zones::STANDARD);
    assert_eq!(ranking.by_override().iter().copied().collect::<Vec<_>>(), [wallet(100)]);
    let holding_of_68 = ranking.wallets()[67].1;
    assert_eq!(threshold, EntryThreshold::Holding { balance: holding_of_68 });
    let mut tx = setup.database.global().await.unwrap();
    assert_eq!(
        tx.eligibility().entry_threshold(token, Zones::STANDARD).await.unwrap(),
        threshold
    );
    drop(tx);
    let zone = Zones::STANDARD.zone_of(Rank::new(69));
    assert!(zone.is_eligible());

    let mut tx = setup.database.global().await.unwrap();
    for address in [wallet(1), wallet(100)] {
        assert!(tx.eligibility().revoke_override(token, address, now).await.unwrap());
    }
    assert!(!tx.eligibility().revoke_override(token, wallet(77), now).await.unwrap());
    assert_eq!(tx.eligibility().overrides(token).await.unwrap().len(), 4);
    tx.commit().await.unwrap();
    assert!(matches!(setup.sync(&chain).run().await.unwrap(), SyncEnd::Complete(_)));
    assert_eq!(
        (position(wallet(1)).await, position(wallet(100)).await),
        (Some(1), Some(100))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_what_is_counted_reads_all_logs_again() {
    let (mut setup, chain) = ranked().await;
    setup.complete(&chain).await;
    assert_eq!(setup.next_block().await, 121);
    setup.profile.symbol = "NEW".to_owned();
    let put = async |setup: &Setup| {
        let mut tx = setup.database.global().await.unwrap();
        tx.eligibility().put_token_profile(&setup.profile).await.unwrap();
        tx.commit().await.unwrap();
    };
    put(&setup).await;
    assert_eq!(setup.next_block().await, 121);
    setup.profile.start_block = 50;
    put(&setup).await;
    assert_eq!(setup.next_block().await, 50);
    // The ranking stays until the next sync; the balances of the best are compared with the chain.
    assert_eq!(setup.ranked().await.len(), 120);
    setup.complete(&chain).await;
    assert_eq!(setup.ranked().await.len(), 71);
}
