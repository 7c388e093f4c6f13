//! The whole path: emulator → ingestor → broker → worker → proxy → emulator, judged where the member is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::load::{Load, Results, Stage};

use super::errors::Errors;
use super::shape::{self, Shape};
use super::{commands, communities, community_life, measure_ceiling};
use crate::bench::rounds::Rounds;
use crate::bench::section::percent;
use crate::bench::{Bench, Bound, LoadSummary, SETTLE, Section, Site, SiteOptions, Usage, Watch};

const DEFER_SENT: &str = "arrakis_worker_defer_sent_seconds";
/// Of the interactions due in one second, the share that may fail before the path counts as overloaded, in percent.
const GIVES: f64 = 0.1;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    communities: u32,
    members: u32,
    ceiling_s: f64,
    /// From a worker's start to its first message.
    start: bool,
    /// Rates of commands alone, with seconds and how often.
    fixed: &'static [(f64, f64, usize)],
    /// From 500 commands a second to this many, with seconds: where the path gives.
    rise: Option<(f64, f64)>,
    shape: Option<Shape>,
    judged: bool,
}

impl Steps {
    const WHOLE: Self = Self {
        communities: 20,
        members: 1_000,
        ceiling_s: 6.0,
        start: true,
        fixed: &[(500.0, 15.0, 3), (1_000.0, 20.0, 1)],
        rise: Some((2_500.0, 25.0)),
        shape: None,
        judged: true,
    };

    /// Everything but the mission's shape.
    pub(super) const fn all() -> Self {
        Self::WHOLE
    }

    /// Ceiling and shape, this many seconds long.
    pub(super) const fn shape(seconds: f64) -> Self {
        Self {
            start: false,
            fixed: &[],
            rise: None,
            shape: Some(Shape { seconds }),
            ..Self::WHOLE
        }
    }

    /// Everything, the shape in full.
    pub(super) const fn mission() -> Self {
        Self {
            shape: Some(Shape {
                seconds: shape::MISSION_S,
            }),
            ..Self::WHOLE
        }
    }

    /// A few seconds of little.
    pub(super) const fn smoke() -> Self {
        Self {
            communities: 2,
            members: 30,
            ceiling_s: 0.5,
            start: false,
            fixed: &[(15.0, 2.0, 1)],
            rise: None,
            shape: None,
            judged: false,
        }
    }
}

pub(super) async fn measure(bench: &mut Bench, steps: &Steps) -> anyhow::Result<()> {
    bench.say("the whole path: onboarding the communities");
    let mut site = Site::open(SiteOptions {
        guilds: steps.communities,
        members: steps.members,
        shards: 1,
    })
    .await?;
    communities::onboard(&site).await?;
    site.start_ingestor().await?;
    measure_ceiling(bench, &site, community_life(), steps.ceiling_s).await?;
    site.start_proxy().await?;
    if steps.start {
        start_of_a_worker(bench, &mut site).await?;
    } else {
        site.start_worker(true).await?;
    }
    for (rate, seconds, times) in steps.fixed {
        let mut rounds = Rounds::default();
        for _ in 0..*times {
            fixed(bench, &mut rounds, &site, (*rate, *seconds), steps.judged).await?;
        }
        rounds.tell(bench);
    }
    if let Some((to, seconds)) = steps.rise {
        rise(bench, &site, to, seconds).await?;
    }
    if let Some(shape) = steps.shape {
        shape.measure(bench, &site).await?;
    }
    site.close().await
}

/// A load with what the processes used in it, from its first event until nothing is open.
pub(super) async fn loaded(site: &Site, load: &Load) -> anyhow::Result<(Results, f64, BTreeMap<String, Usage>)> {
    let watch = Watch::begin(&site.processes())?;
    let began = Instant::now();
    site.discord.start_load(load).await?;
    tokio::time::sleep(Duration::from_secs_f64(load.seconds())).await;
    site.discord.wait_for_settled_load(SETTLE).await?;
    let (usage, seconds) = (watch.end()?, began.elapsed().as_secs_f64());
    Ok((site.discord.load_results().await?, seconds, usage))
}

/// The first worker makes the schema's check and registers commands; the second one's start is measured, while members wait.
async fn start_of_a_worker(bench: &mut Bench, site: &mut Site) -> anyhow::Result<()> {
    bench.say("from a worker's start to its first message");
    site.start_worker(true).await?;
    site.stop_service("worker").await?;
    let load = Load::steady(bench.options.seed, 40.0, 5.0, commands());
    site.discord.start_load(&load).await?;
    let started = site.start_worker(true).await?;
    site.discord.wait_for_settled_load(SETTLE).await?;
    let results = site.discord.load_results().await?;
    let events = site.discord.load_events().await?;
    ensure!(
        events.iter().zip(0..).all(|(event, n)| event.n == n),
        "the events of the load have gaps"
    );
    let first = events
        .iter()
        .filter_map(|event| event.first_us)
        .min()
        .context("nothing was responded to")?;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let seconds = (results.progress.started_unix_us + first).saturating_sub(started) as f64 / 1e6;
    bench.figure("worker: start → first message handled", seconds, "s", Bound::Below(2.0));
    Ok(())
}

/// Commands at a fixed rate.
async fn fixed(
    bench: &mut Bench,
    rounds: &mut Rounds,
    site: &Site,
    (rate, seconds): (f64, f64),
    judged: bool,
) -> anyhow::Result<()> {
    let name = format!("the whole path at {rate:.0} commands/s");
    bench.say(&name);
    let warm_up = Load::steady(bench.options.seed + 1, rate, (seconds / 4.0).min(3.0), commands());
    site.discord.start_load(&warm_up).await?;
    site.discord.wait_for_settled_load(SETTLE).await?;
    let before = site.scrape("worker").await?;
    let errors = Errors::begin(site).await?;
    let load = Load {
        stages: vec![Stage::steady("steady", rate, seconds)],
        ..Load::steady(bench.options.seed, rate, seconds, commands())
    };
    let (results, took, usage) = loaded(site, &load).await?;
    let worker = site.scrape("worker").await?.since(&before);
    let wrong = errors.end(site).await?;
    bench.notes.push(format!("{name}: {wrong}"));
    let section = Section::of_load(&name, took, &results, usage)?;
    let summary = section.load.first().context("a load of one stage")?.clone();
    let bound = |applies: bool, most: f64| {
        if applies && judged {
            Bound::Below(most)
        } else {
            Bound::Told
        }
    };
    // A thousand commands a second are more than two cores can do: what fails is told, and the mission's stages are held to
    // the limit. How soon a worker defers is asked for at just that rate.
    let (at_500, at_1000) = (rate < 1_000.0, rate >= 1_000.0);
    let name = |what: &str| format!("{what}, at {rate:.0}/s");
    rounds.figure(
        &name("intended → defer received, p99"),
        summary.first.p99_ms,
        "ms",
        bound(at_500, 25.0),
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
        &name("CPU of all processes for a command"),
        all_cpu_us(&section),
        "µs",
        Bound::Told,
    );
    bench.sections.push(section);
    Ok(())
}

/// CPU of everything that is not the emulator, for an event.
fn all_cpu_us(section: &Section) -> f64 {
    let names = section.processes.keys().filter(|name| *name != "emulator");
    names.map(|name| section.cpu_us_per_event(name)).sum()
}

/// A rising rate, to see where it gives.
async fn rise(bench: &mut Bench, site: &Site, to: f64, seconds: f64) -> anyhow::Result<()> {
    bench.say("a rise to where the path gives");
    let load = Load {
        stages: vec![Stage::slope("rise", 500.0, to, seconds)],
        ..Load::steady(bench.options.seed, to, seconds, commands())
    };
    let (results, took, usage) = loaded(site, &load).await?;
    let gives = results
        .seconds
        .iter()
        .find(|second| percent(second.counts.failed(), second.counts.interactions()) > GIVES);
    match gives {
        #[expect(clippy::cast_precision_loss, reason = "a count of one second")]
        Some(second) => bench.figure(
            "rate of commands at which degradation began",
            second.counts.made as f64,
            "/s",
            Bound::Told,
        ),
        None => bench
            .notes
            .push(format!("up to {to:.0} commands a second nothing degraded")),
    }
    bench
        .sections
        .push(Section::of_load("a rise to where it gives", took, &results, usage)?);
    Ok(())
}

/// The stage of this name.
pub(super) fn stage<'a>(section: &'a Section, name: &str) -> anyhow::Result<&'a LoadSummary> {
    let found = section.load.iter().find(|load| load.stage == name);
    found.with_context(|| format!("the load has no stage {name}"))
}
