//! Tokens with many holders: no statement is about all of them, and memory does not grow with the number of logs.

use std::time::{Duration, Instant};

use arrakis_chain::Chains;
use arrakis_db::{DatabaseOptions, ProfileStandard};
use arrakis_domain::Address;

use super::chain_in_memory::{CONTRACT, MemoryChain, Move, ZERO};
use super::setup::{Setup, profile, wallet};

/// Holders of the test; `SYNC_HOLDERS=200000` measures with more, and prints times and memory.
const HOLDERS: u64 = 40_000;
/// Time limit of statements that are not allowed more, with [`HOLDERS`]; with more it is that of production.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(300);
const MINTS_OF_A_BLOCK: u64 = 1_000;

/// Highest resident memory of this process so far, in mebibytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
}

/// Syncs to the end; returns the number of changed wallets.
async fn measured(setup: &Setup, chain: &MemoryChain, what: &str) -> usize {
    let begun = Instant::now();
    let summary = setup.complete(chain).await;
    println!(
        "{what}: {:.1?}, {} holders, peak {} MiB",
        begun.elapsed(),
        summary.holders,
        peak_memory()
    );
    summary.changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_about_many_holders_keep_their_time_limits() {
    let holders = std::env::var("SYNC_HOLDERS").map_or(HOLDERS, |text| text.parse().unwrap());
    let profile = profile(ProfileStandard::Erc20, CONTRACT);
    let limit = if holders == HOLDERS {
        STATEMENT_TIMEOUT
    } else {
        DatabaseOptions::default().statement_timeout
    };
    let setup = Setup::with_statement_timeout(profile, Chains::default(), limit).await;
    let chain = MemoryChain::with_batches(5);
    let mint = |number| Move {
        from: ZERO,
        to: wallet(number),
        amount: 1 + number % 5_000,
    };
    for first in (0..holders).step_by(MINTS_OF_A_BLOCK as usize) {
        let moves: Vec<_> = (first..holders.min(first + MINTS_OF_A_BLOCK)).map(mint).collect();
        chain.block(&moves);
    }
    println!("the chain is made; peak {} MiB", peak_memory());
    let all = usize::try_from(holders).unwrap();
    assert_eq!(measured(&setup, &chain, "first sync").await, all);
    assert_eq!(measured(&setup, &chain, "sync without new logs").await, 0);
    // The best wallet is gone, and with it the rank of every other one changes.
    let best: Address = setup.ranked().await[0].0;
    chain.block(&[Move {
        from: best,
        to: ZERO,
        amount: 5_000,
    }]);
    assert_eq!(measured(&setup, &chain, "sync that changes every rank").await, all);
    let ranked = setup.ranked().await;
    assert!(ranked.len() == all - 1 && ranked.is_sorted_by(|(_, left), (_, right)| left >= right));
    // All logs are read again.
    let mut tx = setup.database.global().await.unwrap();
    tx.reset_sync(&setup.profile).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(measured(&setup, &chain, "sync from the start").await, 0);
    assert_eq!(setup.ranked().await, ranked);
}
