//! A role sync of one community of 10,000 members, and the latency of commands meanwhile against the same load without a sync.
//!
//! The first worker's reconcile gives every member the right roles. Then: a sync that has nothing to change, whose time is that of the
//! evaluations; the load alone; the load during a sync that changes the roles of a hundred members, which begins with the comparison of
//! all of them; the load alone again. The two runs without a sync show the noise of the machine; the slower one is the reference.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_contracts::{Job, JobKind};
use arrakis_db::{JobRow, NewJob};
use arrakis_emulator_client::load::{Load, LoadStage};
use serde_json::json;
use time::OffsetDateTime;

use super::communities::{self, community_id};
use super::path::loaded;
use super::sync::CallCounts;
use super::{commands, measure_ceiling};
use crate::bench::ceiling::BenchConnection;
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, LoadSummary, Section};

/// Members of the community.
const MEMBERS: u32 = 10_000;
/// Commands per second.
const COMMANDS: f64 = 50.0;
/// Length of the load during the sync, and of each one without.
const SECONDS: f64 = 60.0;
/// Role changes that Discord accepts in a server at once; after them it accepts one a second.
const BURST: u64 = 10;
/// Time limit of a sync.
const LIMIT: Duration = Duration::from_secs(600);

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    bench.progress(&format!("onboarding a community of {MEMBERS} members"));
    let options = BenchPlatformOptions {
        guilds: 1,
        members: MEMBERS,
        shards: 1,
    };
    let mut platform = BenchPlatform::open(options).await?;
    communities::onboard(&platform).await?;
    communities::bind_roles(&platform).await?;
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, commands(), 3.0).await?;
    platform.start_proxy().await?;
    platform.start_worker(true).await?;
    bench.progress("the first reconcile: one role change a second");
    until_first_roles(&platform).await?;
    nothing_to_change(bench, &platform).await?;
    let before = load(bench, &platform, "commands without a sync, before it").await?;
    let during = changes(bench, &platform).await?;
    let after = load(bench, &platform, "commands without a sync, after it").await?;
    compare(bench, &during, [&before, &after]);
    platform.close().await
}

/// Waits until the first reconcile and its tier sync have ended: the roles are then as the rules assign them.
async fn until_first_roles(platform: &BenchPlatform) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while CallCounts::of(platform).await?.role_changes == 0 {
        ensure!(
            Instant::now() < deadline,
            "no role was changed: the first reconcile did not start a tier sync"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    communities::until_jobs_ended(platform).await
}

/// A sync of members who all have the right roles.
async fn nothing_to_change(bench: &mut Bench, platform: &BenchPlatform) -> anyhow::Result<()> {
    bench.progress("a sync that has nothing to change");
    platform.discord.reset_stats().await?;
    enqueue(platform, "tier-sync:bench:same").await?;
    let job = ended(platform, "tier-sync:bench:same").await?;
    let calls = CallCounts::of(platform).await?;
    let (started, finished) = job
        .started_at
        .zip(job.finished_at)
        .context("an ended job has both times")?;
    let seconds = (finished - started).as_seconds_f64();
    bench.figure(
        &format!("role sync: {MEMBERS} members read, evaluated and compared"),
        seconds,
        "s",
        Bound::Below(10.0),
    );
    bench.figure(
        "role sync: one member evaluated",
        seconds * 1_000.0 / f64::from(MEMBERS),
        "ms",
        Bound::Below(1.0),
    );
    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    let role_changes = calls.role_changes as f64;
    bench.figure(
        "role sync: role changes when nothing differs",
        role_changes,
        "",
        Bound::Below(1.0),
    );
    Ok(())
}

/// The load while a sync changes roles. It begins in the first second of the load.
async fn changes(bench: &mut Bench, platform: &BenchPlatform) -> anyhow::Result<LoadSummary> {
    // Every automatic role is a new one, which all its members lack.
    communities::bind_roles(platform).await?;
    platform.discord.reset_stats().await?;
    let id = "tier-sync:bench:changes";
    let (summary, rate) = tokio::join!(load(bench, platform, "commands during the sync"), async {
        enqueue(platform, id).await?;
        rate_of_changes(platform).await
    });
    let (summary, rate) = (summary?, rate?);
    let shown = progress(platform, id).await?;
    bench
        .notes
        .push(format!("role sync: progress at the end of the load: {shown}"));
    communities::until_jobs_ended(platform).await?;
    bench.figure(
        "role sync: role changes a second, after the first ten (Discord allows 1)",
        rate,
        "/s",
        Bound::AtLeast(0.85),
    );
    let calls = CallCounts::of(platform).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    let limited = calls.limited as f64;
    bench.figure("role sync: 429s from Discord", limited, "", Bound::Below(1.0));
    Ok(summary)
}

/// The role changes of a second, from the end of the first burst until most of the load is over.
async fn rate_of_changes(platform: &BenchPlatform) -> anyhow::Result<f64> {
    let deadline = Instant::now() + Duration::from_secs_f64(SECONDS * 0.9);
    let mut first = None;
    while Instant::now() < deadline {
        let made = CallCounts::of(platform).await?.role_changes;
        if first.is_none() && made >= BURST {
            first = Some((made, Instant::now()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (before, since) = first.context("the sync changed fewer than ten roles during the load")?;
    let made = CallCounts::of(platform).await?.role_changes - before;
    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    Ok(made as f64 / since.elapsed().as_secs_f64())
}

/// A load of commands, as a section of the report.
async fn load(bench: &mut Bench, platform: &BenchPlatform, name: &str) -> anyhow::Result<LoadSummary> {
    bench.progress(name);
    let load = Load {
        stages: vec![LoadStage::steady("steady", COMMANDS, SECONDS)],
        ..Load::steady(bench.options.seed, COMMANDS, SECONDS, commands())
    };
    let (results, took, usage) = loaded(platform, &load).await?;
    let section = Section::of_load(name, took, &results, usage)?;
    let summary = section.load.first().context("a load of one stage")?.clone();
    bench.sections.push(section);
    Ok(summary)
}

/// A quantile of a load.
type Quantile = fn(&LoadSummary) -> f64;

/// The figures of the time to a defer: during the sync, and as a ratio to the slower run without one.
fn compare(bench: &mut Bench, during: &LoadSummary, without: [&LoadSummary; 2]) {
    let slower = |of: Quantile| of(without[0]).max(of(without[1]));
    let figures: [(&str, Quantile, f64); 2] = [
        ("p50", |summary| summary.first.p50_ms, 1.25),
        ("p99", |summary| summary.first.p99_ms, 1.5),
    ];
    for (quantile, of, most) in figures {
        let runs = without.map(|summary| format!("{:.2}", of(summary)));
        bench.notes.push(format!(
            "role sync: intended → defer received, {quantile}: {:.2} ms during it, {} ms without",
            of(during),
            runs.join(" and ")
        ));
        bench.figure(
            &format!("role sync: intended → defer received, {quantile}, ratio to without"),
            of(during) / slower(of),
            "×",
            Bound::Below(most),
        );
    }
    bench.figure(
        "role sync: intended → defer received meanwhile, p95",
        during.first.p95_ms,
        "ms",
        Bound::Reported,
    );
    bench.figure(
        "role sync: intended → defer received meanwhile, p99",
        during.first.p99_ms,
        "ms",
        Bound::Below(100.0),
    );
    bench.figure(
        "role sync: commands failed meanwhile",
        during.failed_percent,
        "%",
        Bound::Below(0.1),
    );
}

/// Enqueues a tier sync of the whole community, as workers do: the row first, then the message.
async fn enqueue(platform: &BenchPlatform, id: &str) -> anyhow::Result<()> {
    let community = community_id(0);
    let admin = platform.database.admin().await;
    let mut tx = admin.tenant(community).await?;
    let row = NewJob {
        id,
        kind: JobKind::TierSync.name(),
        payload: json!({}),
        due_at: OffsetDateTime::now_utc(),
    };
    ensure!(tx.jobs().enqueue(&row).await?, "there is a job {id} already");
    tx.commit().await?;
    let connection = BenchConnection::open(&platform.vhost.url()).await?;
    let job = Job::new(id, JobKind::TierSync, Some(community.to_string()));
    connection.publish_job(&job).await?;
    connection.close().await;
    Ok(())
}

async fn row(platform: &BenchPlatform, id: &str) -> anyhow::Result<Option<JobRow>> {
    let admin = platform.database.admin().await;
    let mut tx = admin.tenant(community_id(0)).await?;
    let row = tx.jobs().get(id).await?;
    tx.commit().await?;
    Ok(row)
}

/// The row of a job once it has ended well.
async fn ended(platform: &BenchPlatform, id: &str) -> anyhow::Result<JobRow> {
    communities::until_jobs_ended(platform).await?;
    let job = row(platform, id).await?.with_context(|| format!("no job {id}"))?;
    ensure!(job.error.is_none(), "job {id} has failed: {:?}", job.error);
    Ok(job)
}

/// The progress that the rows of a sync's parts show.
async fn progress(platform: &BenchPlatform, id: &str) -> anyhow::Result<String> {
    let mut shown = Vec::new();
    for part in 0..10 {
        let id = if part == 0 {
            id.to_owned()
        } else {
            format!("{id}+{part}")
        };
        let Some(job) = row(platform, &id).await? else { break };
        let total = job
            .progress_total
            .map_or_else(|| "?".to_owned(), |total| total.to_string());
        shown.push(format!("{} of {total}", job.progress_done));
    }
    ensure!(!shown.is_empty(), "no job {id}");
    Ok(format!("{} role changes", shown.join(", then ")))
}
