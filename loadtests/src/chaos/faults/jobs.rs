//! Background work under fire: workers die in the middle of a community's sync, and others take it over.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arrakis_emulator_client::RestCall;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::effects::GIVE;
use super::workers::POINTS;
use crate::chaos::Invariant::{I1, I2, I5};
use crate::chaos::door::Door;
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};

/// A message that is acknowledged before its job has ended is gone with its worker, and the row is silent for minutes.
const ACK: Guard = Guard::FailPoint("broker.guard.ack=skip");

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "sync-handed-over",
        what: "SIGTERM to a worker in the middle of a community's tier sync that takes longer than its grace",
        proves: &[I1, I2, I5],
        guard: ACK,
        run: |stage| Box::pin(handed_over(stage)),
    },
    Scenario {
        fault: 20,
        name: "killed-around-syncs",
        what: "SIGKILL of one worker after the other in the middle of a community's tier sync, and around the end of its row",
        proves: &[I1, I2, I5],
        guard: ACK,
        run: |stage| Box::pin(killed(stage)),
    },
];

/// Role changes that the sync has to make. Discord lets a server have ten in ten seconds.
const LACKING: usize = 8;
/// A worker takes a job over and comes to the place where it dies within this time: it starts, is given the message, asks
/// Discord for the members.
const TAKEN_OVER: Duration = Duration::from_secs(10);

const AFTER_THE_LAST: &str = "after the last role and before the row's end";

/// What a worker ends by that dies where it was told to.
const SIGKILL: i32 = 9;

/// How long a process may take to leave.
const GRACE: Duration = Duration::from_secs(20);
/// A job may go on for three seconds when its worker leaves, and no longer.
const LEAVES: Duration = Duration::from_secs(6);

/// A server whose members lack roles.
#[derive(Debug)]
struct Lacking {
    guild: u64,
    robbed: Vec<Robbed>,
}

/// Somebody whose roles were taken by hand.
#[derive(Debug)]
struct Robbed {
    user: u64,
    roles: Vec<String>,
}

/// A server whose members lack roles, and everything that a sync needs but for a worker.
async fn begin(stage: &mut Stage) -> anyhow::Result<Lacking> {
    // Without an ingestor nobody but the job gives roles.
    let shape = Shape::default().workers(0).ingestors(0);
    stage.prepare(&shape).await?;
    let guild = stage.plan().servers[0].guild;
    let robbed = rob(stage, guild).await?;
    stage.start_services(shape).await?;
    Ok(Lacking { guild, robbed })
}

async fn killed(stage: &mut Stage) -> anyhow::Result<()> {
    let lacking = begin(stage).await?;
    // The first leads, finds who lacks what, and asks for the sync.
    let mut deaths = 0;
    for (when, points) in [
        ("before a role is given", format!("discord.calling[{GIVE}]=kill@3")),
        ("after a role is given", format!("discord.called[{GIVE}]=kill@2")),
        (AFTER_THE_LAST, format!("discord.called[{GIVE}]=kill")),
        ("after the row's end", "broker.handled[tier-sync]=kill".to_owned()),
    ] {
        // How many calls are left by then depends on what came before.
        let points = if when == AFTER_THE_LAST {
            let left = lacking.roles() - given(stage).await?.len();
            format!("{points}@{left}")
        } else {
            points
        };
        let died = strike(stage, &points).await?;
        stage.expect(
            I1,
            format!("a worker has the job {when}"),
            died.is_some(),
            "none took it over",
        );
        let Some(took) = died else {
            break;
        };
        stage.recovered(took, PROCESS_BACK);
        deaths += 1;
    }
    let sound = stage.armed(Vec::new());
    stage.platform().spawn_worker(&sound)?.ready().await;
    ends(stage).await?;
    lacking.is_made_good(stage, deaths).await?;
    // Deeds are judged too, on the platform as it is now.
    stage.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

async fn handed_over(stage: &mut Stage) -> anyhow::Result<()> {
    let lacking = begin(stage).await?;
    // What is left is more than the leaving worker has time for.
    let slow = stage.armed(vec![(POINTS.to_owned(), format!("discord.called[{GIVE}]=sleep(1500)"))]);
    stage.platform().spawn_worker(&slow)?.ready().await;
    let under_way = async |stage: &mut Stage| Ok(given(stage).await?.len() >= 2);
    stage.until("the sync to be under way", under_way).await?;
    let sound = stage.armed(Vec::new());
    stage.platform().spawn_worker(&sound)?.ready().await;
    let begun = Instant::now();
    let status = stage.platform().workers[0].stop(GRACE).await;
    stage.expect(I5, "it leaves in order", status.success(), status);
    stage.recovered(begun.elapsed(), LEAVES);
    let before = given(stage).await?.len();
    let rest = before < lacking.roles();
    stage.expect(
        I5,
        "it leaves before the sync is done",
        rest,
        format!("{before} roles given"),
    );
    ends(stage).await?;
    lacking.is_made_good(stage, 1).await?;
    // Deeds are judged too, on the platform as it is now.
    stage.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

/// Waits until every job has ended, and notes whether all of them have ended well.
async fn ends(stage: &mut Stage) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut open = unended(stage).await?;
    while !open.is_empty() && begun.elapsed() < TAKEN_OVER {
        sleep(Duration::from_millis(40)).await;
        open = unended(stage).await?;
    }
    stage.recovered(begun.elapsed(), PROCESS_BACK);
    stage.expect(I1, "every job has ended well", open.is_empty(), format!("{open:?}"));
    let letters = Door::new(&stage.platform().vhost().url()).dead().await?;
    stage.expect(
        I1,
        "no job is a dead letter",
        letters.is_empty(),
        format!("{letters:?}"),
    );
    Ok(())
}

impl Lacking {
    /// How many roles are lacking in all.
    fn roles(&self) -> usize {
        self.robbed.iter().map(|robbed| robbed.roles.len()).sum()
    }

    /// Notes whether everybody has the right roles again, and how often they were given while so many workers were lost.
    async fn is_made_good(&self, stage: &mut Stage, workers_lost: usize) -> anyhow::Result<()> {
        let mut wrong = Vec::new();
        for Robbed { user, roles } in &self.robbed {
            let found = stage.discord().member(self.guild, *user).await?;
            let mut found = found.context("the member is gone")?.roles;
            found.sort_unstable();
            if found != *roles {
                wrong.push(format!("{user} has {found:?} instead of {roles:?}"));
            }
        }
        stage.expect(I1, "everybody has the right roles", wrong.is_empty(), wrong.join("; "));
        let mut calls = given(stage).await?;
        let (lacking, all) = (self.roles(), calls.len());
        stage.note(format!(
            "roles that were lacking: {lacking}; workers lost: {workers_lost}; calls that gave a role: {all}"
        ));
        calls.sort_unstable();
        let most = calls.chunk_by(|a, b| a == b).map(<[String]>::len).max().unwrap_or(0);
        stage.expect(I2, "a role is given twice at most", most <= 2, format!("{most} times"));
        stage.expect(
            I2,
            "who takes the job over does not begin from the first member",
            all <= lacking + workers_lost,
            format!("{all} calls for {lacking} roles, {workers_lost} workers lost"),
        );
        Ok(())
    }
}

/// Takes the roles of some members by hand, while nobody looks.
async fn rob(stage: &mut Stage, guild: u64) -> anyhow::Result<Vec<Robbed>> {
    let members = stage.plan().servers[0].members.clone();
    let (mut robbed, mut taken) = (Vec::new(), 0);
    for member in members.iter().skip(1) {
        let found = stage.discord().member(guild, member.user).await?;
        let mut roles = found.context("the seed has no such member")?.roles;
        if roles.is_empty() || taken + roles.len() > LACKING {
            continue;
        }
        stage.discord().set_roles(guild, member.user, &[]).await?;
        taken += roles.len();
        roles.sort_unstable();
        robbed.push(Robbed {
            user: member.user,
            roles,
        });
        if taken == LACKING {
            break;
        }
    }
    ensure!(
        taken >= 6,
        "the seed's members have {taken} roles: too few to die among"
    );
    Ok(robbed)
}

/// One more worker, with these points. Answers how long it took until it died of them; `None` when it did not.
async fn strike(stage: &mut Stage, points: &str) -> anyhow::Result<Option<Duration>> {
    let variables = stage.armed(vec![(POINTS.to_owned(), points.to_owned())]);
    let worker = stage.platform().spawn_worker(&variables)?;
    let begun = Instant::now();
    while begun.elapsed() < TAKEN_OVER {
        if let Some(status) = worker.has_ended() {
            ensure!(status.signal() == Some(SIGKILL), "it ended by itself: {status}");
            return Ok(Some(begun.elapsed()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

/// Jobs that have not ended well, with their state.
async fn unended(stage: &mut Stage) -> anyhow::Result<Vec<(String, String)>> {
    let mut connection = PgConnection::connect(&stage.platform().database().admin_url()).await?;
    let found = sqlx::query_as("select job_id, state from jobs where state <> 'succeeded' order by job_id")
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found)
}

/// Paths of the calls that gave a role, one for each time.
async fn given(stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    let calls = stage.discord().rest_calls().await?;
    let gave = |call: &RestCall| call.method == "PUT" && call.status == 204 && call.path.contains("/roles/");
    Ok(calls.into_iter().filter(gave).map(|call| call.path).collect())
}
