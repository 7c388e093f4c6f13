//! The wizard of `/onboard`: workers are killed in its deploy, and Redis, which has its sessions, is lost.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::workers::{start_armed, start_unarmed, wait_for_kill};
use crate::chaos::Invariant::{I1, I2, I5};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::platform::WizardDialog;
use crate::platform::servers::RedisServer;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 20,
        name: "killed-in-wizards-deploy",
        what: "SIGKILL of the worker at each seam of the wizard's deploy, and at calls of the job that follows",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "one community, manifest and job; each role and channel exists once; `/resume` shows the end",
        guard: Guard::FailPoint("worker.guard.synthesis=skip"),
        without_guard: "roles of the theme exist up to four times",
        run: |testbed| Box::pin(killed_in_deploy(testbed)),
    },
    Scenario {
        fault: 43,
        name: "redis-lost-in-mid-wizard",
        what: "SIGKILL of Redis in mid-wizard, a new one without data, and the same after Deploy",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "nothing is set up before Deploy; the admin is asked to begin again, and can within 10 s; the deploy completes \
                   without Redis",
        guard: Guard::Harness("Redis stays away"),
        without_guard: "",
        run: |testbed| Box::pin(redis_lost(testbed)),
    },
];

/// Seams of the command, each of which is reached by a press of Deploy.
const COMMAND_SEAMS: [&str; 3] = [
    "worker.running[onboard]=kill",
    "worker.onboard.storing=kill",
    "worker.onboard.stored=kill",
];
/// Seams of the job: before and after a creation in the middle, after the order of the roles or the assignment of the bot's role, and
/// after the job's end is stored.
const JOB_SEAMS: [&str; 4] = [
    "worker.synthesis.calling[POST]=kill@4",
    "worker.synthesis.called[POST]=kill@4",
    "worker.synthesis.called[PUT]=kill;worker.synthesis.called[PATCH]=kill",
    "broker.handled[synthesis]=kill",
];
/// Time limit for the deploy to be completed: 20 creations at ten calls a second, and the search for one without a response.
const DEPLOYED_WITHIN: Duration = Duration::from_secs(60);
/// Time limit until the wizard begins again after Redis is back.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// The theme's roles and channels.
const ROLES: [&str; 6] = ["Community Bot", "Gold", "Silver", "Bronze", "Waitlist", "Veteran"];
const CHANNELS: [&str; 6] = [
    "announcements",
    "bot-commands",
    "leaderboard",
    "bronze-lounge",
    "silver-lounge",
    "gold-lounge",
];

/// The server that is not onboarded.
struct EmptyServer {
    guild: u64,
    channel: u64,
    owner: u64,
}

impl EmptyServer {
    async fn find(testbed: &mut Testbed) -> anyhow::Result<Self> {
        let servers = &testbed.plan().servers;
        let server = servers.iter().find(|server| server.community.is_none());
        let server = server.context("the seed has no server that is not onboarded")?;
        let (guild, owner) = (server.guild, server.members[0].user);
        let view = testbed.discord().guild(guild).await?;
        let mut channels = view["channels"].as_array().into_iter().flatten();
        let channel = channels.find(|channel| channel["type"] == 0);
        let channel = channel.and_then(|channel| channel["id"].as_str());
        let channel = channel.context("the server has no text channel")?.parse()?;
        Ok(Self { guild, channel, owner })
    }

    fn place(&self) -> (u64, u64) {
        (self.guild, self.channel)
    }

    /// The owner runs `/onboard`, once a worker has registered it.
    async fn onboard(&self, testbed: &mut Testbed) -> anyhow::Result<WizardDialog> {
        let registered = async |testbed: &mut Testbed| Ok(!testbed.discord().commands().await?.is_empty());
        testbed.wait_until("the commands to be registered", registered).await?;
        WizardDialog::begin(testbed.discord(), self.place(), self.owner).await
    }

    /// Checks what the deploy of this session has stored and created.
    async fn expect_deployed_once(&self, testbed: &mut Testbed, session: &str) -> anyhow::Result<()> {
        let deployed =
            async |testbed: &mut Testbed| Ok(job_state(testbed, session).await?.as_deref() == Some("succeeded"));
        let begun = Instant::now();
        testbed
            .expect_within(I1, "the deploy is completed", DEPLOYED_WITHIN, deployed)
            .await?;
        testbed.record_recovery(begun.elapsed(), DEPLOYED_WITHIN);
        let stored = stored(testbed, self.guild).await?;
        testbed.expect(
            I2,
            "one community, one manifest, one job of a deploy, one audit entry",
            stored == [1, 1, 1, 1],
            format!("{stored:?}"),
        );
        let view = testbed.discord().guild(self.guild).await?;
        for (of, names) in [("roles", ROLES), ("channels", CHANNELS)] {
            let wrong = wrong_counts(&view[of], &names);
            testbed.expect(
                I2,
                format!("each of the theme's {of} exists once"),
                wrong.is_empty(),
                wrong,
            );
        }
        let options = json!([{"name": "session", "type": 3, "value": session}]);
        let discord = testbed.discord();
        let id = discord.command(self.place(), self.owner, "resume", options).await?;
        let shown = discord.answer(&id).await?;
        testbed.expect(
            I1,
            "/resume shows the end of the deploy",
            shown.embed()["title"] == "The server is set up",
            shown.text(),
        );
        Ok(())
    }
}

async fn killed_in_deploy(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    let server = EmptyServer::find(testbed).await?;
    let mut wizard = server.onboard(testbed).await?;
    let session = wizard.session()?;
    wizard.go_to_review().await?;
    for seam in COMMAND_SEAMS {
        start_armed(testbed, 0, Some(seam)).await;
        // The press that an earlier worker did not acknowledge may lead to the seam before the worker is ready.
        if !is_killed_before_it_is_ready(testbed).await {
            wizard.send_press("Deploy").await?;
        }
        wait_for_kill(testbed, 0).await?;
    }
    for seam in JOB_SEAMS {
        start_armed(testbed, 0, Some(seam)).await;
        wait_for_kill(testbed, 0).await?;
    }
    start_unarmed(testbed, 0).await;
    server.expect_deployed_once(testbed, &session).await
}

/// Waits until the worker has ended (true), or is ready (false).
async fn is_killed_before_it_is_ready(testbed: &mut Testbed) -> bool {
    loop {
        let worker = &mut testbed.platform().workers[0];
        if worker.exit_status().is_some() {
            return true;
        }
        if worker.is_ready().await {
            return false;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn redis_lost(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut redis = RedisServer::start().await?;
    let deployment = Deployment::default()
        .proxy_env("REDIS_URL", redis.url())
        .worker_env("REDIS_URL", redis.url());
    testbed.start(deployment).await?;
    let server = EmptyServer::find(testbed).await?;
    let mut wizard = server.onboard(testbed).await?;
    wizard.press("Begin").await?;
    wizard.choose(|_| true).await?;
    redis.kill().await;
    let refusal = refusal_of(testbed, &wizard, "Back").await?;
    testbed.expect(
        I1,
        "without Redis, a press is refused with the reason",
        refusal.contains("cannot remember your steps"),
        refusal,
    );
    if testbed.guarded() {
        redis.start_again().await?;
    }
    let begun = Instant::now();
    let mut refusal = refusal_of(testbed, &wizard, "Back").await?;
    // The worker's connections to Redis are opened again first.
    while !refusal.contains("This setup has ended") && begun.elapsed() < BEGUN_WITHIN {
        sleep(Duration::from_millis(200)).await;
        refusal = refusal_of(testbed, &wizard, "Back").await?;
    }
    testbed.expect(
        I1,
        "the lost session is refused, with what to do",
        refusal.contains("This setup has ended") && refusal.contains("/onboard"),
        refusal,
    );
    let stored = stored(testbed, server.guild).await?;
    testbed.expect(
        I2,
        "nothing is set up before Deploy",
        stored == [0; 4],
        format!("{stored:?}"),
    );
    let mut wizard = server.onboard(testbed).await?;
    testbed.record_recovery(begun.elapsed(), BEGUN_WITHIN);
    let session = wizard.session()?;
    wizard.go_to_review().await?;
    wizard.press("Deploy").await?;
    // The deploy is in PostgreSQL: the session and the token of the reply are not needed for it.
    redis.kill().await;
    let deployed =
        async |testbed: &mut Testbed| Ok(job_state(testbed, &session).await?.as_deref() == Some("succeeded"));
    testbed
        .expect_within(I1, "the deploy is completed without Redis", DEPLOYED_WITHIN, deployed)
        .await?;
    redis.start_again().await?;
    server.expect_deployed_once(testbed, &session).await
}

/// Presses a button of the wizard and returns the text of the refusal.
async fn refusal_of(testbed: &mut Testbed, wizard: &WizardDialog, label: &str) -> anyhow::Result<String> {
    let id = wizard.send_press(label).await?;
    let discord = testbed.discord();
    let refused = discord
        .until("a refusal", async || {
            let found = discord.interaction(&id).await?.followups;
            Ok(found.into_iter().next())
        })
        .await?;
    let text = refused["embeds"][0]["description"].as_str().unwrap_or_default();
    Ok(text.to_owned())
}

/// State of the job of a session's deploy; `None` if there is none.
async fn job_state(testbed: &mut Testbed, session: &str) -> anyhow::Result<Option<String>> {
    let mut admin = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let state = sqlx::query_scalar("select state from jobs where job_id = $1")
        .bind(format!("synthesis:deploy:{session}"))
        .fetch_optional(&mut admin)
        .await?;
    admin.close().await?;
    Ok(state)
}

/// Numbers of communities of a server, and of their manifests, jobs of deploys, and audit entries about deploys.
async fn stored(testbed: &mut Testbed, guild: u64) -> anyhow::Result<[i64; 4]> {
    let mut admin = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let (communities, manifests, jobs, entries) = sqlx::query_as::<_, (i64, i64, i64, i64)>(
        "with own as (select community_id from communities where guild_id = $1)
         select (select count(*) from own),
                (select count(*) from manifests join own using (community_id)),
                (select count(*) from jobs join own using (community_id) where job_id like 'synthesis:deploy:%'),
                (select count(*) from audit_log join own using (community_id) where action = 'server.deploy')",
    )
    .bind(guild.cast_signed())
    .fetch_one(&mut admin)
    .await?;
    admin.close().await?;
    Ok([communities, manifests, jobs, entries])
}

/// The names that do not exist exactly once, with their numbers.
fn wrong_counts(all: &Value, names: &[&str]) -> String {
    let all = all.as_array().into_iter().flatten();
    let found: Vec<&str> = all.filter_map(|one| one["name"].as_str()).collect();
    let counts = names
        .iter()
        .map(|name| (name, found.iter().filter(|found| *found == name).count()));
    let wrong: Vec<String> = counts
        .filter(|(_, count)| *count != 1)
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    wrong.join(", ")
}
