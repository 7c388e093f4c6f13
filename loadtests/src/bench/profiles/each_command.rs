//! Each command of members and admins alone at a fixed rate through the whole path, with a threshold for its full answer, and the CPU of
//! drawing a badge card.
//!
//! Commands of members are measured as members without permissions. Then `@everyone` gets the permission of an administrator, so that
//! every member of the load is an admin. What a command starts, a job or a call to Discord beyond its answer, runs meanwhile.

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::SeedRequest;
use arrakis_emulator_client::load::{EventKind, Load, LoadStage};
use serde_json::{Value, json};

use super::path::loaded;
use super::{card, commands, communities, measure_ceiling};
use crate::bench::{Bench, BenchPlatform, BenchPlatformOptions, Bound, SETTLE, Section};

/// Onboarded servers, and members of each.
const COMMUNITIES: u32 = 20;
const MEMBERS: u32 = 1_000;
/// Members of the server that is not onboarded. Each has a wizard of its own after the warm-up.
const OTHERS: u64 = 30;
/// Commands per second.
const RATE: f64 = 100.0;
/// Length of one measurement.
const SECONDS: f64 = 15.0;
/// Length of the warm-up before it.
const WARM_UP: f64 = 3.0;
/// The threshold of the full answer's p99, in milliseconds.
const ANSWER_MS: f64 = 150.0;
/// Discord's bit of the permission Administrator.
const ADMINISTRATOR: &str = "8";

/// Where a command is measured.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In all communities.
    Communities,
    /// In one community. Its members use a command every ten seconds, which is longer than the cooldowns.
    OneCommunity,
    /// In a server that is not onboarded.
    NotOnboarded,
}

/// Commands of members, with their subcommands.
const OF_MEMBERS: [&str; 13] = [
    "position",
    "stats",
    "threshold",
    "leaderboard",
    "directory",
    "profile",
    "badges",
    "alerts",
    "naib",
    "register-waitlist",
    "verify status",
    "water-share",
    "help",
];

pub(super) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    card::measure(bench).await?;
    bench.progress("commands: onboarding the communities");
    let options = BenchPlatformOptions {
        guilds: COMMUNITIES,
        members: MEMBERS,
        shards: 1,
    };
    let mut platform = BenchPlatform::open(options).await?;
    communities::onboard_with(&platform, "sietch").await?;
    let communities: Vec<u64> = guilds(&platform).await?;
    let seed = SeedRequest::Load {
        guilds: u64::from(COMMUNITIES) + 1,
        members: OTHERS,
    };
    platform.discord.seed(&seed).await?;
    let other = guilds(&platform).await?;
    let other = other.into_iter().find(|guild| !communities.contains(guild));
    let places = Places {
        communities,
        other: other.context("the seed added no server")?,
    };
    platform.start_ingestor().await?;
    measure_ceiling(bench, &platform, commands(), 3.0).await?;
    platform.start_proxy().await?;
    // What needs a second factor runs without one, as in a development deployment: the refusal would be measured otherwise. The page about
    // measuring states this exception.
    let variables = [("ADMIN_COMMANDS_WITHOUT_MFA", "yes".to_owned())];
    platform.start_worker_with(&variables, true).await?;
    until_registered(&platform).await?;
    communities::until_jobs_ended(&platform).await?;
    for name in OF_MEMBERS {
        let kinds = vec![EventKind::command(name, 1)];
        one(bench, &platform, &places, (name, Place::Communities, kinds)).await?;
    }
    make_all_admins(&platform, &places).await?;
    for (name, place, options) in of_admins(&platform, &places).await? {
        one(bench, &platform, &places, (name, place, kinds(name, options))).await?;
    }
    platform.close().await
}

/// The servers by their role in the measurement.
#[derive(Debug)]
struct Places {
    communities: Vec<u64>,
    other: u64,
}

impl Places {
    fn guilds(&self, place: Place) -> Vec<String> {
        let guilds = match place {
            Place::Communities => self.communities.as_slice(),
            Place::OneCommunity => self.communities.get(..1).unwrap_or_default(),
            Place::NotOnboarded => std::slice::from_ref(&self.other),
        };
        guilds.iter().map(u64::to_string).collect()
    }
}

async fn guilds(platform: &BenchPlatform) -> anyhow::Result<Vec<u64>> {
    Ok(platform
        .discord
        .guilds()
        .await?
        .iter()
        .map(|guild| guild.id.0)
        .collect())
}

/// Commands of admins, with their options: one event kind for each. The ones that start jobs are last.
async fn of_admins(
    platform: &BenchPlatform,
    places: &Places,
) -> anyhow::Result<Vec<(&'static str, Place, Vec<Option<Value>>)>> {
    let guild = places.communities.first().context("there are communities")?;
    let members = platform.discord.members(*guild).await?;
    let people = members.iter().filter(|member| member["user"]["bot"] != true);
    let people: Vec<&str> = people.filter_map(|member| member["user"]["id"].as_str()).collect();
    let someone = *people.first().context("the community has members")?;
    let give = |member: &&str| {
        let options = json!({"action": "give", "member": member, "badge": "contributor", "reason": "for the bench"});
        Some(options)
    };
    Ok(vec![
        ("onboard", Place::NotOnboarded, vec![None]),
        ("resume", Place::NotOnboarded, vec![None]),
        ("admin-stats", Place::Communities, vec![None]),
        ("admin-water-share", Place::Communities, vec![None]),
        ("admin-gates", Place::Communities, vec![None]),
        ("admin-roles", Place::Communities, vec![None]),
        // A preview reads all members from Discord, whose limit would be measured.
        ("admin-migrate", Place::Communities, vec![Some(json!({"undo": "1"}))]),
        (
            "admin-takeover",
            Place::OneCommunity,
            vec![Some(json!({"admin": someone}))],
        ),
        // Each member is given the badge at most once, and another time is refused.
        ("admin-badge", Place::OneCommunity, people.iter().map(give).collect()),
        (
            "reconcile",
            Place::Communities,
            vec![Some(json!({"action": "compare"}))],
        ),
    ])
}

fn kinds(name: &str, options: Vec<Option<Value>>) -> Vec<EventKind> {
    let kind = |options| EventKind::Command {
        name: name.to_owned(),
        options,
        weight: 1,
    };
    options.into_iter().map(kind).collect()
}

/// Gives `@everyone` of each server the permission Administrator, as the bot, which has it.
async fn make_all_admins(platform: &BenchPlatform, places: &Places) -> anyhow::Result<()> {
    let (api, token) = platform.discord_api();
    let client = reqwest::Client::new();
    for guild in places.communities.iter().chain([&places.other]) {
        // The id of @everyone equals the server's id.
        let answer = client
            .patch(format!("{api}/guilds/{guild}/roles/{guild}"))
            .header("authorization", format!("Bot {token}"))
            .json(&json!({"permissions": ADMINISTRATOR}))
            .send()
            .await?;
        let status = answer.status();
        ensure!(
            status.is_success(),
            "the permissions of @everyone: {status} {}",
            answer.text().await?
        );
    }
    Ok(())
}

/// Waits until the leader has registered the commands with their options.
async fn until_registered(platform: &BenchPlatform) -> anyhow::Result<()> {
    platform
        .discord
        .until("the commands to be registered", async || {
            let commands = platform.discord.commands().await?;
            let found = commands.iter().any(|command| command["name"] == "admin-badge");
            Ok(found.then_some(()))
        })
        .await
}

/// One command at the rate, after a warm-up.
async fn one(
    bench: &mut Bench,
    platform: &BenchPlatform,
    places: &Places,
    (name, place, kinds): (&str, Place, Vec<EventKind>),
) -> anyhow::Result<()> {
    let title = format!("/{name} at {RATE:.0}/s");
    bench.progress(&title);
    let load = |seed: u64, seconds: f64| Load {
        stages: vec![LoadStage::steady("steady", RATE, seconds)],
        guilds: Some(places.guilds(place)),
        ..Load::steady(seed, RATE, seconds, kinds.clone())
    };
    platform
        .discord
        .start_load(&load(bench.options.seed + 1, WARM_UP))
        .await?;
    platform.discord.wait_for_settled_load(SETTLE).await?;
    let (results, took, usage) = loaded(platform, &load(bench.options.seed, SECONDS)).await?;
    let section = Section::of_load(&title, took, &results, usage)?;
    let summary = section.load.first().context("a load of one stage")?.clone();
    bench.figure(
        &format!("{title}: intended → full answer, p95"),
        summary.answer.p95_ms,
        "ms",
        Bound::Reported,
    );
    bench.figure(
        &format!("{title}: intended → full answer, p99"),
        summary.answer.p99_ms,
        "ms",
        Bound::Below(ANSWER_MS),
    );
    bench.figure(
        &format!("{title}: failed"),
        summary.failed_percent,
        "%",
        Bound::Below(0.1),
    );
    bench.sections.push(section);
    Ok(())
}
