//! What the eligibility sync stores: batches, the cursor, holdings, changes; and one transaction over several communities.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use arrakis_db::{
    Database, DbError, EventBatch, NewNotification, NotificationKind, ProfileStandard, SyncCursor, SyncRun,
    SyncedHolding, TokenEvent, TokenProfile,
};
use arrakis_domain::{Address, ChangeKind, LogPosition, Ranking, RankingDifference, U256, Zones};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
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
    let (found, cursor) = tx.begin_sync(&token(), run.run).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(found, profile(database).await);
    (run, cursor.next_block)
}

async fn cursor(database: &Database) -> SyncCursor {
    let mut tx = database.global().await.unwrap();
    tx.eligibility().sync_cursor(&token()).await.unwrap().unwrap()
}

/// Runs the steps of a rollback to its end; returns their number and the number of deleted events.
async fn roll_back(database: &Database, run: &SyncRun) -> (u32, u64) {
    let (mut steps, mut deleted) = (0, 0);
    loop {
        let mut tx = database.global().await.unwrap();
        let step = tx.roll_back_step(run).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        (steps, deleted) = (steps + 1, deleted + step.deleted);
        if step.is_done {
            return (steps, deleted);
        }
    }
}

/// Counts the holdings to the end; returns the number of steps.
async fn count_holdings(database: &Database, run: &SyncRun) -> u32 {
    for steps in 1.. {
        let mut tx = database.global().await.unwrap();
        let step = tx.count_holdings_step(run).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        if step.is_done {
            return steps;
        }
    }
    unreachable!("the steps end")
}

/// The holdings in order of the addresses.
async fn holdings(database: &Database) -> Vec<SyncedHolding> {
    let mut tx = database.global().await.unwrap();
    let mut holdings = tx.eligibility().synced_holdings(&token()).await.unwrap();
    holdings.sort_by_key(|holding| holding.address);
    holdings
}

/// The holdings of these claims and burns, counted without the database.
fn counted(claims: &[TokenEvent], burns: &[TokenEvent]) -> Vec<SyncedHolding> {
    let mut sums = BTreeMap::<Address, (i64, LogPosition)>::new();
    let signed = claims
        .iter()
        .map(|event| (event, 1))
        .chain(burns.iter().map(|event| (event, -1)));
    for (event, sign) in signed {
        let entry = sums.entry(event.address).or_default();
        entry.0 += sign * i64::try_from(event.amount).unwrap();
        let since = LogPosition {
            block: event.block_number,
            log_index: event.log_index,
        };
        entry.1 = entry.1.max(since);
    }
    sums.retain(|_, (sum, _)| *sum != 0);
    let holding = |(address, (sum, since)): (Address, (i64, LogPosition))| SyncedHolding {
        address,
        held: U256::from(sum.max(0)),
        is_overdrawn: sum < 0,
        since,
    };
    sums.into_iter().map(holding).collect()
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
    assert!(!tx.begin_roll_back(&first, 6, 1).await.unwrap());
    assert_eq!(tx.roll_back_step(&first).await.unwrap(), None);
    assert_eq!(tx.count_holdings_step(&first).await.unwrap(), None);
    assert!(!tx.set_sync_target(&first, 9).await.unwrap());
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
    let numbers = async |end| {
        let mut tx = database.global().await.unwrap();
        let blocks = tx.eligibility().stored_blocks(&token(), end).await.unwrap();
        blocks.into_iter().map(|block| block.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(9).await, [3, 6]);
    let mut tx = database.global().await.unwrap();
    assert!(tx.begin_roll_back(&run, 10, 4).await.unwrap());
    tx.commit().await.unwrap();
    // A process that ends here leaves a cursor that states what is to be deleted, and no logs are stored before that.
    assert_eq!(
        (cursor(&database).await.next_block, cursor(&database).await.roll_back_to),
        (4, Some(4))
    );
    assert!(!store(&database, &run, &batch(4..=4, vec![], vec![])).await);
    assert_eq!(roll_back(&database, &run).await, (1, 8));
    assert_eq!(numbers(100).await, [3]);
    assert_eq!(
        (cursor(&database).await.next_block, cursor(&database).await.roll_back_to),
        (4, None)
    );
    assert!(store(&database, &run, &batch(4..=4, vec![event(4, 0, 1, amount(2))], vec![])).await);
    let mut tx = database.global().await.unwrap();
    let holdings = tx.eligibility().synced_holdings(&token()).await.unwrap();
    let one = holdings.iter().find(|holding| holding.address == address(1)).unwrap();
    assert_eq!(one.held, amount(5));
}

/// Random batches and rollbacks: the kept holdings are always the sums of the stored events.
#[tokio::test]
async fn kept_holdings_equal_the_sums_of_the_events() {
    let (_test, database, _) = one_community().await;
    let (run, mut next) = begin(&database).await;
    let mut runner = TestRunner::deterministic();
    let (mut claims, mut burns) = (Vec::<TokenEvent>::new(), Vec::<TokenEvent>::new());
    let events = |runner: &mut TestRunner, blocks: RangeInclusive<u64>, first_log: u64| -> Vec<TokenEvent> {
        let wallets = proptest::collection::vec((1..8_u8, 0..5_u64), 0..3);
        let of_block = |block| {
            let wallets = wallets.new_tree(runner).unwrap().current();
            let logs = (first_log..).zip(wallets);
            let events = logs.map(move |(log, (wallet, raw))| event(block, log, wallet, amount(raw)));
            events.collect::<Vec<_>>()
        };
        blocks.flat_map(of_block).collect()
    };
    for _ in 0..40 {
        let (blocks, back) = (1..6_u64, 0..12_u64).new_tree(&mut runner).unwrap().current();
        let range = next..=next + blocks - 1;
        let more = (
            events(&mut runner, range.clone(), 0),
            events(&mut runner, range.clone(), 50),
        );
        assert!(store(&database, &run, &batch(range, more.0.clone(), more.1.clone())).await);
        claims.extend(more.0);
        burns.extend(more.1);
        next += blocks;
        if back % 3 == 0 {
            let to = next.saturating_sub(back).max(1);
            let mut tx = database.global().await.unwrap();
            assert!(tx.begin_roll_back(&run, next, to).await.unwrap());
            tx.commit().await.unwrap();
            roll_back(&database, &run).await;
            claims.retain(|event| event.block_number < to);
            burns.retain(|event| event.block_number < to);
            next = to;
        }
        assert_eq!(holdings(&database).await, counted(&claims, &burns));
        assert_eq!(cursor(&database).await.held_block, Some(next));
    }
    assert!(claims.len() > 40 && burns.len() > 40);
}

/// 45,000 events of 30 blocks: more than one step handles.
#[tokio::test]
async fn many_events_are_deleted_and_counted_in_steps() {
    let (test, database, _) = one_community().await;
    let (run, _) = begin(&database).await;
    let claims: Vec<_> = (1..=30_u64)
        .flat_map(|block| (0..1_500).map(move |log| event(block, log, u8::try_from(log % 200).unwrap(), amount(block))))
        .collect();
    for blocks in [1..=10, 11..=20, 21..=30] {
        let of_batch = claims.iter().filter(|event| blocks.contains(&event.block_number));
        assert!(
            store(
                &database,
                &run,
                &batch(blocks.clone(), of_batch.cloned().collect(), vec![])
            )
            .await
        );
    }
    let whole = counted(&claims, &[]);
    assert_eq!(holdings(&database).await, whole);
    // As after the migration of a database with events: nothing is counted.
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    for sql in [
        "update eligibility_sync_cursors set held_block = null",
        "delete from eligibility_holdings",
    ] {
        crate::fixtures::run(&mut owner, sql).await.unwrap();
    }
    assert!(count_holdings(&database, &run).await >= 3);
    assert_eq!(holdings(&database).await, whole);

    let mut tx = database.global().await.unwrap();
    assert!(tx.begin_roll_back(&run, 31, 2).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(roll_back(&database, &run).await, (3, 29 * 1_500));
    let first: Vec<_> = claims.iter().filter(|event| event.block_number == 1).cloned().collect();
    assert_eq!(holdings(&database).await, counted(&first, &[]));

    // A reset discards the rest.
    let mut tx = database.global().await.unwrap();
    tx.reset_sync(&profile(&database).await).await.unwrap();
    tx.commit().await.unwrap();
    let (run, next) = begin(&database).await;
    assert_eq!((next, roll_back(&database, &run).await), (1, (1, 1_500)));
    count_holdings(&database, &run).await;
    assert!(holdings(&database).await.is_empty());
    assert_eq!(cursor(&database).await.held_block, Some(1));
}

/// The previous build moves the cursor and leaves the new columns as they are.
#[tokio::test]
async fn writes_of_the_previous_build_are_counted_anew() {
    let (test, database, _) = one_community().await;
    let (run, _) = begin(&database).await;
    let claims: Vec<_> = (1..=9).map(|block| event(block, 0, 1, amount(block))).collect();
    assert!(store(&database, &run, &batch(1..=9, claims.clone(), vec![])).await);
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    // Its rollback.
    for sql in [
        "update eligibility_sync_cursors set next_block = 6",
        "delete from eligibility_claim_events where block_number >= 6",
    ] {
        crate::fixtures::run(&mut owner, sql).await.unwrap();
    }
    assert_eq!(cursor(&database).await.held_block, None);
    count_holdings(&database, &run).await;
    assert_eq!(holdings(&database).await, counted(&claims[..5], &[]));
    // Its batch while a rollback is not complete: it has deleted the events from there on before.
    let mut tx = database.global().await.unwrap();
    assert!(tx.begin_roll_back(&run, 6, 4).await.unwrap());
    tx.commit().await.unwrap();
    for sql in [
        "delete from eligibility_claim_events where block_number >= 4",
        "update eligibility_sync_cursors set next_block = 8",
    ] {
        crate::fixtures::run(&mut owner, sql).await.unwrap();
    }
    let left = cursor(&database).await;
    assert_eq!((left.roll_back_to, left.held_block), (None, None));
    count_holdings(&database, &run).await;
    assert_eq!(holdings(&database).await, counted(&claims[..3], &[]));
}

/// Events of the contract that was counted before: the previous build deletes from its first block on, and a second reset may begin
/// later than the first.
#[tokio::test]
async fn events_before_a_reset_are_not_counted_after_it() {
    for is_reset_twice in [true, false] {
        let (test, database, _) = one_community().await;
        let (run, _) = begin(&database).await;
        let claims: Vec<_> = (1..=9).map(|block| event(block, 0, 1, amount(block))).collect();
        assert!(store(&database, &run, &batch(1..=9, claims, vec![])).await);
        let mut owner = crate::fixtures::connect(&test.owner_url()).await;
        let first = "update eligibility_sync_cursors set run_id = gen_random_uuid(), roll_back_to = 0, next_block = 6";
        crate::fixtures::run(&mut owner, first).await.unwrap();
        let second = if is_reset_twice {
            "update eligibility_sync_cursors set run_id = gen_random_uuid(), roll_back_to = 0, next_block = 8"
        } else {
            // A batch of the previous build.
            "with deleted as (delete from eligibility_claim_events where block_number >= 6)
             update eligibility_sync_cursors set next_block = 8"
        };
        crate::fixtures::run(&mut owner, second).await.unwrap();
        let left = cursor(&database).await;
        if is_reset_twice {
            assert_eq!(left.roll_back_to, Some(0), "the old events are still to be deleted");
        } else {
            assert_eq!((left.roll_back_to, left.held_block), (None, None));
            let (run, _) = begin(&database).await;
            count_holdings(&database, &run).await;
            assert_eq!(holdings(&database).await, counted(&[], &[]));
        }
    }
}

#[tokio::test]
async fn change_of_a_profile_ends_a_run_that_has_begun_also_the_first() {
    let (test, database, _) = one_community().await;
    let stored = profile(&database).await;
    let other = TokenProfile {
        contract: address(9),
        ..stored.clone()
    };
    let mut first = database.global().await.unwrap();
    let run = SyncRun {
        profile: token(),
        run: Uuid::now_v7(),
    };
    // The profile is read before its change is committed; there was no cursor before.
    let (found, _) = first.begin_sync(&token(), run.run).await.unwrap().unwrap();
    assert_eq!(found, stored);
    let put = {
        let (database, other) = (database.clone(), other.clone());
        tokio::spawn(async move {
            let mut tx = database.global().await.unwrap();
            tx.eligibility().put_token_profile(&other).await.unwrap();
            tx.commit().await.unwrap();
        })
    };
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    let waits = "pg_locks where not granted and locktype = 'transactionid'";
    while crate::fixtures::count(&mut owner, waits).await == 0 {
        assert!(!put.is_finished(), "the change must wait for the run's cursor");
        tokio::task::yield_now().await;
    }
    first.commit().await.unwrap();
    put.await.unwrap();
    assert!(!store(&database, &run, &batch(1..=1, vec![], vec![])).await);
    let (_, next) = begin(&database).await;
    assert_eq!(next, 1);
}

#[tokio::test]
async fn corrupt_profile_is_replaced_by_another_one() {
    let (test, database, _) = one_community().await;
    let stored = profile(&database).await;
    let mut owner = crate::fixtures::connect(&test.owner_url()).await;
    let corrupt = "update token_profiles set standard = 'erc721', decimals = 0, claims_from = null, burns_to = null, token_ids = '{-1}'";
    crate::fixtures::run(&mut owner, corrupt).await.unwrap();
    let mut tx = database.global().await.unwrap();
    let error = tx.eligibility().token_profile(&token()).await.unwrap_err();
    assert!(matches!(error, DbError::Corrupt { .. }), "{error}");
    tx.eligibility().put_token_profile(&stored).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(profile(&database).await, stored);
    assert_eq!(cursor(&database).await.roll_back_to, Some(0));
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
