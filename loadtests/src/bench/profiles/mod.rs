//! The profiles: each is a list of measurements, each measurement a file.

mod card;
mod chain;
mod communities;
mod each_command;
mod errors;
mod ingest;
mod mission;
mod path;
mod proxy;
mod role_sync;
mod sync;
mod vault;

use clap::ValueEnum;

use super::{Bench, ceiling, ceiling::BenchConnection, platform::BenchPlatform};
use arrakis_contracts::names;
use arrakis_emulator_client::load::{EventKind, Load, LoadStage};

/// A profile of `./dev bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Profile {
    /// The ceiling, and two minutes of the mission's load.
    #[default]
    Short,
    /// The ingestor, the whole path, and the mission's load in full: thirteen minutes of load and some five more.
    Mission,
    /// The ingestor alone, against the ceiling.
    Ingest,
    /// The whole path at fixed rates, and a rising rate until commands fail.
    Path,
    /// The discord-proxy: added latency, and a hundred tenants at the limit.
    Proxy,
    /// A role sync of 10,000 members with commands meanwhile, and a backlog of role changes of many communities.
    Sync,
    /// An eligibility sync of 100,000 logs from a local chain, and the latency of reading balances and owners.
    Chain,
    /// Each command of members and admins alone at a fixed rate, with a threshold for its full answer, and the badge card.
    Commands,
    /// Backups and snapshots of a server at Discord's limits in a local S3, and the recovery of a server after a teardown.
    Vault,
    /// The path and the chain for a few seconds, without thresholds: for tests of the bench itself.
    #[value(hide = true)]
    Smoke,
    /// The profile `vault` for a few seconds, without thresholds: for tests of the bench itself.
    #[value(hide = true)]
    SmokeVault,
}

impl Profile {
    /// Name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Mission => "mission",
            Self::Ingest => "ingest",
            Self::Path => "path",
            Self::Proxy => "proxy",
            Self::Sync => "sync",
            Self::Chain => "chain",
            Self::Commands => "commands",
            Self::Vault => "vault",
            Self::Smoke => "smoke",
            Self::SmokeVault => "smoke-vault",
        }
    }

    /// Runs the profile's measurements.
    ///
    /// # Errors
    /// When a process does not start or a measurement fails.
    pub async fn measure(self, bench: &mut Bench) -> anyhow::Result<()> {
        match self {
            Self::Ingest => Box::pin(ingest::measure(bench)).await,
            Self::Path => Box::pin(path::measure(bench, &path::PathSteps::all())).await,
            Self::Short => Box::pin(path::measure(bench, &path::PathSteps::shape(120.0))).await,
            Self::Proxy => Box::pin(proxy::measure(bench, proxy::ProxySteps::all())).await,
            Self::Sync => {
                Box::pin(role_sync::measure(bench)).await?;
                Box::pin(sync::measure(bench)).await
            }
            Self::Chain => Box::pin(chain::measure(bench, chain::ChainSteps::all())).await,
            Self::Commands => Box::pin(each_command::measure(bench)).await,
            Self::Vault => Box::pin(vault::measure(bench, vault::VaultSteps::all())).await,
            Self::Mission => {
                Box::pin(ingest::measure(bench)).await?;
                Box::pin(path::measure(bench, &path::PathSteps::mission())).await
            }
            Self::Smoke => {
                Box::pin(path::measure(bench, &path::PathSteps::smoke())).await?;
                Box::pin(chain::measure(bench, chain::ChainSteps::smoke())).await
            }
            Self::SmokeVault => Box::pin(vault::measure(bench, vault::VaultSteps::smoke())).await,
        }
    }
}

/// The queues that a load fills.
pub(super) const QUEUES: [&str; 2] = [names::INTERACTIONS, names::EVENTS_GUILD];

/// Unconfirmed messages per shard, the default of `INGESTOR_WINDOW`.
const WINDOW: usize = 160;

/// Number of sample messages for the bare publisher.
const SAMPLES: usize = 200;

/// Measures the ceiling with messages that the ingestor of this platform publishes. No worker may run yet.
pub(super) async fn measure_ceiling(
    bench: &mut Bench,
    platform: &BenchPlatform,
    kinds: Vec<EventKind>,
    seconds: f64,
) -> anyhow::Result<Vec<ceiling::SampleMessage>> {
    bench.progress("the ceiling: a bare publisher of the ingestor's messages");
    let connection = BenchConnection::open(&platform.vhost.url()).await?;
    empty(platform, &connection).await?;
    let load = Load {
        stages: vec![LoadStage::steady("samples", 400.0, 1.0)],
        ..Load::steady(bench.options.seed, 400.0, 1.0, kinds)
    };
    platform.discord.start_load(&load).await?;
    let made = platform.discord.wait_for_load().await?;
    waiting(&connection, made.counts.made).await?;
    // In the proportion of the load: the two queues have different costs at the broker.
    let mut samples = Vec::new();
    for queue in QUEUES {
        let depth = connection.depth(queue).await?;
        let share = usize::try_from(depth)? * SAMPLES / usize::try_from(made.counts.made.max(1))?;
        samples.extend(connection.take(queue, share.max(1)).await?);
    }
    empty(platform, &connection).await?;
    let channels = usize::try_from(platform.options.shards)?;
    let samples = interleaved(samples);
    let measured = ceiling::measure(&platform.vhost.url(), samples.clone(), channels, WINDOW, seconds).await?;
    bench.ceiling = Some(measured);
    empty(platform, &connection).await?;
    connection.close().await;
    Ok(samples)
}

/// Mixes the samples of the queues in a fixed order.
fn interleaved(samples: Vec<ceiling::SampleMessage>) -> Vec<ceiling::SampleMessage> {
    use rand::{SeedableRng as _, seq::SliceRandom as _};
    let mut mixed = samples;
    mixed.shuffle(&mut rand::rngs::ChaCha8Rng::seed_from_u64(1));
    mixed
}

/// Waits until the queues hold this many messages.
pub(super) async fn waiting(connection: &BenchConnection, messages: u64) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + super::SETTLE;
    loop {
        let mut found = 0;
        for queue in QUEUES {
            found += connection.depth(queue).await?;
        }
        if found >= messages {
            return Ok(());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the queues hold {found} of {messages} messages: events were lost, or the ingestor is too slow"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Waits until the events of the servers' first `GUILD_CREATE` have arrived, and removes them.
async fn empty(platform: &BenchPlatform, connection: &BenchConnection) -> anyhow::Result<()> {
    let mut before = f64::NAN;
    loop {
        let now = platform
            .scrape("ingestor")
            .await?
            .sum("arrakis_ingestor_confirm_seconds_count");
        if now.total_cmp(&before).is_eq() {
            break;
        }
        before = now;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    for queue in QUEUES {
        connection.purge(queue).await?;
    }
    Ok(())
}

/// A mixture of events: commands by half of the weight, the other half changes, joins and leaves of members.
pub(super) fn community_life() -> Vec<EventKind> {
    let mut kinds = commands();
    kinds.extend([
        EventKind::MemberUpdate { weight: 60 },
        EventKind::MemberJoin { weight: 20 },
        EventKind::MemberLeave { weight: 20 },
    ]);
    kinds
}

/// Commands only, most of them `/position`.
pub(super) fn commands() -> Vec<EventKind> {
    [
        ("position", 60),
        ("profile", 15),
        ("leaderboard", 10),
        ("threshold", 5),
        ("stats", 5),
        ("help", 5),
    ]
    .into_iter()
    .map(|(name, weight)| EventKind::command(name, weight))
    .collect()
}
