//! Interrupted, repeated and concurrent syncs, reorganisations, and faults of endpoints, on a chain in memory.

use std::time::Duration;

use arrakis_domain::Address;
use arrakis_worker::jobs::eligibility_sync::{ProfileSync, SyncEnd, SyncError};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::chain_in_memory::{Faults, MemoryChain, Move, ZERO};
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
