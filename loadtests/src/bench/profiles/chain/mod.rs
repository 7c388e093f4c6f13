//! The chain: an eligibility sync of many logs by a worker, and the latency of reading balances and owners.
//!
//! The chain is an anvil of the run (`ANVIL`); its transactions are mined before each measurement. `sync.rs` measures the sync, `reads.rs`
//! the native reader. Every result is compared with the ledger of what was played, which does not read the chain.

mod reads;
mod sync;

use std::time::Duration;

use anyhow::ensure;
use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, Erc20};

use super::communities::wallet;
use super::{commands, communities, measure_ceiling};
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, ProcessMonitor, Section};
use crate::platform::Chain;

/// Wallets that hold the token.
const HOLDERS: u64 = 5_000;
/// Claims of one transaction, each of which makes a block. A claim has two logs: to the distributor, and from it. An odd number, because
/// the reader verifies a response with a round number of logs in parts.
const CLAIMS: u64 = 249;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChainSteps {
    /// Logs of the first sync, after which the worker has allocated what a sync needs.
    first_logs: u64,
    /// Logs of the measured sync.
    logs: u64,
    /// Length of each measurement of the reader.
    reads: Duration,
    has_threshold: bool,
}

impl ChainSteps {
    /// Everything.
    pub(super) const fn all() -> Self {
        Self {
            first_logs: 20_000,
            logs: 100_000,
            reads: Duration::from_secs(15),
            has_threshold: true,
        }
    }

    /// A few seconds of each.
    pub(super) const fn smoke() -> Self {
        Self {
            first_logs: 1_000,
            logs: 3_000,
            reads: Duration::from_secs(1),
            has_threshold: false,
        }
    }

    /// A threshold, where this run has any.
    const fn bound(&self, bound: Bound) -> Bound {
        if self.has_threshold { bound } else { Bound::Reported }
    }
}

pub(super) async fn measure(bench: &mut Bench, steps: ChainSteps) -> anyhow::Result<()> {
    ensure!(
        Chain::is_installed(),
        "ANVIL names no program: install nodejs and npm, then ./dev installs anvil"
    );
    bench.progress("the chain: onboarding communities, starting anvil");
    let mut platform = BenchPlatform::open(BenchPlatformOptions {
        guilds: 4,
        members: 50,
        shards: 1,
    })
    .await?;
    communities::onboard(&platform).await?;
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, commands(), 3.0).await?;
    platform.start_proxy().await?;
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    sync::measure(bench, &mut platform, (&anvil, &token), &steps).await?;
    reads::measure(bench, &platform, (&anvil, &token), &steps).await?;
    platform.close().await
}

/// Plays at least this many logs: claims of all wallets, in turns. `round` numbers the blocks of the run.
async fn play(anvil: &Anvil, token: &Erc20, logs: u64, round: &mut u64) -> anyhow::Result<()> {
    for _ in 0..logs.div_ceil(2 * CLAIMS) {
        let claims = (0..CLAIMS).map(|index| {
            let holder = u32::try_from((*round * CLAIMS + index) % HOLDERS)?;
            Ok((wallet(holder), U256::from(1_000 + (*round + index * 7) % 900)))
        });
        token.claim_many(&claims.collect::<anyhow::Result<Vec<_>>>()?).await;
        *round += 1;
    }
    anvil.finalize().await;
    Ok(())
}

/// What each wallet holds, by the ledger.
fn holdings(anvil: &Anvil, token: &Erc20) -> Vec<(Address, U256)> {
    let balances = anvil.ledger().balances(token.address());
    balances.into_iter().filter(|(_, held)| !held.is_zero()).collect()
}

/// Begins to measure every process, anvil included.
fn monitor(platform: &BenchPlatform, anvil: &Anvil) -> anyhow::Result<ProcessMonitor> {
    let mut processes = platform.processes();
    processes.extend(anvil.process().pid().map(|pid| ("anvil".to_owned(), pid)));
    ProcessMonitor::begin(&processes)
}

fn section(name: &str, seconds: f64, events: u64, monitor: ProcessMonitor) -> anyhow::Result<Section> {
    Ok(Section::without_load(name.to_owned(), seconds, events, monitor.end()?))
}
