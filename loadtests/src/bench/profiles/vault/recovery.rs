//! The recovery of the server Sietch Tabr, whose theme is `sietch`, while the platform runs: gaib tears it down, applies its export and
//! restores its checkpoint, and the platform gives the members their roles. It has ended when members see what they saw before.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_config::Secret;

use super::super::communities::until_jobs_ended_in;
use super::limit_waits::LimitWaits;
use super::storage::Storage;
use super::{VaultSteps, monitor};
use crate::bench::platform::experiments;
use crate::bench::{Bench, Bound, Section};
use crate::platform::{Gaib, Platform, ServerView};
use crate::seed;

/// Time between two comparisons with the server before.
const INTERVAL: Duration = Duration::from_millis(250);
/// The threshold of a recovery, in seconds.
const RECOVERY_S: f64 = 900.0;
/// The least share of Discord's limits, in percent: a recovery takes most of its time to wait for them.
const LIMITS_PERCENT: f64 = 50.0;

/// When each step of a recovery had ended, since its beginning.
struct Ends {
    teardown: Duration,
    apply: Duration,
    checkpoint: Duration,
    /// The members have their roles.
    roles: Duration,
}

pub(super) async fn measure(
    bench: &mut Bench,
    platform: &mut Platform,
    storage: &Storage,
    steps: &VaultSteps,
) -> anyhow::Result<()> {
    bench.progress("seeding Sietch Tabr, starting the platform");
    let admin_url = Secret::new(platform.database().admin_url());
    let plan = Box::pin(seed::run(&platform.discord, &admin_url, bench.options.seed)).await?;
    let server = plan.servers.first().context("the seed has servers")?;
    platform.spawn_worker(&experiments())?.ready().await;
    platform.spawn_ingestor(&experiments())?.ready().await;
    platform.spawn_api(&experiments())?.ready().await;
    // The first worker begins with a reconcile of each community.
    until_jobs_ended_in(platform.database()).await?;
    let mut gaib = platform.gaib_through_proxies()?;
    gaib.set(storage.variables());
    platform.connect_gaib(&mut gaib, server.guild).await?;

    let name = "recovery of a torn-down Sietch server";
    bench.progress(name);
    platform.discord.reset_stats().await?;
    let proxy = platform.proxies.first().context("a proxy runs")?;
    let waits = LimitWaits::begin(proxy.health_addr());
    let processes = monitor(platform, storage)?;
    let ends = recover(platform, &gaib, (server.guild, server.name), steps).await?;
    let waited = waits.end().await?;
    let calls = platform.discord.stats().await?.rest_total;
    let seconds = ends.roles.as_secs_f64();
    let section = Section::without_load(name.to_owned(), seconds, calls, processes.end()?);
    bench.sections.push(section);
    figures(bench, steps, &ends, waited);
    Ok(())
}

async fn recover(
    platform: &Platform,
    gaib: &Gaib,
    (guild, name): (u64, &str),
    steps: &VaultSteps,
) -> anyhow::Result<Ends> {
    let before = ServerView::read(&platform.discord, guild).await?;
    let began = Instant::now();
    let torn_down = gaib.tear_down(guild, name).await?;
    let teardown = began.elapsed();
    let empty = ServerView::read(&platform.discord, guild).await?;
    ensure!(
        empty.channels.is_empty() && empty.roles.len() < before.roles.len(),
        "the server has {} channels and {} roles after its teardown",
        empty.channels.len(),
        empty.roles.len()
    );
    gaib.apply_export(&torn_down).await?;
    let apply = began.elapsed();
    gaib.restore_checkpoint(&torn_down).await?;
    let checkpoint = began.elapsed();
    until_recovered(platform, guild, &before, steps.roles_limit).await?;
    Ok(Ends {
        teardown,
        apply,
        checkpoint,
        roles: began.elapsed(),
    })
}

/// Waits until members see what they saw before.
async fn until_recovered(platform: &Platform, guild: u64, before: &ServerView, limit: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let now = ServerView::read(&platform.discord, guild).await?;
        if now == *before {
            return Ok(());
        }
        if began.elapsed() >= limit {
            let members = before.members.iter();
            let differing = members
                .filter(|(id, roles)| now.members.get(*id) != Some(*roles))
                .count();
            anyhow::bail!(
                "{} s after the restore of the checkpoint, roles are equal: {}, channels are equal: {}, {differing} of {} members differ",
                limit.as_secs(),
                now.roles == before.roles,
                now.channels == before.channels,
                before.members.len()
            );
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn figures(bench: &mut Bench, steps: &VaultSteps, ends: &Ends, waited: Duration) {
    let parts = [
        ("teardown", ends.teardown),
        ("apply of the export", ends.apply - ends.teardown),
        ("restore of the checkpoint", ends.checkpoint - ends.apply),
        ("members' roles", ends.roles - ends.checkpoint),
    ];
    for (part, took) in parts {
        let name = format!("vault: recovery, {part}");
        bench.figure(&name, took.as_secs_f64(), "s", Bound::Reported);
    }
    let whole = ends.roles.as_secs_f64();
    let limit = steps.bound(Bound::Below(RECOVERY_S));
    bench.figure(
        "vault: recovery, teardown → members have their roles",
        whole,
        "s",
        limit,
    );
    let share = waited.as_secs_f64() / whole * 100.0;
    let limit = steps.bound(Bound::AtLeast(LIMITS_PERCENT));
    bench.figure("vault: recovery, share of Discord's limits", share, "%", limit);
}
