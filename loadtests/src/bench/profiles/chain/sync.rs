//! Two syncs of one token profile by the same worker: the second has several times as many logs, of the same wallets. The memory of a
//! sync is flat when the worker's peak after the second is about that after the first.

use std::time::{Duration, Instant};

use anyhow::ensure;
use arrakis_db::{ProfileStandard, TokenProfile};
use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, Erc20};

use super::super::communities::TOKEN;
use super::{ChainSteps, holdings, monitor, play, section};
use crate::bench::processes::{high_water_bytes, resident_bytes};
use crate::bench::{Bench, BenchPlatform, Bound};

const LOGS: &str = "arrakis_worker_eligibility_logs_total";
/// Time limit of a sync.
const LIMIT: Duration = Duration::from_secs(600);

/// One sync.
struct Measured {
    seconds: f64,
    logs: u64,
    /// Resident memory of the worker before it.
    resident_before: u64,
    /// Highest resident memory of the worker so far, as the kernel records it.
    high_water: u64,
}

pub(super) async fn measure(
    bench: &mut Bench,
    platform: &mut BenchPlatform,
    (anvil, token): (&Anvil, &Erc20),
    steps: &ChainSteps,
) -> anyhow::Result<()> {
    let mut round = 0;
    bench.progress(&format!("playing {} logs, and a first sync", steps.first_logs));
    play(anvil, token, steps.first_logs, &mut round).await?;
    put_profile(platform, token).await?;
    let endpoint = format!("{}={}", anvil.chain_id(), anvil.url());
    platform
        .start_worker_with(&[("CHAIN_RPC_URLS", endpoint)], true)
        .await?;
    let first = sync(platform, anvil, token).await?;
    bench.progress(&format!("playing {} logs", steps.logs));
    play(anvil, token, steps.logs, &mut round).await?;
    let name = format!("eligibility sync of {} logs", steps.logs);
    bench.progress(&name);
    let monitor = monitor(platform, anvil)?;
    let measured = sync(platform, anvil, token).await?;
    bench
        .sections
        .push(section(&name, measured.seconds, measured.logs, monitor)?);
    figures(bench, steps, &first, &measured);
    Ok(())
}

fn figures(bench: &mut Bench, steps: &ChainSteps, first: &Measured, measured: &Measured) {
    #[expect(clippy::cast_precision_loss, reason = "counts, and megabytes")]
    let number = |value: u64| value as f64;
    let least = Bound::AtLeast(number(steps.logs));
    bench.figure("chain: logs synced", number(measured.logs), "", steps.bound(least));
    let limit = steps.bound(Bound::Below(180.0));
    bench.figure("chain: sync, command → ranking replaced", measured.seconds, "s", limit);
    let rate = number(measured.logs) / measured.seconds;
    bench.figure("chain: logs a second", rate, "/s", Bound::Reported);
    let megabytes = |bytes: u64| number(bytes) / 1e6;
    let before = megabytes(measured.resident_before);
    bench.figure("chain: worker, resident before the sync", before, "MB", Bound::Reported);
    let most = megabytes(measured.high_water);
    bench.figure("chain: worker, highest resident memory", most, "MB", Bound::Reported);
    let growth = number(measured.high_water) / number(first.high_water);
    let name = format!("chain: worker, that relative to a sync of {} logs", steps.first_logs);
    bench.figure(&name, growth, "×", steps.bound(Bound::Below(1.5)));
}

/// Writes the communities' profile for the token. Every transfer counts.
async fn put_profile(platform: &BenchPlatform, token: &Erc20) -> anyhow::Result<()> {
    let admin = platform.database.admin().await;
    let mut tx = admin.database().global().await?;
    let profile = TokenProfile {
        id: TOKEN.parse()?,
        name: "Bera Governance Token".to_owned(),
        symbol: "BGT".to_owned(),
        standard: ProfileStandard::Erc20,
        chain_id: 80_094,
        contract: token.address(),
        decimals: 18,
        claims_from: None,
        burns_to: None,
        token_ids: Vec::new(),
        start_block: 0,
    };
    tx.eligibility().put_token_profile(&profile).await?;
    Ok(tx.commit().await?)
}

/// Syncs as an operator does, and compares the ranking with the ledger.
async fn sync(platform: &BenchPlatform, anvil: &Anvil, token: &Erc20) -> anyhow::Result<Measured> {
    let pid = platform.pid("worker")?;
    let (resident_before, before) = (resident_bytes(pid)?, platform.scrape("worker").await?);
    let began = Instant::now();
    platform
        .worker_task(&["eligibility", "sync", TOKEN, "--wait"], LIMIT)
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let read = platform.scrape("worker").await?.since(&before).sum(LOGS);
    compare(platform, anvil, token).await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of logs")]
    Ok(Measured {
        seconds,
        logs: read as u64,
        resident_before,
        high_water: high_water_bytes(pid)?,
    })
}

async fn compare(platform: &BenchPlatform, anvil: &Anvil, token: &Erc20) -> anyhow::Result<()> {
    let admin = platform.database.admin().await;
    let mut tx = admin.database().global().await?;
    let ranking = tx.eligibility().ranking(&TOKEN.parse()?).await?;
    tx.commit().await?;
    let mut ranked: Vec<(Address, U256)> = ranking
        .wallets()
        .iter()
        .map(|(wallet, held)| (*wallet, held.units()))
        .collect();
    ensure!(
        ranked.is_sorted_by(|left, right| left.1 >= right.1),
        "the ranking is not sorted by holdings"
    );
    ranked.sort_unstable();
    let expected = holdings(anvil, token);
    let wrong = expected.iter().filter(|holding| !ranked.contains(holding)).count();
    ensure!(
        ranked == expected,
        "the ranking has {} wallets, the ledger {}; {wrong} of these differ",
        ranked.len(),
        expected.len()
    );
    Ok(())
}
