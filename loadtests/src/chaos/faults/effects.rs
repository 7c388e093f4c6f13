//! For each effect at Discord, the worker is killed before the call, after the call, and before the acknowledgement. The
//! emulator's ledger shows how often the effect took place.

use anyhow::Context as _;
use arrakis_contracts::names;
use arrakis_emulator_client::{InteractionRecord, InteractionState};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::workers::{POINTS, start_armed, start_unarmed, wait_for_kill};
use crate::chaos::Invariant::{I1, I2};
use crate::chaos::{Deployment, Guard, Scenario, Testbed};
use crate::ledger::MemberAction;

const CALLBACK: &str = "POST /interactions/{interaction}/{token}/callback";
const EDIT: &str = "PATCH /webhooks/{application}/{token}/messages/@original";
const FOLLOW_UP: &str = "POST /webhooks/{application}/{token}";
pub(super) const ASSIGN_ROLE: &str = "PUT /guilds/{guild}/members/{user}/roles/{role}";
const REMOVE_ROLE: &str = "DELETE /guilds/{guild}/members/{user}/roles/{role}";
const REGISTER: &str = "PUT /applications/{application}/commands";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 20,
        name: "killed-around-answers",
        what: "SIGKILL before and after defer, edit and follow-up, and before the acknowledgement",
        proves: &[I1, I2],
        alerts: &[],
        expected: "one reply at most; a follow-up is sent once or recorded as unknown",
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        without_guard: "",
        run: |testbed| Box::pin(answers(testbed)),
    },
    Scenario {
        fault: 20,
        name: "killed-around-roles",
        what: "SIGKILL before and after a role is assigned and removed, and before the acknowledgement",
        proves: &[I1, I2],
        alerts: &[],
        expected: "the member has the right roles; two calls at most",
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        without_guard: "",
        run: |testbed| Box::pin(roles(testbed)),
    },
    Scenario {
        fault: 20,
        name: "killed-around-registration",
        what: "SIGKILL before and after the commands are registered",
        proves: &[I2],
        alerts: &[],
        expected: "the next leader compares and sends no call",
        guard: Guard::FailPoint("worker.guard.compare=skip"),
        without_guard: "",
        run: |testbed| Box::pin(registration(testbed)),
    },
];

/// The moments at which a worker is killed around a call.
fn moments(route: &str, queue_key: &str) -> [(&'static str, String); 3] {
    [
        ("before the call", format!("discord.calling[{route}]=kill")),
        ("after the call", format!("discord.called[{route}]=kill")),
        ("before the ack", format!("broker.handled[{queue_key}]=kill")),
    ]
}

async fn answers(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    // Joins and leaves in flight at each kill. Other commands could trigger the fail point in place of this one.
    testbed.load_of_joins_and_leaves(20).await?;
    for (route, command) in [(CALLBACK, "position"), (EDIT, "threshold")] {
        for (when, points) in moments(route, &format!("interaction.command.{command}")) {
            let MemberAction::Command { id, .. } = killed_during(testbed, &points, command).await? else {
                continue;
            };
            let seen = wait_until_over(testbed, id).await?;
            let sent = (seen.responses.len(), seen.followups.len());
            // On a busy machine a worker takes more than three seconds to start. The interaction then expires, and nothing may be sent.
            let late = route == CALLBACK && seen.state == InteractionState::Expired && sent == (0, 0);
            let once = late || seen.state == InteractionState::Answered && sent == (1, 0);
            testbed.expect(
                I2,
                format!("{route}, killed {when}: at most one reply"),
                once,
                format!("{:?} {sent:?}", seen.state),
            );
        }
    }
    let (guild, channel, user) = member_not_onboarded(testbed).await?;
    for (when, points) in moments(FOLLOW_UP, "interaction.command.stats") {
        start_armed(testbed, 0, Some(&points)).await;
        let discord = testbed.discord();
        let id = discord
            .forced_command((guild, channel), user, "stats", json!([]))
            .await?;
        wait_for_kill(testbed, 0).await?;
        start_unarmed(testbed, 0).await;
        // Either the refusal was sent as a follow-up, or its outcome is recorded as unknown.
        let name = format!("{id}#answer#unknown");
        let (mut sent, mut unknown) = (0, false);
        let recorded = async |testbed: &mut Testbed| {
            // Read first: the worker's records before the acknowledgement are then visible.
            // The returned message is settled once before, with the verdict of a returned message.
            let mut handled = 0.0;
            for verdict in ["done", "drop"] {
                let labels = [("queue", names::INTERACTIONS), ("verdict", verdict)];
                handled += testbed.worker_metric("arrakis_worker_messages_total", &labels).await?;
            }
            sent = testbed.discord().interaction(&id).await?.followups.len();
            unknown = is_recorded(testbed, &name).await?;
            // With whatever outcome: the second copy is dropped.
            Ok(handled >= 1.0 && (sent > 0 || unknown))
        };
        testbed
            .wait_until("the follow-up to be sent or recorded as unknown", recorded)
            .await?;
        // Killed before the call, it was not sent; killed after the call, it was sent; the worker cannot distinguish the two.
        let (expected_sent, expected_unknown) = match when {
            "before the call" => (0, true),
            "after the call" => (1, true),
            _ => (1, false),
        };
        let holds = sent == expected_sent && unknown == expected_unknown;
        let found = format!("sent {sent} times, unknown: {unknown}");
        testbed.expect(
            I2,
            format!("follow-up, killed {when}: sent {expected_sent} times"),
            holds,
            found,
        );
    }
    Ok(())
}

/// The only worker is killed at a fail point during a command; another one replaces it.
async fn killed_during(testbed: &mut Testbed, points: &str, command: &str) -> anyhow::Result<MemberAction> {
    start_armed(testbed, 0, Some(points)).await;
    let action = testbed.one_command(command).await?;
    wait_for_kill(testbed, 0).await?;
    start_unarmed(testbed, 0).await;
    Ok(action)
}

async fn wait_until_over(testbed: &mut Testbed, id: u64) -> anyhow::Result<InteractionRecord> {
    let discord = testbed.discord();
    discord
        .until("the interaction to be answered or expired", async || {
            let seen = discord.interaction(&id.to_string()).await?;
            let ended = matches!(seen.state, InteractionState::Answered | InteractionState::Expired);
            Ok(ended.then_some(seen))
        })
        .await
}

/// A member of the server that is not onboarded, and a channel there.
pub(super) async fn member_not_onboarded(testbed: &mut Testbed) -> anyhow::Result<(u64, u64, u64)> {
    let mut servers = testbed.plan().servers.iter();
    let server = servers.find(|server| server.community.is_none());
    let server = server.context("no server without a community")?.clone();
    let user = server.members.get(1).context("the server has no second member")?.user;
    let view = testbed.discord().guild(server.guild).await?;
    let mut channels = view["channels"].as_array().into_iter().flatten();
    let channel = channels.find(|channel| channel["kind"] != "category");
    let channel = channel
        .and_then(|channel| channel["id"].as_str())
        .context("no channel")?;
    Ok((server.guild, channel.parse()?, user))
}

pub(super) async fn is_recorded(testbed: &mut Testbed, claim: &str) -> anyhow::Result<bool> {
    let mut connection = PgConnection::connect(&testbed.platform().database().admin_url()).await?;
    let found: (i64,) = sqlx::query_as("select count(*) from platform_inbox where event_id = $1")
        .bind(claim)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found.0 > 0)
}

async fn roles(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    // Commands in flight at each kill. Other joins could trigger the fail point in place of this one.
    testbed.load_of_commands(15).await?;
    let guild = testbed.plan().servers[0].guild;
    let people = testbed.plan().newcomers.clone();
    let mut tier = Vec::new();
    for (index, (when, points)) in moments(ASSIGN_ROLE, "member.join").into_iter().enumerate() {
        let person = people.get(index).context("no newcomer")?;
        start_armed(testbed, 0, Some(&points)).await;
        testbed.discord().join(guild, person.user, person.name).await?;
        wait_for_kill(testbed, 0).await?;
        start_unarmed(testbed, 0).await;
        let roles = settled(testbed, guild, person.user, |roles| !roles.is_empty()).await?;
        let given = successes(testbed, "PUT", person.user).await?;
        let holds = !roles.is_empty() && (1..=2 * roles.len()).contains(&given);
        testbed.expect(
            I1,
            format!("role assigned, killed {when}: the member has it"),
            holds,
            format!("{roles:?}, {given} calls"),
        );
        tier.push(roles);
    }
    // An admin assigns the second newcomer's tier role to the third by hand.
    let wrong = tier[1]
        .iter()
        .find(|role| !tier[2].contains(role))
        .or(tier[0].iter().find(|role| !tier[2].contains(role)));
    let wrong = wrong.context("the newcomers have the same roles")?.clone();
    let person = people.get(2).context("no newcomer")?;
    for (when, points) in moments(REMOVE_ROLE, "member.update") {
        delete_announcements(testbed);
        start_armed(testbed, 0, Some(&points)).await;
        let mut roles = tier[2].clone();
        roles.push(wrong.clone());
        let before = successes(testbed, "DELETE", person.user).await?;
        testbed.discord().set_roles(guild, person.user, &roles).await?;
        wait_for_kill(testbed, 0).await?;
        delete_announcements(testbed);
        start_unarmed(testbed, 0).await;
        let roles = settled(testbed, guild, person.user, |roles| !roles.contains(&wrong)).await?;
        let taken = successes(testbed, "DELETE", person.user).await? - before;
        let gone = !roles.contains(&wrong);
        testbed.expect(
            I1,
            format!("role removed, killed {when}: the member does not have it"),
            gone,
            format!("{roles:?}"),
        );
        testbed.expect(
            I2,
            format!("role removed, killed {when}: at most once for each worker that handled it"),
            (1..=2).contains(&taken),
            format!("{taken} calls"),
        );
    }
    Ok(())
}

/// Deletes the worker's announcements of role changes. A killed worker cannot withdraw them, and they expire after 15 s, longer
/// than a scenario can wait.
fn delete_announcements(testbed: &mut Testbed) {
    use deadpool_redis::redis;
    let mut connection = testbed.platform().redis().connection();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("cache:role-change:*")
        .query(&mut connection)
        .unwrap_or_default();
    for key in keys {
        // A key that has expired meanwhile needs no deletion.
        let _ = redis::cmd("DEL").arg(key).query::<()>(&mut connection);
    }
}

/// The roles of a member once `are_right` holds, or the last observed ones after the time limit.
async fn settled(
    testbed: &mut Testbed,
    guild: u64,
    user: u64,
    are_right: impl Fn(&[String]) -> bool,
) -> anyhow::Result<Vec<String>> {
    let discord = testbed.discord();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(8);
    loop {
        let member = discord.member(guild, user).await?.context("the member is absent")?;
        if are_right(&member.roles) || tokio::time::Instant::now() >= deadline {
            return Ok(member.roles);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Successful calls of this method about this user.
async fn successes(testbed: &mut Testbed, method: &str, user: u64) -> anyhow::Result<usize> {
    let calls = testbed.discord().rest_calls().await?;
    let about = format!("/members/{user}/roles/");
    Ok(calls
        .iter()
        .filter(|call| call.method == method && call.status == 204 && call.path.contains(&about))
        .count())
}

async fn registration(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.prepare(&Deployment::default()).await?;
    // The first leader is killed before it registers: `start_services` would wait for it until its time limit.
    testbed.platform().start_proxy().await?;
    let variables = testbed.with_guard_points(vec![(POINTS.to_owned(), format!("discord.calling[{REGISTER}]=kill"))]);
    testbed.platform().spawn_worker(&variables)?;
    wait_for_kill(testbed, 0).await?;
    let none = registrations(testbed).await?;
    testbed.expect(I2, "killed before the call: nothing is registered", none == 0, none);
    start_armed(testbed, 0, Some(&format!("discord.called[{REGISTER}]=kill"))).await;
    wait_for_kill(testbed, 0).await?;
    let one = registrations(testbed).await?;
    testbed.expect(I2, "killed after the call: registered once", one == 1, one);
    start_unarmed(testbed, 0).await;
    let leads = async |testbed: &mut Testbed| Ok(testbed.worker_metric("arrakis_worker_leader", &[]).await? > 0.0);
    testbed.wait_until("the worker to become the leader", leads).await?;
    let compared = async |testbed: &mut Testbed| {
        let route = "GET /applications/{application}/commands";
        Ok(testbed
            .worker_metric("arrakis_worker_discord_calls_total", &[("route", route)])
            .await?
            >= 1.0)
    };
    testbed
        .wait_until("the leader to compare the commands", compared)
        .await?;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let still = registrations(testbed).await?;
    testbed.expect(I2, "the next leader compares and sends no call", still == 1, still);
    // The ledger checks actions on the platform as it is now.
    testbed.platform().spawn_ingestor(&[])?.ready().await;
    Ok(())
}

async fn registrations(testbed: &mut Testbed) -> anyhow::Result<u64> {
    let stats = testbed.stats().await?;
    let meant = |route: &str| route.starts_with("PUT /applications/") && route.ends_with("/commands");
    Ok(stats.rest_responses(meant, Some(200)))
}
