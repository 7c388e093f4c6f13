//! What the eligibility sync stores: batches, the cursor, holdings, changes; and one transaction over several communities.

use std::ops::RangeInclusive;

use arrakis_db::{
    Database, EventBatch, NewNotification, NotificationKind, ProfileStandard, StoredBlock, SyncRun, TokenEvent,
    TokenProfile,
};
use arrakis_domain::{Address, ChangeKind, LogPosition, Ranking, RankingDifference, U256, Zones};
use serde_json::json;
use time::macros::datetime;
use uuid::Uuid;

use crate::fixtures::{onboard, one_community, token, user};

fn address(number: u8) -> Address {
    Address::from_bytes([number; 20])
}

fn event(block: u64, log_index: u64, wallet: u8, amount: U256) -> TokenEvent {
    TokenEvent {
        block_number: block,
        block_hash: [9; 32],
        log_index,
        transaction_hash: [8; 32],
        address: address(wallet),
        amount,
    }
}

fn batch(blocks: RangeInclusive<u64>, claims: Vec<TokenEvent>, burns: Vec<TokenEvent>) -> EventBatch {
    let mut end_hash = [0; 32];
    end_hash[..8].copy_from_slice(&blocks.end().to_be_bytes());
    EventBatch {
        blocks,
        end_hash,
        claims,
        burns,
    }
}

async fn profile(database: &Database) -> TokenProfile {
    let mut tx = database.global().await.unwrap();
    tx.eligibility().token_profile(&token()).await.unwrap().unwrap()
}

async fn begin(database: &Database) -> (SyncRun, u64) {
    let run = SyncRun {
        profile: token(),
        run: Uuid::now_v7(),
    };
    let mut tx = database.global().await.unwrap();
    let next = tx.begin_sync(&profile(database).await, run.run).await.unwrap();
    tx.commit().await.unwrap();
    (run, next)
}

async fn store(database: &Database, run: &SyncRun, batch: &EventBatch) -> bool {
    let mut tx = database.global().await.unwrap();
    let stored = tx.store_event_batch(run, batch).await.unwrap();
    tx.commit().await.unwrap();
    stored
}

fn amount(number: u64) -> U256 {
    U256::from(number)
}

#[tokio::test]
async fn only_the_run_that_began_last_writes() {
    let (_test, database, _) = one_community().await;
    // The profile's first block is 1.
    let (first, next) = begin(&database).await;
    assert_eq!(next, 1);
    assert!(
        store(
            &database,
            &first,
            &batch(1..=5, vec![event(2, 0, 1, amount(5))], vec![])
        )
        .await
    );
    let (second, next) = begin(&database).await;
    assert_eq!(next, 6);
    assert!(!store(&database, &first, &batch(6..=7, vec![], vec![])).await);
    let mut tx = database.global().await.unwrap();
    assert_eq!(tx.roll_back_sync(&first, 6, 1).await.unwrap(), None);
    assert!(!tx.move_sync_cursor(&first, 6, 6).await.unwrap());
    drop(tx);
    // Of the same batch, only one is stored.
    let both = batch(6..=7, vec![event(6, 0, 1, amount(1))], vec![]);
    assert!(store(&database, &second, &both).await);
    assert!(!store(&database, &second, &both).await);
    let mut tx = database.global().await.unwrap();
    let holdings = tx.eligibility().synced_holdings(&token()).await.unwrap();
    assert_eq!(holdings[0].held, amount(6));
}

#[tokio::test]
async fn holdings_are_exact_and_have_their_last_change() {
    let (_test, database, _) = one_community().await;
    let (run, _) = begin(&database).await;
    let claims = vec![
        event(1, 0, 1, U256::MAX),
        event(3, 7, 2, amount(10)),
        event(2, 9, 3, amount(4)),
        event(4, 0, 4, amount(1)),
    ];
    let burns = vec![
        event(3, 8, 1, U256::MAX - amount(1)),
        event(2, 1, 2, amount(3)),
        event(4, 1, 3, amount(4)),
        event(5, 0, 4, amount(3)),
    ];
    assert!(store(&database, &run, &batch(1..=9, claims, burns)).await);
    let mut tx = database.global().await.unwrap();
    let mut holdings = tx.eligibility().synced_holdings(&token()).await.unwrap();
    holdings.sort_by_key(|holding| holding.address);
    let found: Vec<_> = holdings
        .iter()
        .map(|found| {
            (
                found.address,
                found.held,
                found.is_overdrawn,
                found.since.block,
                found.since.log_index,
            )
        })
        .collect();
    // Wallet 3 holds nothing.
    assert_eq!(
        found,
        [
            (address(1), amount(1), false, 3, 8),
            (address(2), amount(7), false, 3, 7),
            (address(4), amount(0), true, 5, 0),
        ]
    );
    assert!(
        LogPosition {
            block: 2,
            log_index: 900
        } < LogPosition { block: 3, log_index: 0 }
    );
}

#[tokio::test]
async fn roll_back_deletes_events_and_blocks_and_moves_the_cursor() {
    let (_test, database, _) = one_community().await;
    let (run, _) = begin(&database).await;
    for blocks in [1..=3, 4..=6, 7..=9] {
        let claims = blocks.clone().map(|block| event(block, 0, 1, amount(1))).collect();
        let burns = vec![event(*blocks.start(), 5, 2, amount(1))];
        assert!(store(&database, &run, &batch(blocks, claims, burns)).await);
    }
    let mut tx = database.global().await.unwrap();
    let last = tx.eligibility().stored_block(&token(), 8).await.unwrap().unwrap();
    assert_eq!(last.number, 6);
    assert_eq!(tx.roll_back_sync(&run, 10, 4).await.unwrap(), Some(8));
    let last: Option<StoredBlock> = tx.eligibility().stored_block(&token(), 100).await.unwrap();
    assert_eq!(last.unwrap().number, 3);
    assert_eq!(
        tx.eligibility()
            .sync_cursor(&token())
            .await
            .unwrap()
            .unwrap()
            .next_block,
        4
    );
    tx.commit().await.unwrap();
    assert!(store(&database, &run, &batch(4..=4, vec![event(4, 0, 1, amount(2))], vec![])).await);
    let mut tx = database.global().await.unwrap();
    let holdings = tx.eligibility().synced_holdings(&token()).await.unwrap();
    let one = holdings.iter().find(|holding| holding.address == address(1)).unwrap();
    assert_eq!(one.held, amount(5));
}

#[tokio::test]
async fn profiles_of_each_standard_round_trip_and_inconsistent_ones_are_refused() {
    let (_test, database, _) = one_community().await;
    let bgt = profile(&database).await;
    assert_eq!(bgt.standard, ProfileStandard::Bgt);
    let mut tx = database.global().await.unwrap();
    let nft = TokenProfile {
        id: "nft".parse().unwrap(),
        standard: ProfileStandard::Erc721,
        decimals: 0,
        claims_from: None,
        burns_to: None,
        token_ids: vec![U256::ZERO, U256::MAX],
        ..bgt.clone()
    };
    assert_eq!(nft.problem(), None);
    tx.eligibility().put_token_profile(&nft).await.unwrap();
    assert_eq!(
        tx.eligibility().token_profiles().await.unwrap(),
        [bgt.clone(), nft.clone()]
    );
    tx.commit().await.unwrap();
    for wrong in [
        TokenProfile {
            decimals: 18,
            ..nft.clone()
        },
        TokenProfile {
            claims_from: bgt.claims_from,
            ..nft.clone()
        },
        TokenProfile {
            claims_from: None,
            ..bgt.clone()
        },
        TokenProfile {
            token_ids: vec![U256::from(1)],
            ..bgt.clone()
        },
    ] {
        assert!(wrong.problem().is_some());
        let mut tx = database.global().await.unwrap();
        tx.eligibility().put_token_profile(&wrong).await.unwrap_err();
    }
}

#[tokio::test]
async fn row_of_the_previous_build_has_a_standard() {
    let (test, database, _) = one_community().await;
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    crate::fixtures::run(&mut owner, "update token_profiles set standard = null")
        .await
        .unwrap();
    assert_eq!(profile(&database).await.standard, ProfileStandard::Bgt);
    crate::fixtures::run(
        &mut owner,
        "update token_profiles set claims_from = null, burns_to = null",
    )
    .await
    .unwrap();
    assert_eq!(profile(&database).await.standard, ProfileStandard::Erc20);
}

#[tokio::test]
async fn one_transaction_writes_several_communities_and_commits_or_not() {
    let (_test, database, one) = one_community().await;
    let two = onboard(&database, 200).await;
    for community in [one, two] {
        let mut tx = database.tenant(community).await.unwrap();
        tx.profiles()
            .join(user(5), "Chani", datetime!(2026-11-21 12:00 UTC))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let event = |id: &str| NewNotification {
        id: id.to_owned(),
        kind: NotificationKind::Rank,
        user: Some(user(5)),
        payload: json!({"rank": 1}),
    };
    let write = async || {
        let mut tx = database.global().await.unwrap();
        tx.replace_ranking(&token(), &[], 3, datetime!(2026-11-21 12:00 UTC))
            .await
            .unwrap();
        let mut tx = tx.enter(one).await.unwrap();
        assert_eq!(tx.notifications().add(&[event("a"), event("b")]).await.unwrap(), 2);
        let mut tx = tx.enter(two).await.unwrap();
        assert_eq!(tx.community_id(), two);
        // The rows of the first community are not visible any more.
        assert_eq!(tx.notifications().latest(10).await.unwrap().len(), 0);
        assert_eq!(tx.notifications().add(&[event("a")]).await.unwrap(), 1);
        tx
    };
    let count = async |community| {
        let mut tx = database.tenant(community).await.unwrap();
        tx.notifications().latest(10).await.unwrap().len()
    };
    write().await.rollback().await.unwrap();
    assert_eq!((count(one).await, count(two).await), (0, 0));
    write().await.commit().await.unwrap();
    assert_eq!((count(one).await, count(two).await), (2, 1));
    // The same event again is not added.
    let mut tx = database.tenant(one).await.unwrap();
    assert_eq!(tx.notifications().add(&[event("a"), event("c")]).await.unwrap(), 1);
    assert_eq!(
        tx.notifications().prune(datetime!(2126-11-21 12:00 UTC)).await.unwrap(),
        3
    );
}

#[tokio::test]
async fn changes_are_deleted_with_their_snapshot() {
    let (test, database, _) = one_community().await;
    let held = |tokens: u64| arrakis_domain::Balance::from_tokens(tokens);
    let before = Ranking::of_ordered(vec![(address(1), held(9)), (address(2), held(8))]);
    let after = Ranking::of_ordered(vec![(address(2), held(9)), (address(3), held(1))]);
    let zones = Zones::STANDARD;
    let difference = RankingDifference::between(&before, &after, zones);
    let mut tx = database.global().await.unwrap();
    let at = datetime!(2026-11-21 12:00 UTC);
    let snapshot = tx.replace_ranking(&token(), after.wallets(), 3, at).await.unwrap();
    tx.store_ranking_changes(&token(), snapshot, &difference.changes, zones)
        .await
        .unwrap();
    let found = tx.eligibility().ranking_changes(&token(), snapshot).await.unwrap();
    assert!(found.contains(&(address(1), ChangeKind::Removed)) && found.contains(&(address(3), ChangeKind::Added)));
    assert!(
        !found.iter().any(|(wallet, _)| *wallet == address(2)),
        "it stayed on the council"
    );
    assert_eq!(tx.eligibility().ranking(&token()).await.unwrap(), after);
    // The latest snapshot stays.
    assert_eq!(
        tx.prune_snapshots(&token(), at + time::Duration::days(1))
            .await
            .unwrap(),
        0
    );
    tx.replace_ranking(&token(), after.wallets(), 4, at + time::Duration::days(2))
        .await
        .unwrap();
    assert_eq!(
        tx.prune_snapshots(&token(), at + time::Duration::days(1))
            .await
            .unwrap(),
        1
    );
    tx.commit().await.unwrap();
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    assert_eq!(crate::fixtures::count(&mut owner, "eligibility_changes").await, 0);
}
