//! Measures the readers on a local chain: `ANVIL=/path/to/anvil cargo run --release -p arrakis-chain --example chain_throughput -- 100000`.
//!
//! Plays claims until the chain has this many transfer logs, reads all of them, and prints time and memory; then the latency of balances.

use std::time::{Duration, Instant};

use arrakis_chain::{Chains, ChainsConfig, Token, TokenStandard, TransferFilter};
use arrakis_domain::U256;
use arrakis_test_support::{Anvil, AnvilOptions, address_of};

/// Resident memory of this process in kibibytes, now and at its highest.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[tokio::main]
#[expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement of a developer")]
async fn main() {
    let logs: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let anvil = Anvil::start_with(AnvilOptions::default()).await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    let begun = Instant::now();
    // A claim has two logs. 498 logs in a block: round numbers would be verified in parts.
    for round in 0..logs.div_ceil(498) {
        let claims: Vec<_> = (0..249)
            .map(|index| (address_of(10_000 + (round * 31 + index) % 5_000), U256::from(1 + index)))
            .collect();
        token.claim_many(&claims).await;
    }
    anvil.finalize().await;
    println!(
        "played {} logs in {:?}",
        anvil.ledger().of(token.address()).count(),
        begun.elapsed()
    );

    let config = ChainsConfig::of_chain(anvil.chain_id(), [anvil.url()]);
    let chains = Chains::new(&config);
    let client = chains.get(anvil.chain_id()).unwrap();
    let filter = TransferFilter {
        contract: token.address(),
        standard: TokenStandard::Erc20,
        from: None,
        to: None,
    };
    let to = client.finalized().await.unwrap().number;
    let before = memory().0;
    let (begun, mut read, mut batches, mut peak) = (Instant::now(), 0, 0, before);
    let mut reader = client.transfers(filter, 0, to);
    while let Some(batch) = reader.next().await.unwrap() {
        read += batch.transfers.len();
        batches += 1;
        peak = peak.max(memory().0);
    }
    println!(
        "read {read} transfers of {to} blocks in {:?}, {batches} batches; memory {before} -> {peak} KiB",
        begun.elapsed()
    );

    let bgt = Token {
        contract: token.address(),
        standard: TokenStandard::Erc20,
        ids: Vec::new(),
    };
    let mut latencies = Vec::new();
    for number in 0..1_000 {
        let begun = Instant::now();
        client.get_balance(&bgt, address_of(10_000 + number)).await.unwrap();
        latencies.push(begun.elapsed());
    }
    latencies.sort_unstable();
    let percentile = |of: usize| {
        latencies
            .get(latencies.len() * of / 100)
            .copied()
            .unwrap_or(Duration::ZERO)
    };
    println!("get_balance: p50 {:?}, p99 {:?}", percentile(50), percentile(99));
    let holders: Vec<_> = (10_000..15_000).map(address_of).collect();
    let begun = Instant::now();
    let sum: U256 = client.balances(&bgt, &holders, None).await.unwrap().into_iter().sum();
    println!(
        "balances of {} holders in {:?} (sum {sum})",
        holders.len(),
        begun.elapsed()
    );
}
