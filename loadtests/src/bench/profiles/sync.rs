//! A backlog of role changes of many communities through the whole path, and what members feel of it meanwhile.
//!
//! The workers' leader asks for a reconcile of every community, which finds that nobody has the roles that they should have,
//! and asks for a sync: jobs → worker → proxy → Discord. Discord allows ten role changes in ten seconds for each server and
//! fifty calls a second in all, so only many communities at once can use the rate.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use arrakis_domain::RoleId;
use arrakis_emulator_client::load::{Load, Stage};
use arrakis_themes::Registry;
use serde_json::json;

use super::communities::{self, community_id};
use super::path::loaded;
use super::{commands, measure_ceiling};
use crate::bench::{Bench, Bound, Section, Site, SiteOptions};

/// Communities whose members lack their roles.
const COMMUNITIES: u32 = 120;
/// Members of each: some two minutes of role changes in all.
const MEMBERS: u32 = 50;
/// Commands a second meanwhile.
const COMMANDS: f64 = 50.0;
/// How long it is measured.
const SECONDS: f64 = 60.0;
/// What Discord allows without harm: 50 in any 1.1 s.
const SAFE: f64 = 50.0 / 1.1;
/// Role changes after which the backlog is under way.
const UNDER_WAY: u64 = 150;

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    bench.say("onboarding communities whose members lack their roles");
    let options = SiteOptions {
        guilds: COMMUNITIES,
        members: MEMBERS,
        shards: 1,
    };
    let mut site = Site::open(options).await?;
    communities::onboard(&site).await?;
    bind_roles(&site).await?;
    site.start_ingestor().await?;
    measure_ceiling(bench, &site, commands(), 3.0).await?;
    for _ in 0..2 {
        site.start_proxy().await?;
    }
    for _ in 0..2 {
        site.start_worker(true).await?;
    }
    bench.say("waiting for the syncs to be under way");
    let deadline = Instant::now() + Duration::from_secs(60);
    while Calls::of(&site).await?.role_changes < UNDER_WAY {
        ensure!(Instant::now() < deadline, "no role is changed: the syncs do not begin");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let name = format!("role sync of {COMMUNITIES} communities, {COMMANDS:.0} commands/s meanwhile");
    bench.say(&name);
    site.discord.reset_stats().await?;
    let load = Load {
        stages: vec![Stage::steady("meanwhile", COMMANDS, SECONDS).warming_up(2.0)],
        ..Load::steady(bench.options.seed, COMMANDS, SECONDS, commands())
    };
    let begun = Instant::now();
    let (results, took, usage) = loaded(&site, &load).await?;
    let calls = Calls::of(&site).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let section = Section::of_load(&name, took, &results, usage)?;
    let summary = section.load.first().context("a load of one stage")?.clone();
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    let figure = |count: u64| count as f64;
    bench.figure(
        "sync: role changes a second",
        figure(calls.role_changes) / seconds,
        "/s",
        Bound::Told,
    );
    let used = figure(calls.bound) / seconds / SAFE * 100.0;
    bench.figure("sync: safe rate used", used, "%", Bound::AtLeast(85.0));
    bench.figure(
        "sync: 429s that Discord answered",
        figure(calls.limited),
        "",
        Bound::Below(1.0),
    );
    let p99 = summary.first.p99_ms;
    bench.figure(
        "sync: intended → defer received meanwhile, p99",
        p99,
        "ms",
        Bound::Below(100.0),
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
            .with_context(|| format!("the {process} was not watched"))?;
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let resident = usage.resident_peak_bytes as f64 / 1e6;
        bench.figure(&format!("sync: both {process}s, resident"), resident, "MB", Bound::Told);
    }
    bench.sections.push(section);
    site.close().await
}

/// Makes a role for each tier in each server and binds it.
async fn bind_roles(site: &Site) -> anyhow::Result<()> {
    let admin = site.database.admin().await;
    let themes = Registry::load(None)?;
    let roles = &themes.theme("basic")?.roles;
    let guilds = site.discord.guilds().await?;
    for (n, guild) in (0_u128..).zip(guilds) {
        let mut tx = admin.tenant(community_id(n)).await?;
        for role in roles.iter().filter(|role| role.given_to.is_automatic()) {
            let made = json!({"name": role.key.to_string()});
            let made = site.discord.create_role(guild.id, &made).await?;
            let made = made["id"].as_str().with_context(|| format!("no id in {made}"))?;
            tx.communities().bind_role(&role.key, RoleId(made.parse()?)).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// What the emulator counted.
#[derive(Debug)]
struct Calls {
    /// Roles given and taken.
    role_changes: u64,
    /// Everything that the global limit counts.
    bound: u64,
    /// 429s.
    limited: u64,
}

impl Calls {
    async fn of(site: &Site) -> anyhow::Result<Self> {
        let stats = site.discord.stats().await?;
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
