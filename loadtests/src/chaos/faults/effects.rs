//! For each effect at Discord: the worker is killed before the call, after the call, and before the acknowledgement, and the
//! emulator's ledger says how often the effect took place.

use anyhow::Context as _;
use arrakis_contracts::names;
use arrakis_emulator_client::{InteractionRecord, InteractionState};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::workers::{POINTS, dies, start_armed, start_sound};
use crate::chaos::Invariant::{I1, I2};
use crate::chaos::{Guard, Scenario, Shape, Stage};
use crate::ledger::Deed;

const CALLBACK: &str = "POST /interactions/{interaction}/{token}/callback";
const EDIT: &str = "PATCH /webhooks/{application}/{token}/messages/@original";
const FOLLOW_UP: &str = "POST /webhooks/{application}/{token}";
pub(super) const GIVE: &str = "PUT /guilds/{guild}/members/{user}/roles/{role}";
const TAKE: &str = "DELETE /guilds/{guild}/members/{user}/roles/{role}";
const REGISTER: &str = "PUT /applications/{application}/commands";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 20,
        name: "killed-around-answers",
        what: "SIGKILL before and after defer, edit and follow-up, and before the acknowledgement",
        proves: &[I1, I2],
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(answers(stage)),
    },
    Scenario {
        fault: 20,
        name: "killed-around-roles",
        what: "SIGKILL before and after a role is given and taken, and before the acknowledgement",
        proves: &[I1, I2],
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        run: |stage| Box::pin(roles(stage)),
    },
    Scenario {
        fault: 20,
        name: "killed-around-registration",
        what: "SIGKILL before and after the commands are registered",
        proves: &[I2],
        guard: Guard::FailPoint("worker.guard.compare=skip"),
        run: |stage| Box::pin(registration(stage)),
    },
];

/// The moments at which a worker dies around a call.
fn moments(route: &str, queue_key: &str) -> [(&'static str, String); 3] {
    [
        ("before the call", format!("discord.calling[{route}]=kill")),
        ("after the call", format!("discord.called[{route}]=kill")),
        ("before the ack", format!("broker.handled[{queue_key}]=kill")),
    ]
}

async fn answers(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    // Events in flight at each death; commands of others would be struck in place of ours.
    stage.load_of_members(20).await?;
    for (route, command) in [(CALLBACK, "position"), (EDIT, "threshold")] {
        for (when, points) in moments(route, &format!("interaction.command.{command}")) {
            let Deed::Command { id, .. } = struck(stage, &points, command).await? else {
                continue;
            };
            let seen = over(stage, id).await?;
            let said = (seen.responses.len(), seen.followups.len());
            // On a busy machine a worker takes more than three seconds to start; then nobody was answered, and none late.
            let late = route == CALLBACK && seen.state == InteractionState::Expired && said == (0, 0);
            let once = late || seen.state == InteractionState::Answered && said == (1, 0);
            stage.expect(
                I2,
                format!("{route}, killed {when}: one answer at most"),
                once,
                format!("{:?} {said:?}", seen.state),
            );
        }
    }
    let (guild, channel, user) = stranger(stage).await?;
    for (when, points) in moments(FOLLOW_UP, "interaction.command.stats") {
        start_armed(stage, 0, Some(&points)).await;
        let discord = stage.discord();
        let id = discord
            .forced_command((guild, channel), user, "stats", json!([]))
            .await?;
        dies(stage, 0).await?;
        start_sound(stage, 0).await;
        // The word that the server is not onboarded was said, or it is written down that nobody can tell.
        let name = format!("{id}#answer#unknown");
        let (mut said, mut unknown) = (0, false);
        let known = async |stage: &mut Stage| {
            // Asked first: what the worker wrote before it acknowledged is then there to be read.
            // Its coming back is settled once more before, with the verdict of what is given back.
            let mut handled = 0.0;
            for verdict in ["done", "drop"] {
                let labels = [("queue", names::INTERACTIONS), ("verdict", verdict)];
                handled += stage.worker_metric("arrakis_worker_messages_total", &labels).await?;
            }
            said = stage.discord().interaction(&id).await?.followups.len();
            unknown = is_written_down(stage, &name).await?;
            // Whatever became of it: what was done before is dropped.
            Ok(handled >= 1.0 && (said > 0 || unknown))
        };
        stage
            .until("the follow-up to be said or written down as unknown", known)
            .await?;
        // Killed before the call it was not said and after it it was, and neither leaves a trace that tells which.
        let (expected_said, expected_unknown) = match when {
            "before the call" => (0, true),
            "after the call" => (1, true),
            _ => (1, false),
        };
        let holds = said == expected_said && unknown == expected_unknown;
        let found = format!("said {said} times, unknown: {unknown}");
        stage.expect(
            I2,
            format!("follow-up, killed {when}: said {expected_said} times"),
            holds,
            found,
        );
    }
    Ok(())
}

/// The only worker dies at a point over a command; a sound one takes its place.
async fn struck(stage: &mut Stage, points: &str, command: &str) -> anyhow::Result<Deed> {
    start_armed(stage, 0, Some(points)).await;
    let deed = stage.one_command(command).await?;
    dies(stage, 0).await?;
    start_sound(stage, 0).await;
    Ok(deed)
}

async fn over(stage: &mut Stage, id: u64) -> anyhow::Result<InteractionRecord> {
    let discord = stage.discord();
    discord
        .until("the interaction to be over", async || {
            let seen = discord.interaction(&id.to_string()).await?;
            let ended = matches!(seen.state, InteractionState::Answered | InteractionState::Expired);
            Ok(ended.then_some(seen))
        })
        .await
}

/// A member of the server that is not onboarded, and a channel there.
pub(super) async fn stranger(stage: &mut Stage) -> anyhow::Result<(u64, u64, u64)> {
    let mut servers = stage.plan().servers.iter();
    let server = servers.find(|server| server.community.is_none());
    let server = server.context("no server without a community")?.clone();
    let user = server.members.get(1).context("no member")?.user;
    let view = stage.discord().guild(server.guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let channel = channels.find(|channel| channel["kind"] != "category");
    let channel = channel
        .and_then(|channel| channel["id"].as_str())
        .context("no channel")?;
    Ok((server.guild, channel.parse()?, user))
}

pub(super) async fn is_written_down(stage: &mut Stage, claim: &str) -> anyhow::Result<bool> {
    let mut connection = PgConnection::connect(&stage.platform().database().admin_url()).await?;
    let found: (i64,) = sqlx::query_as("select count(*) from platform_inbox where event_id = $1")
        .bind(claim)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found.0 > 0)
}

async fn roles(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    // Events in flight at each death; joins of others would be struck in place of ours.
    stage.load_of_commands(15).await?;
    let guild = stage.plan().servers[0].guild;
    let people = stage.plan().newcomers.clone();
    let mut tier = Vec::new();
    for (index, (when, points)) in moments(GIVE, "member.join").into_iter().enumerate() {
        let person = people.get(index).context("no newcomer")?;
        start_armed(stage, 0, Some(&points)).await;
        stage.discord().join(guild, person.user, person.name).await?;
        dies(stage, 0).await?;
        start_sound(stage, 0).await;
        let roles = settled(stage, guild, person.user, |roles| !roles.is_empty()).await?;
        let given = successes(stage, "PUT", person.user).await?;
        let holds = !roles.is_empty() && (1..=2 * roles.len()).contains(&given);
        stage.expect(
            I1,
            format!("role given, killed {when}: it is there"),
            holds,
            format!("{roles:?}, {given} calls"),
        );
        tier.push(roles);
    }
    // Somebody gives the second newcomer's tier role to the third by hand.
    let wrong = tier[1]
        .iter()
        .find(|role| !tier[2].contains(role))
        .or(tier[0].iter().find(|role| !tier[2].contains(role)));
    let wrong = wrong.context("the newcomers have the same roles")?.clone();
    let person = people.get(2).context("no newcomer")?;
    for (when, points) in moments(TAKE, "member.update") {
        forget_announcements(stage);
        start_armed(stage, 0, Some(&points)).await;
        let mut roles = tier[2].clone();
        roles.push(wrong.clone());
        let before = successes(stage, "DELETE", person.user).await?;
        stage.discord().set_roles(guild, person.user, &roles).await?;
        dies(stage, 0).await?;
        forget_announcements(stage);
        start_sound(stage, 0).await;
        let roles = settled(stage, guild, person.user, |roles| !roles.contains(&wrong)).await?;
        let taken = successes(stage, "DELETE", person.user).await? - before;
        let gone = !roles.contains(&wrong);
        stage.expect(
            I1,
            format!("role taken, killed {when}: it is gone"),
            gone,
            format!("{roles:?}"),
        );
        stage.expect(
            I2,
            format!("role taken, killed {when}: at most once for each worker that had it"),
            (1..=2).contains(&taken),
            format!("{taken} calls"),
        );
    }
    Ok(())
}

/// A worker that is killed cannot take back what it announced; the announcement ends by itself after 15 s, which no scenario
/// has time for.
fn forget_announcements(stage: &mut Stage) {
    use deadpool_redis::redis;
    let mut connection = stage.platform().redis().connection();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("cache:role-change:*")
        .query(&mut connection)
        .unwrap_or_default();
    for key in keys {
        // Gone by itself is as good.
        let _ = redis::cmd("DEL").arg(key).query::<()>(&mut connection);
    }
}

/// The roles of a member once they are as they should be, or as they are after a while.
async fn settled(
    stage: &mut Stage,
    guild: u64,
    user: u64,
    are_right: impl Fn(&[String]) -> bool,
) -> anyhow::Result<Vec<String>> {
    let discord = stage.discord();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(8);
    loop {
        let member = discord.member(guild, user).await?.context("the member is gone")?;
        if are_right(&member.roles) || tokio::time::Instant::now() >= deadline {
            return Ok(member.roles);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Calls of this method about this user that took effect.
async fn successes(stage: &mut Stage, method: &str, user: u64) -> anyhow::Result<usize> {
    let calls = stage.discord().rest_calls().await?;
    let about = format!("/members/{user}/roles/");
    Ok(calls
        .iter()
        .filter(|call| call.method == method && call.status == 204 && call.path.contains(&about))
        .count())
}

async fn registration(stage: &mut Stage) -> anyhow::Result<()> {
    stage.prepare(&Shape::default()).await?;
    // The first leader dies before it registers: `start_services` would wait for it in vain.
    stage.platform().start_proxy().await?;
    let variables = stage.armed(vec![(POINTS.to_owned(), format!("discord.calling[{REGISTER}]=kill"))]);
    stage.platform().spawn_worker(&variables)?;
    dies(stage, 0).await?;
    let none = registrations(stage).await?;
    stage.expect(I2, "killed before the call: nothing is registered", none == 0, none);
    start_armed(stage, 0, Some(&format!("discord.called[{REGISTER}]=kill"))).await;
    dies(stage, 0).await?;
    let one = registrations(stage).await?;
    stage.expect(I2, "killed after the call: registered once", one == 1, one);
    start_sound(stage, 0).await;
    let leads = async |stage: &mut Stage| Ok(stage.worker_metric("arrakis_worker_leader", &[]).await? > 0.0);
    stage.until("the worker to lead", leads).await?;
    let asked = async |stage: &mut Stage| {
        let route = "GET /applications/{application}/commands";
        Ok(stage
            .worker_metric("arrakis_worker_discord_calls_total", &[("route", route)])
            .await?
            >= 1.0)
    };
    stage.until("the leader to compare the commands", asked).await?;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let still = registrations(stage).await?;
    stage.expect(I2, "the next leader compares and sends nothing", still == 1, still);
    // Deeds are judged too, on the platform as it is now.
    stage.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

async fn registrations(stage: &mut Stage) -> anyhow::Result<u64> {
    let stats = stage.stats().await?;
    let meant = |route: &str| route.starts_with("PUT /applications/") && route.ends_with("/commands");
    Ok(stats.rest_responses(meant, Some(200)))
}
