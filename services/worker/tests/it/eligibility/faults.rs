//! Interrupted, repeated and concurrent syncs, reorganisations, and faults of endpoints, on a chain in memory.

use std::time::Duration;

use arrakis_db::{JobOutcome, JobStart, SyncRun, TokenProfile};
use arrakis_domain::{Address, U256, scale_to_balance};
use arrakis_worker::jobs::eligibility_sync::{self, ProfileSync, SyncEnd, SyncError};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use time::OffsetDateTime;

use super::chain_in_memory::{Faults, MemoryChain, Move, SecondEndpoint, ZERO};
use super::setup::{Setup, wallet};

/// Random transfers that are possible: nobody sends more than there is.
fn random_moves(runner: &mut TestRunner, count: usize) -> Vec<Move> {
    let step = (0..14_u64, 0..14_u64, 0..6_u64);
    let steps = proptest::collection::vec(step, count)
        .new_tree(runner)
        .unwrap()
        .current();
    let mut held = std::collections::BTreeMap::<u64, u64>::new();
    let address = |number: u64| if number == 0 { ZERO } else { wallet(number) };
    let mut moves = Vec::new();
    for (from, to, amount) in steps {
        let from = if held.get(&from).copied().unwrap_or_default() >= amount {
            from
        } else {
            0
        };
        if from != 0 && from != to {
            *held.entry(from).or_default() -= amount;
        }
        if to != 0 && from != to {
            *held.entry(to).or_default() += amount;
        }
        moves.push(Move {
            from: address(from),
            to: address(to),
            amount,
        });
    }
    moves
}

/// Two groups of wallets without transfers between them; no holding of one group equals one of the other. Whichever way their
/// transfers interleave, every rank is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permuting_unrelated_transfers_does_not_change_ranks() {
    let mut runner = TestRunner::deterministic();
    let left = random_moves(&mut runner, 60).into_iter().map(|step| Move {
        amount: step.amount * 1_000,
        ..step
    });
    let of_right = |address: Address| {
        let mut bytes = *address.as_bytes();
        bytes[1] = u8::from(address != ZERO);
        Address::from_bytes(bytes)
    };
    let right = random_moves(&mut runner, 60).into_iter().map(|step| Move {
        from: of_right(step.from),
        to: of_right(step.to),
        ..step
    });
    let (left, right): (Vec<_>, Vec<_>) = (left.collect(), right.collect());
    let in_sequence = MemoryChain::with_batches(7);
    for step in left.iter().chain(&right) {
        in_sequence.block(&[*step]);
    }
    let interleaved = MemoryChain::with_batches(7);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while left.peek().is_some() || right.peek().is_some() {
        let coin = proptest::bool::ANY.new_tree(&mut runner).unwrap().current();
        let step = if coin { left.next() } else { right.next() };
        if let Some(step) = step {
            interleaved.block(&[step]);
        }
    }
    let (one, other) = (Setup::new().await, Setup::new().await);
    one.complete(&in_sequence).await;
    other.complete(&interleaved).await;
    let ranked = one.ranked().await;
    assert!(ranked.len() > 10, "{}", ranked.len());
    assert_eq!(ranked, other.ranked().await);
}

fn mint(to: Address, amount: u64) -> Move {
    Move { from: ZERO, to, amount }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncing_in_pieces_equals_syncing_at_once() {
    let mut runner = TestRunner::deterministic();
    let moves = random_moves(&mut runner, 90);
    let (pieces, whole) = (Setup::new().await, Setup::new().await);
    let chain = MemoryChain::with_batches(4);
    for (index, step) in moves.iter().enumerate() {
        chain.block(&[*step]);
        let cut = (0..6_u8).new_tree(&mut runner).unwrap().current() == 0;
        if cut && !chain.ledger().is_empty() && index % 2 == 0 {
            pieces.complete(&chain).await;
            pieces.assert_equals_ledger(&chain).await;
        }
    }
    pieces.complete(&chain).await;
    whole.complete(&chain).await;
    whole.assert_equals_ledger(&chain).await;
    assert_eq!(pieces.ranked().await, whole.ranked().await);
    // A sync without new blocks reads no logs.
    chain.set_faults(Faults::default());
    let again = whole.complete(&chain).await;
    assert_eq!((again.logs, again.changed, chain.batches()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_sync_is_continued() {
    let mut runner = TestRunner::deterministic();
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    chain.block(&[mint(wallet(1), 5)]);
    for step in random_moves(&mut runner, 120) {
        chain.block(&[step]);
    }
    // Dropped after times that grow until the sync completes; the first are within the first batch.
    let mut interruptions = 0;
    for limit in 1.. {
        let limit = Duration::from_micros(400 * limit * limit);
        match tokio::time::timeout(limit, setup.sync(&chain).run()).await {
            Ok(ended) => {
                assert!(matches!(ended.unwrap(), SyncEnd::Complete(_)));
                break;
            }
            Err(_) => interruptions += 1,
        }
    }
    assert!(interruptions > 3, "{interruptions}");
    setup.assert_equals_ledger(&chain).await;
    let mut tx = setup.database.global().await.unwrap();
    assert_eq!(
        tx.eligibility()
            .latest_snapshot(setup.token())
            .await
            .unwrap()
            .unwrap()
            .1,
        chain.head()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_of_a_long_sync_is_continued_by_the_next() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(10);
    for number in 1..=40 {
        chain.block(&[mint(wallet(number), number)]);
    }
    let part = ProfileSync {
        part: Some(Duration::ZERO),
        ..setup.sync(&chain)
    };
    for next_block in [10, 20, 30, 40] {
        assert_eq!(part.run().await.unwrap(), SyncEnd::PartOver { next_block });
        assert!(setup.ranked().await.is_empty());
    }
    assert!(matches!(part.run().await.unwrap(), SyncEnd::Complete(_)));
    setup.assert_equals_ledger(&chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_syncs_at_once_do_no_harm() {
    let mut runner = TestRunner::deterministic();
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(2);
    chain.block(&[mint(wallet(1), 5)]);
    for step in random_moves(&mut runner, 60) {
        chain.block(&[step]);
    }
    let (one, two, three) = (setup.sync(&chain), setup.sync(&chain), setup.sync(&chain));
    let ended = tokio::join!(one.run(), two.run(), three.run());
    let ended = [ended.0, ended.1, ended.2];
    let complete = ended
        .iter()
        .filter(|end| matches!(end, Ok(SyncEnd::Complete(_))))
        .count();
    assert!(complete >= 1, "{ended:?}");
    for end in &ended {
        assert!(matches!(end, Ok(_) | Err(SyncError::Superseded)), "{end:?}");
    }
    setup.assert_equals_ledger(&chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reorganised_blocks_are_read_again() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    for number in 1..=20 {
        chain.block(&[mint(wallet(number), number)]);
    }
    setup.complete(&chain).await;
    // Across several stored batches; the new chain is longer.
    chain.reorganise(8, &[vec![mint(wallet(3), 50)], vec![], vec![mint(wallet(90), 7)]]);
    for number in 30..40 {
        chain.block(&[mint(wallet(number), number)]);
    }
    setup.complete(&chain).await;
    setup.assert_equals_ledger(&chain).await;
    assert_eq!(setup.metric("arrakis_worker_eligibility_reorganisations_total"), 1.0);
    // Down to the first block.
    let all = usize::try_from(chain.head()).unwrap() + 1;
    chain.reorganise(all, &vec![vec![mint(wallet(1), 1)]; all]);
    setup.complete(&chain).await;
    setup.assert_equals_ledger(&chain).await;
    assert_eq!(setup.metric("arrakis_worker_eligibility_reorganisations_total"), 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_reorganisation_needs_a_second_endpoint() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    for number in 1..=100 {
        chain.block(&[mint(wallet(number), number)]);
    }
    setup.complete(&chain).await;
    let before = (setup.ranked().await, setup.next_block().await);
    chain.reorganise(80, &vec![vec![mint(wallet(3), 50)]; 90]);
    for (second, reported) in [
        (SecondEndpoint::IsDown, "rpc.example: connection refused"),
        (
            SecondEndpoint::ReportsTheFirstBlocks,
            "rpc.example: reports the stored block",
        ),
    ] {
        chain.set_faults(Faults {
            second: Some(second),
            ..Faults::default()
        });
        let error = setup.failure(&chain).await;
        let SyncError::Unconfirmed { depth, block, .. } = &error else {
            panic!("{error}")
        };
        // Batches end at blocks 2, 5, …, 20; the first stored block that differs is the next one.
        assert_eq!((*depth, *block), (80, 23));
        assert!(error.to_string().contains(reported), "{error}");
        assert_eq!((setup.ranked().await, setup.next_block().await), before);
    }
    chain.set_faults(Faults {
        second: Some(SecondEndpoint::Agrees),
        ..Faults::default()
    });
    setup.complete(&chain).await;
    setup.assert_equals_ledger(&chain).await;
    // The only endpoint decides alone.
    chain.reorganise(100, &vec![vec![mint(wallet(4), 7)]; 101]);
    chain.set_faults(Faults::default());
    setup.complete(&chain).await;
    setup.assert_equals_ledger(&chain).await;
    assert_eq!(setup.metric("arrakis_worker_eligibility_reorganisations_total"), 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollback_of_a_process_that_died_is_finished_whatever_the_chain_shows() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    for number in 1..=20 {
        chain.block(&[mint(wallet(number), number)]);
    }
    setup.complete(&chain).await;
    let mut tx = setup.database.global().await.unwrap();
    let run = SyncRun {
        profile: setup.token().clone(),
        run: uuid::Uuid::now_v7(),
    };
    let (_, cursor) = tx.begin_sync(setup.token(), run.run).await.unwrap().unwrap();
    assert!(tx.begin_roll_back(&run, cursor.next_block, 9).await.unwrap());
    tx.commit().await.unwrap();
    let summary = setup.complete(&chain).await;
    assert_eq!(summary.logs, 12);
    setup.assert_equals_ledger(&chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profile_that_changed_before_the_run_is_read_again() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    for number in 1..=20 {
        chain.block(&[mint(wallet(number), number)]);
    }
    let put = async |profile: &TokenProfile| {
        let mut tx = setup.database.global().await.unwrap();
        tx.eligibility().put_token_profile(profile).await.unwrap();
        tx.commit().await.unwrap();
    };
    // The sync has the profile of before.
    let sync = setup.sync(&chain);
    let changed = TokenProfile {
        decimals: 16,
        start_block: 11,
        ..setup.profile.clone()
    };
    put(&changed).await;
    assert!(matches!(sync.run().await.unwrap(), SyncEnd::Complete(_)));
    let ranked = setup.ranked().await;
    assert_eq!(ranked.len(), 10);
    assert_eq!(ranked[0], (wallet(20), scale_to_balance(U256::from(20), 16)));
    put(&TokenProfile { chain_id: 1, ..changed }).await;
    let error = sync.run().await.unwrap_err();
    assert!(matches!(error, SyncError::OtherChain(_, 1)), "{error}");
    assert_eq!(setup.ranked().await, ranked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_that_runs_again_has_another_next_part() {
    let setup = Setup::new().await;
    let payload = || json!({"token_profile": setup.token(), "part": 1});
    let next = async |id: &str, block| {
        let next = eligibility_sync::enqueue_next_part(&setup.services, id, payload(), block).await;
        next.unwrap()
    };
    assert_eq!(next("sync", 500).await, "sync+500");
    // The message of the first part was duplicated, and its second run read further.
    assert_eq!(next("sync", 900).await, "sync+900");
    // The part that begins there waits.
    assert_eq!(next("sync", 500).await, "sync+500");
    let mut tx = setup.database.global().await.unwrap();
    let now = OffsetDateTime::now_utc();
    let mut jobs = tx.jobs();
    assert!(matches!(
        jobs.start("sync+500", now).await.unwrap(),
        JobStart::Run { .. }
    ));
    assert!(jobs.end("sync+500", 1, &JobOutcome::Succeeded).await.unwrap());
    tx.commit().await.unwrap();
    // A reorganisation led back: the part that begins there has ended.
    assert_eq!(next("sync+400", 500).await, "sync+500~1");
    assert_eq!(next("sync+500~1", 500).await, "sync+500~2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reorganisation_while_logs_are_read_is_detected() {
    for at in 1..=6 {
        let setup = Setup::new().await;
        let chain = MemoryChain::with_batches(3);
        for number in 1..=20 {
            chain.block(&[mint(wallet(number), number)]);
        }
        chain.set_faults(Faults {
            reorganises_at: Some((at, 12)),
            ..Faults::default()
        });
        setup.complete(&chain).await;
        setup.assert_equals_ledger(&chain).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lagging_endpoint_is_no_reorganisation() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    for number in 1..=20 {
        chain.block(&[mint(wallet(number), number)]);
    }
    setup.complete(&chain).await;
    let before = setup.ranked().await;
    chain.set_faults(Faults {
        head: Some(9),
        ..Faults::default()
    });
    let error = setup.failure(&chain).await;
    assert!(
        matches!(
            error,
            SyncError::Lagging {
                read: 20,
                finalized: 9,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!((setup.ranked().await, setup.next_block().await), (before.clone(), 21));
    // One endpoint has the finalised block, another one that is behind it answers next.
    chain.set_faults(Faults {
        missing_block: Some(20),
        ..Faults::default()
    });
    let error = setup.failure(&chain).await;
    assert!(matches!(error, SyncError::BlockUnavailable(20)), "{error}");
    assert_eq!((setup.ranked().await, setup.next_block().await), (before, 21));
    assert_eq!(setup.metric("arrakis_worker_eligibility_reorganisations_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chain_that_was_started_anew_is_read_from_its_start() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(3);
    for number in 1..=20 {
        chain.block(&[mint(wallet(number), number)]);
    }
    setup.complete(&chain).await;
    let anew = MemoryChain::with_batches(3);
    anew.block(&[mint(wallet(7), 7)]);
    assert!(matches!(setup.failure(&anew).await, SyncError::Lagging { .. }));
    let mut tx = setup.database.global().await.unwrap();
    tx.reset_sync(&setup.profile).await.unwrap();
    tx.commit().await.unwrap();
    setup.complete(&anew).await;
    setup.assert_equals_ledger(&anew).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoint_that_fails_in_mid_sync_keeps_what_was_read() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(4);
    for number in 1..=40 {
        chain.block(&[mint(wallet(number), number)]);
    }
    let mut last = 0;
    for fails_after in 0..40 {
        chain.set_faults(Faults {
            fails_after: Some(fails_after),
            ..Faults::default()
        });
        match setup.sync(&chain).run().await {
            Ok(SyncEnd::Complete(_)) => break,
            Ok(end) => panic!("{end:?}"),
            Err(error) => assert!(error.to_string().contains("rpc.example: connection refused"), "{error}"),
        }
        assert!(setup.ranked().await.is_empty());
        let next = setup.next_block().await;
        assert!(next >= last);
        last = next;
    }
    setup.assert_equals_ledger(&chain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_contract_and_missing_holders_do_not_empty_the_ranking() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(4);
    chain.block(&[mint(wallet(1), 5)]);
    setup.complete(&chain).await;
    let before = setup.ranked().await;
    chain.set_faults(Faults {
        no_contract: true,
        ..Faults::default()
    });
    assert!(matches!(setup.failure(&chain).await, SyncError::NoContract(..)));
    chain.set_faults(Faults::default());
    chain.block(&[Move {
        from: wallet(1),
        to: ZERO,
        amount: 5,
    }]);
    let error = setup.failure(&chain).await;
    assert!(matches!(error, SyncError::Empty { stored: 1, .. }), "{error}");
    assert_eq!(setup.ranked().await, before);
    let accepting = ProfileSync {
        accept_empty: true,
        ..setup.sync(&chain)
    };
    accepting.run().await.unwrap();
    assert!(setup.ranked().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balance_of_the_chain_wins() {
    let setup = Setup::new().await;
    let chain = MemoryChain::with_batches(10);
    for number in 1..=120 {
        chain.block(&[mint(wallet(number), 1_000 - number)]);
    }
    // Wallet 1 holds less than all, wallet 50 more. Wallet 110 is behind the compared ranks until wallet 1 makes room for others.
    chain.set_faults(Faults {
        balances: [(wallet(1), 1), (wallet(50), 5_000), (wallet(120), 3)].into(),
        ..Faults::default()
    });
    let summary = setup.complete(&chain).await;
    assert_eq!(summary.mismatches, 2);
    let ranked: Vec<Address> = setup.ranked().await.into_iter().map(|(address, _)| address).collect();
    assert_eq!(ranked[0], wallet(50));
    assert_eq!(
        (ranked[1], ranked[118], ranked[119]),
        (wallet(2), wallet(120), wallet(1))
    );
    assert_eq!(setup.health().await.mismatches, 2);
    assert_eq!(setup.metric("arrakis_worker_eligibility_mismatches_total"), 2.0);
}
