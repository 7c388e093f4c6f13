//! A backlog of role changes of many communities through the whole path, and the latency of commands meanwhile.
//!
//! The leader among the workers starts a reconcile of every community, which finds that no member has the right roles and starts
//! a tier sync: jobs → worker → proxy → Discord. Discord allows ten role changes in ten seconds for each server and fifty calls
//! per second in all, so only many communities together can use the global rate.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::load::{Load, LoadStage};

use super::communities;
use super::path::loaded;
use super::{commands, measure_ceiling};
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, Section};

/// Communities whose members lack their roles.
const COMMUNITIES: u32 = 120;
/// Members of each: some two minutes of role changes in all.
const MEMBERS: u32 = 50;
/// Commands per second meanwhile.
const COMMANDS: f64 = 50.0;
/// Length of the measurement.
const SECONDS: f64 = 60.0;
/// The rate that never exceeds Discord's limit: 50 in any 1.1 s.
const SAFE_RATE: f64 = 50.0 / 1.1;
/// Role changes after which the syncs count as started.
const UNDER_WAY: u64 = 150;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    bench.progress("onboarding communities whose members lack their roles");
    let options = BenchPlatformOptions {
        guilds: COMMUNITIES,
        members: MEMBERS,
        shards: 1,
    };
    let mut platform = BenchPlatform::open(options).await?;
    communities::onboard(&platform).await?;
    communities::bind_roles(&platform).await?;
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, commands(), 3.0).await?;
    for _ in 0..2 {
        platform.start_proxy().await?;
    }
    for _ in 0..2 {
        platform.start_worker(true).await?;
    }
    bench.progress("waiting for the tier syncs to start");
    let deadline = Instant::now() + Duration::from_secs(60);
    while CallCounts::of(&platform).await?.role_changes < UNDER_WAY {
        ensure!(
            Instant::now() < deadline,
            "no role was changed: the tier syncs did not start"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let name = format!("role sync of {COMMUNITIES} communities, {COMMANDS:.0} commands/s meanwhile");
    bench.progress(&name);
    platform.discord.reset_stats().await?;
    let load = Load {
        stages: vec![LoadStage::steady("meanwhile", COMMANDS, SECONDS).warming_up(2.0)],
        ..Load::steady(bench.options.seed, COMMANDS, SECONDS, commands())
    };
    let begun = Instant::now();
    let (results, took, usage) = loaded(&platform, &load).await?;
    let calls = CallCounts::of(&platform).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let section = Section::of_load(&name, took, &results, usage)?;
    let summary = section.load.first().context("a load of one stage")?.clone();
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    let figure = |count: u64| count as f64;
    bench.figure(
        "sync: role changes a second",
        figure(calls.role_changes) / seconds,
        "/s",
        Bound::Reported,
    );
    let used = figure(calls.bound) / seconds / SAFE_RATE * 100.0;
    bench.figure("sync: safe rate used", used, "%", Bound::AtLeast(85.0));
    bench.figure("sync: 429s from Discord", figure(calls.limited), "", Bound::Below(1.0));
    let p99 = summary.first.p99_ms;
    bench.figure(
        "sync: intended → defer received meanwhile, p99",
        p99,
        "ms",
        Bound::Below(100.0),
    );
    bench.figure(
        "sync: intended → defer received meanwhile, p95",
        summary.first.p95_ms,
        "ms",
        Bound::Reported,
    );
    let p99 = summary.answer.p99_ms;
    bench.figure(
        "sync: intended → full answer meanwhile, p99",
        p99,
        "ms",
        Bound::Below(250.0),
    );
    bench.figure(
        "sync: commands failed meanwhile",
        summary.failed_percent,
        "%",
        Bound::Below(0.1),
    );
    for process in ["proxy", "worker"] {
        let usage = section
            .processes
            .get(process)
            .with_context(|| format!("the {process} was not monitored"))?;
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let resident = usage.resident_peak_bytes as f64 / 1e6;
        bench.figure(
            &format!("sync: both {process}s, resident"),
            resident,
            "MB",
            Bound::Reported,
        );
    }
    bench.sections.push(section);
    platform.close().await
}

/// Call counts of the emulator.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallCounts {
    /// Roles assigned and removed.
    pub(super) role_changes: u64,
    /// Calls that the global limit counts.
    bound: u64,
    /// Answers with status 429.
    pub(super) limited: u64,
}

impl CallCounts {
    pub(super) async fn of(platform: &BenchPlatform) -> anyhow::Result<Self> {
        let stats = platform.discord.stats().await?;
        let mut calls = Self {
            role_changes: 0,
            bound: 0,
            limited: 0,
        };
        for (route, statuses) in &stats.rest {
            let all: u64 = statuses.values().sum();
            if route.contains("/members/") && route.contains("/roles/") {
                calls.role_changes += all;
            }
            if !route.contains(" /interactions/") && !route.contains(" /webhooks/") {
                calls.bound += all;
                calls.limited += if route == "GET /gateway/bot" {
                    0
                } else {
                    statuses.get(&429).copied().unwrap_or(0)
                };
            }
        }
        Ok(calls)
    }
}
