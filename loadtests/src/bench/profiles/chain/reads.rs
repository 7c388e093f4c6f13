//! The native reader against a local node: balances and owners, alone and several by one request to Multicall3. Open loop: a call begins at
//! its intended moment, whatever earlier ones take, and its latency counts from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_chain::{ChainClient, Chains, ChainsConfig, Token, TokenStandard};
use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, Erc20};
use hdrhistogram::Histogram;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

use super::{ChainSteps, holdings, monitor, section};
use crate::bench::section::Percentiles;
use crate::bench::{Bench, BenchPlatform, Bound};

/// Calls of one request to Multicall3.
const BATCH: usize = 200;
/// Ids of the collection. Each wallet of the first ones owns one.
const IDS: usize = 100;
/// Highest latency that the histogram distinguishes, in microseconds.
const LONGEST_US: u64 = 120_000_000;
/// Calls of each kind before the measurement: the first ones connect, and read whether the chain has Multicall3.
const WARM_UP: usize = 20;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Balance,
    HasBalance,
    OwnsId,
    Balances,
    OwnsOneOf,
}

impl Reading {
    const ALL: [Self; 5] = [
        Self::Balance,
        Self::HasBalance,
        Self::OwnsId,
        Self::Balances,
        Self::OwnsOneOf,
    ];

    fn name(self) -> String {
        match self {
            Self::Balance => "get_balance".to_owned(),
            Self::HasBalance => "has_balance".to_owned(),
            Self::OwnsId => "owns_nft of one id".to_owned(),
            Self::Balances => format!("{BATCH} balances by Multicall3"),
            Self::OwnsOneOf => format!("owns_nft of {IDS} ids by Multicall3"),
        }
    }

    /// Time between two calls.
    const fn gap(self) -> Duration {
        match self {
            Self::Balance | Self::HasBalance | Self::OwnsId => Duration::from_millis(10),
            Self::Balances | Self::OwnsOneOf => Duration::from_millis(50),
        }
    }
}

/// What is read, with what is expected.
struct Reads {
    client: Arc<ChainClient>,
    token: Token,
    collection: Token,
    holdings: Vec<(Address, U256)>,
}

pub(super) async fn measure(
    bench: &mut Bench,
    platform: &BenchPlatform,
    (anvil, token): (&Anvil, &Erc20),
    steps: &ChainSteps,
) -> anyhow::Result<()> {
    let reads = Arc::new(Reads::prepare(anvil, token).await?);
    let seed = bench.options.seed;
    for reading in Reading::ALL {
        let name = reading.name();
        bench.progress(&format!("native reader: {name}"));
        for number in 0..WARM_UP {
            reads.read(reading, number).await?;
        }
        let monitor = monitor(platform, anvil)?;
        let began = Instant::now();
        let histogram = open_loop(&reads, reading, steps.reads, seed).await?;
        let seconds = began.elapsed().as_secs_f64();
        let latency = Percentiles::of(&histogram);
        let section = section(&format!("native reader: {name}"), seconds, latency.count, monitor)?;
        bench.sections.push(section);
        let figure = |percentile: &str| format!("chain: {name}, {percentile}");
        bench.figure(&figure("p50"), latency.p50_ms, "ms", Bound::Reported);
        bench.figure(&figure("p95"), latency.p95_ms, "ms", Bound::Reported);
        let limit = steps.bound(Bound::Below(100.0));
        bench.figure(&figure("p99"), latency.p99_ms, "ms", limit);
    }
    Ok(())
}

async fn open_loop(
    reads: &Arc<Reads>,
    reading: Reading,
    length: Duration,
    seed: u64,
) -> anyhow::Result<Histogram<u64>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (begun, gap) = (tokio::time::Instant::now(), reading.gap());
    let mut calls = JoinSet::new();
    for number in 0.. {
        let regular = gap.mul_f64(f64::from(number));
        if regular > length {
            break;
        }
        let intended = begun + regular + gap.mul_f64(random.random_range(0.0..0.9));
        tokio::time::sleep_until(intended).await;
        let reads = Arc::clone(reads);
        calls.spawn(async move {
            reads.read(reading, usize::try_from(number)?).await?;
            anyhow::Ok(intended.elapsed())
        });
    }
    // With bounds: the default histogram would clamp values to a small range.
    let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_US, 3)?;
    while let Some(ended) = calls.join_next().await {
        let micros = ended??.as_micros();
        histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
    }
    Ok(histogram)
}

impl Reads {
    /// Creates a collection whose ids belong to the first wallets, one to each.
    async fn prepare(anvil: &Anvil, token: &Erc20) -> anyhow::Result<Self> {
        let holdings = holdings(anvil, token);
        ensure!(holdings.len() >= BATCH.max(IDS + 1), "the ledger has too few wallets");
        let collection = anvil.deploy_erc721("Fremkit", "FK").await;
        for (id, (owner, _)) in (0_u64..).zip(holdings.iter().take(IDS)) {
            collection.mint(*owner, id).await;
        }
        let chains = Chains::new(&ChainsConfig::of_chain(anvil.chain_id(), [anvil.url()]));
        let client = chains.get(anvil.chain_id()).cloned();
        let of = |contract, standard| Token {
            contract,
            standard,
            ids: Vec::new(),
        };
        Ok(Self {
            client: client.context("the chain that was configured a moment before")?,
            token: of(token.address(), TokenStandard::Erc20),
            collection: of(collection.address(), TokenStandard::Erc721),
            holdings,
        })
    }

    /// One call, compared with the ledger.
    async fn read(&self, reading: Reading, number: usize) -> anyhow::Result<()> {
        let (client, at) = (&self.client, number % self.holdings.len());
        let (wallet, held) = self.holdings[at];
        let is_right = match reading {
            Reading::Balance => client.get_balance(&self.token, wallet).await? == held,
            Reading::HasBalance => {
                // Alternately exactly what the wallet holds, and one unit more.
                let least = held + U256::from(number % 2);
                client.has_balance(&self.token, wallet, least).await? == number.is_multiple_of(2)
            }
            Reading::OwnsId => {
                let id = U256::from(number % IDS);
                client.owns_nft(&self.collection, wallet, &[id]).await? == (at == number % IDS)
            }
            Reading::Balances => {
                let batch = self.holdings.iter().cycle().skip(at).take(BATCH);
                let (wallets, held): (Vec<_>, Vec<_>) = batch.copied().unzip();
                client.balances(&self.token, &wallets, None).await? == held
            }
            Reading::OwnsOneOf => {
                let ids: Vec<U256> = (0..IDS).map(U256::from).collect();
                client.owns_nft(&self.collection, wallet, &ids).await? == (at < IDS)
            }
        };
        ensure!(is_right, "{} of {wallet} differs from the ledger", reading.name());
        Ok(())
    }
}
