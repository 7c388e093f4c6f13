//! What is measured: each profile is a list of measurements, each measurement a file.

mod communities;
mod errors;
mod ingest;
mod path;
mod proxy;
mod shape;
mod sync;

use clap::ValueEnum;

use super::{Bench, ceiling, ceiling::Plain, site::Site};
use arrakis_contracts::names;
use arrakis_emulator_client::load::{Kind, Load, Stage};

/// A profile of `./dev bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Profile {
    /// Ceiling, and two minutes of the mission's shape.
    #[default]
    Short,
    /// Everything of the ingestor and of the whole path, and the mission's shape in full: thirteen minutes of load and some five more.
    Mission,
    /// The ingestor alone, against the ceiling.
    Ingest,
    /// The whole path at fixed rates, and a rise to where it gives.
    Path,
    /// The proxy: what it adds to a call, and a hundred tenants at the limit.
    Proxy,
    /// A backlog of role changes of many communities through the whole path.
    Sync,
    /// A few seconds of everything's machinery, without thresholds: for tests of the bench itself.
    #[value(hide = true)]
    Smoke,
}

impl Profile {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Mission => "mission",
            Self::Ingest => "ingest",
            Self::Path => "path",
            Self::Proxy => "proxy",
            Self::Sync => "sync",
            Self::Smoke => "smoke",
        }
    }

    /// Measures.
    ///
    /// # Errors
    /// When something does not start or a measurement fails.
    pub async fn measure(self, bench: &mut Bench) -> anyhow::Result<()> {
        match self {
            Self::Ingest => Box::pin(ingest::measure(bench)).await,
            Self::Path => Box::pin(path::measure(bench, &path::Steps::all())).await,
            Self::Short => Box::pin(path::measure(bench, &path::Steps::shape(120.0))).await,
            Self::Proxy => Box::pin(proxy::measure(bench, proxy::Steps::all())).await,
            Self::Sync => Box::pin(sync::measure(bench)).await,
            Self::Mission => {
                Box::pin(ingest::measure(bench)).await?;
                Box::pin(path::measure(bench, &path::Steps::mission())).await
            }
            Self::Smoke => Box::pin(path::measure(bench, &path::Steps::smoke())).await,
        }
    }
}

/// Every queue that a load fills.
pub(super) const QUEUES: [&str; 2] = [names::INTERACTIONS, names::EVENTS_GUILD];

/// Unconfirmed messages of one shard, as the ingestor has it by default (`INGESTOR_WINDOW`).
const WINDOW: usize = 160;

/// Messages that the bare publisher publishes by turns.
const SAMPLES: usize = 200;

/// Measures the ceiling with what the ingestor of this site publishes, and answers that. No worker may run yet.
pub(super) async fn measure_ceiling(
    bench: &mut Bench,
    site: &Site,
    kinds: Vec<Kind>,
    seconds: f64,
) -> anyhow::Result<Vec<ceiling::Sample>> {
    bench.say("the ceiling: a bare publisher of what the ingestor publishes");
    let plain = Plain::open(&site.vhost.url()).await?;
    empty(site, &plain).await?;
    let load = Load {
        stages: vec![Stage::steady("samples", 400.0, 1.0)],
        ..Load::steady(bench.options.seed, 400.0, 1.0, kinds)
    };
    site.discord.start_load(&load).await?;
    let made = site.discord.wait_for_load().await?;
    waiting(&plain, made.counts.made).await?;
    // In the proportion of the load: the two queues cost the broker differently.
    let mut samples = Vec::new();
    for queue in QUEUES {
        let depth = plain.depth(queue).await?;
        let share = usize::try_from(depth)? * SAMPLES / usize::try_from(made.counts.made.max(1))?;
        samples.extend(plain.take(queue, share.max(1)).await?);
    }
    empty(site, &plain).await?;
    let channels = usize::try_from(site.options.shards)?;
    let samples = interleaved(samples);
    let measured = ceiling::measure(&site.vhost.url(), samples.clone(), channels, WINDOW, seconds).await?;
    bench.ceiling = Some(measured);
    empty(site, &plain).await?;
    plain.close().await;
    Ok(samples)
}

/// Mixes what was taken queue by queue, always in the same way.
fn interleaved(samples: Vec<ceiling::Sample>) -> Vec<ceiling::Sample> {
    use rand::{SeedableRng as _, seq::SliceRandom as _};
    let mut mixed = samples;
    mixed.shuffle(&mut rand::rngs::ChaCha8Rng::seed_from_u64(1));
    mixed
}

/// Waits until so many messages wait in the queues.
pub(super) async fn waiting(plain: &Plain, messages: u64) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + super::SETTLE;
    loop {
        let mut found = 0;
        for queue in QUEUES {
            found += plain.depth(queue).await?;
        }
        if found >= messages {
            return Ok(());
        }
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "{found} of {messages} messages came to the queues: events are lost, or the ingestor is far behind"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Waits until what the servers' first announcements left has come, and throws it away.
async fn empty(site: &Site, plain: &Plain) -> anyhow::Result<()> {
    let mut before = f64::NAN;
    loop {
        let now = site
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
        plain.purge(queue).await?;
    }
    Ok(())
}

/// What the members of a community do, half of it commands.
pub(super) fn community_life() -> Vec<Kind> {
    let mut kinds = commands();
    kinds.extend([
        Kind::MemberUpdate { weight: 60 },
        Kind::MemberJoin { weight: 20 },
        Kind::MemberLeave { weight: 20 },
    ]);
    kinds
}

/// Commands alone, `/position` most of all.
pub(super) fn commands() -> Vec<Kind> {
    [
        ("position", 60),
        ("profile", 15),
        ("leaderboard", 10),
        ("threshold", 5),
        ("stats", 5),
        ("help", 5),
    ]
    .into_iter()
    .map(|(name, weight)| Kind::command(name, weight))
    .collect()
}
