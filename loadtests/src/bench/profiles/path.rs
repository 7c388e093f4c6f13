//! The whole path: emulator → ingestor → broker → worker → proxy → emulator, measured at the emulator.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::load::{Load, LoadStage, Results};

use super::errors::FailureCounter;
use super::mission::{self, MissionLoad};
use super::{commands, communities, community_life, measure_ceiling};
use crate::bench::rounds::Rounds;
use crate::bench::section::percent;
use crate::bench::{
    Bench, BenchPlatform, BenchPlatformOptions, Bound, LoadSummary, ProcessMonitor, SETTLE, Section, Usage,
};

const DEFER_SENT: &str = "arrakis_worker_defer_sent_seconds";
/// Share of failures among the interactions due in one second above which the path counts as overloaded, in percent.
const OVERLOAD_PERCENT: f64 = 0.1;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathSteps {
    communities: u32,
    members: u32,
    ceiling_s: f64,
    /// Whether to measure the time from a worker's start to its first message.
    start: bool,
    /// Rates of commands, with seconds and number of rounds.
    fixed: &'static [(f64, f64, usize)],
    /// Highest rate of the rise from 500 commands per second, with its seconds.
    rise: Option<(f64, f64)>,
    shape: Option<MissionLoad>,
    has_threshold: bool,
}

impl PathSteps {
    const WHOLE: Self = Self {
        communities: 20,
        members: 1_000,
        ceiling_s: 6.0,
        start: true,
        fixed: &[(500.0, 15.0, 3), (1_000.0, 20.0, 1)],
        rise: Some((2_500.0, 25.0)),
        shape: None,
        has_threshold: true,
    };

    /// Everything but the mission's load.
    pub(super) const fn all() -> Self {
        Self::WHOLE
    }

    /// The ceiling and the mission's load, this many seconds long.
    pub(super) const fn shape(seconds: f64) -> Self {
        Self {
            start: false,
            fixed: &[],
            rise: None,
            shape: Some(MissionLoad { seconds }),
            ..Self::WHOLE
        }
    }

    /// Everything, with the mission's load in full.
    pub(super) const fn mission() -> Self {
        Self {
            shape: Some(MissionLoad {
                seconds: mission::MISSION_S,
            }),
            ..Self::WHOLE
        }
    }

    /// A few seconds of each.
    pub(super) const fn smoke() -> Self {
        Self {
            communities: 2,
            members: 30,
            ceiling_s: 0.5,
            start: false,
            fixed: &[(15.0, 2.0, 1)],
            rise: None,
            shape: None,
            has_threshold: false,
        }
    }
}

pub(super) async fn measure(bench: &mut Bench, steps: &PathSteps) -> anyhow::Result<()> {
    bench.progress("the whole path: onboarding the communities");
    let mut platform = BenchPlatform::open(BenchPlatformOptions {
        guilds: steps.communities,
        members: steps.members,
        shards: 1,
    })
    .await?;
    communities::onboard(&platform).await?;
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, community_life(), steps.ceiling_s).await?;
    platform.start_proxy().await?;
    if steps.start {
        start_of_a_worker(bench, &mut platform).await?;
    } else {
        platform.start_worker(true).await?;
    }
    for (rate, seconds, times) in steps.fixed {
        let mut rounds = Rounds::default();
        for _ in 0..*times {
            fixed(bench, &mut rounds, &platform, (*rate, *seconds), steps.has_threshold).await?;
        }
        rounds.report(bench);
    }
    if let Some((to, seconds)) = steps.rise {
        rise(bench, &platform, to, seconds).await?;
    }
    if let Some(shape) = steps.shape {
        shape.measure(bench, &platform).await?;
    }
    platform.close().await
}

/// Runs a load and measures each process from its first event until no event is open.
pub(super) async fn loaded(
    platform: &BenchPlatform,
    load: &Load,
) -> anyhow::Result<(Results, f64, BTreeMap<String, Usage>)> {
    let monitor = ProcessMonitor::begin(&platform.processes())?;
    let began = Instant::now();
    platform.discord.start_load(load).await?;
    tokio::time::sleep(Duration::from_secs_f64(load.seconds())).await;
    platform.discord.wait_for_settled_load(SETTLE).await?;
    let (usage, seconds) = (monitor.end()?, began.elapsed().as_secs_f64());
    Ok((platform.discord.load_results().await?, seconds, usage))
}

/// The first worker checks the schema and registers the commands. The start of the second one is measured, while commands wait.
async fn start_of_a_worker(bench: &mut Bench, platform: &mut BenchPlatform) -> anyhow::Result<()> {
    bench.progress("from a worker's start to its first message");
    platform.start_worker(true).await?;
    platform.stop_service("worker").await?;
    let load = Load::steady(bench.options.seed, 40.0, 5.0, commands());
    platform.discord.start_load(&load).await?;
    let started = platform.start_worker(true).await?;
    platform.discord.wait_for_settled_load(SETTLE).await?;
    let results = platform.discord.load_results().await?;
    let events = platform.discord.load_events().await?;
    ensure!(
        events.iter().zip(0..).all(|(event, n)| event.n == n),
        "the events of the load have gaps"
    );
    let first = events
        .iter()
        .filter_map(|event| event.first_us)
        .min()
        .context("no event has a first response")?;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let seconds = (results.progress.started_unix_us + first).saturating_sub(started) as f64 / 1e6;
    bench.figure("worker: start → first message handled", seconds, "s", Bound::Below(2.0));
    Ok(())
}

/// Commands at a fixed rate.
async fn fixed(
    bench: &mut Bench,
    rounds: &mut Rounds,
    platform: &BenchPlatform,
    (rate, seconds): (f64, f64),
    has_threshold: bool,
) -> anyhow::Result<()> {
    let name = format!("the whole path at {rate:.0} commands/s");
    bench.progress(&name);
    let warm_up = Load::steady(bench.options.seed + 1, rate, (seconds / 4.0).min(3.0), commands());
    platform.discord.start_load(&warm_up).await?;
    platform.discord.wait_for_settled_load(SETTLE).await?;
    let before = platform.scrape("worker").await?;
    let errors = FailureCounter::begin(platform).await?;
    let load = Load {
        stages: vec![LoadStage::steady("steady", rate, seconds)],
        ..Load::steady(bench.options.seed, rate, seconds, commands())
    };
    let (results, took, usage) = loaded(platform, &load).await?;
    let worker = platform.scrape("worker").await?.since(&before);
    let wrong = errors.end(platform).await?;
    bench.notes.push(format!("{name}: {wrong}"));
    let section = Section::of_load(&name, took, &results, usage)?;
    let summary = section.load.first().context("a load of one stage")?.clone();
    let bound = |applies: bool, most: f64| {
        if applies && has_threshold {
            Bound::Below(most)
        } else {
            Bound::Reported
        }
    };
    // A thousand commands per second exceed two cores: the failures are only reported. The mission's sustained stages have a
    // threshold for failures. The worker's time to the defer has its threshold at this rate.
    let (at_500, at_1000) = (rate < 1_000.0, rate >= 1_000.0);
    let name = |what: &str| format!("{what}, at {rate:.0}/s");
    rounds.figure(
        &name("intended → defer received, p99"),
        summary.first.p99_ms,
        "ms",
        bound(at_500, 25.0),
    );
    rounds.figure(
        &name("intended → defer received, p95"),
        summary.first.p95_ms,
        "ms",
        Bound::Reported,
    );
    rounds.figure(
        &name("intended → full answer of /position, p95"),
        summary.position.p95_ms,
        "ms",
        Bound::Reported,
    );
    rounds.figure(
        &name("intended → full answer of /position, p99"),
        summary.position.p99_ms,
        "ms",
        bound(at_500, 100.0),
    );
    let defer = worker.quantile_ms(DEFER_SENT, 0.99)?;
    rounds.figure(
        &name("worker: delivered → defer sent, p99"),
        defer,
        "ms",
        bound(at_1000, 10.0),
    );
    rounds.most(
        &name("failed (expired, unanswered, unknown)"),
        summary.failed_percent + wrong.percent_of(summary.counts.made),
        "%",
        bound(at_500, 0.1),
    );
    rounds.figure(
        &name("CPU of all processes per command"),
        all_cpu_us(&section),
        "µs",
        Bound::Reported,
    );
    bench.sections.push(section);
    Ok(())
}

/// CPU time of all processes but the emulator, per event.
fn all_cpu_us(section: &Section) -> f64 {
    let names = section.processes.keys().filter(|name| *name != "emulator");
    names.map(|name| section.cpu_us_per_event(name)).sum()
}

/// A rising rate, to find where commands begin to fail.
async fn rise(bench: &mut Bench, platform: &BenchPlatform, to: f64, seconds: f64) -> anyhow::Result<()> {
    bench.progress("a rising rate until commands fail");
    let load = Load {
        stages: vec![LoadStage::slope("rise", 500.0, to, seconds)],
        ..Load::steady(bench.options.seed, to, seconds, commands())
    };
    let (results, took, usage) = loaded(platform, &load).await?;
    let gives = results
        .seconds
        .iter()
        .find(|second| percent(second.counts.failed(), second.counts.interactions()) > OVERLOAD_PERCENT);
    match gives {
        #[expect(clippy::cast_precision_loss, reason = "a count of one second")]
        Some(second) => bench.figure(
            "commands per second at which degradation began",
            second.counts.made as f64,
            "/s",
            Bound::Reported,
        ),
        None => bench.notes.push(format!("no degradation up to {to:.0} commands/s")),
    }
    bench.sections.push(Section::of_load(
        "a rising rate until commands fail",
        took,
        &results,
        usage,
    )?);
    Ok(())
}

/// The stage of this name.
pub(super) fn stage<'a>(section: &'a Section, name: &str) -> anyhow::Result<&'a LoadSummary> {
    let found = section.load.iter().find(|load| load.stage == name);
    found.with_context(|| format!("the load has no stage {name}"))
}
