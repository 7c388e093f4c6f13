//! Discord fails before and after the effect of a call, while members are answered; and two workers have one event at once.

use arrakis_emulator_client::{Fault, InteractionState};
use serde_json::json;

use super::effects::{is_written_down, stranger};
use super::workers::statuses;
use crate::chaos::Invariant::{I1, I2, I3};
use crate::chaos::door::Door;
use crate::chaos::{Guard, Scenario, Shape, Stage};

const FOLLOW_UP: &str = "/webhooks/{application}/{token}";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 39,
        name: "first-responses-fail",
        what: "one first response in four fails: 5xx before and after the effect, resets before and after it",
        proves: &[I1, I2, I3],
        guard: Guard::FailPoint("discord.guard.response=skip;proxy.guard.response=skip"),
        run: |stage| Box::pin(first_responses(stage)),
    },
    Scenario {
        fault: 39,
        name: "follow-ups-fail",
        what: "half of the follow-ups are answered 502, or reset, after they took effect",
        proves: &[I2],
        guard: Guard::FailPoint("proxy.guard.repeat=skip"),
        run: |stage| Box::pin(follow_ups(stage)),
    },
    Scenario {
        fault: 25,
        name: "two-copies-of-a-follow-up",
        what: "every command comes twice, to two workers at once, and its follow-up takes a second",
        proves: &[I2],
        guard: Guard::FailPoint("worker.guard.under_way=skip"),
        run: |stage| Box::pin(two_copies(stage)),
    },
];

async fn first_responses(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().proxies(2).workers(2)).await?;
    for fault in [
        Fault::rest_status(502),
        Fault::rest_status(502).after_effect(true),
        Fault::of_kind("rest_reset"),
        Fault::of_kind("rest_reset").after_effect(true),
    ] {
        let fault = fault.route("/interactions/*").probability(0.07);
        stage.discord().fault(&fault).await?;
    }
    stage.load(25).await?;
    stage.flows(250).await?;
    stage.quiet().await?;
    stage.discord().clear_faults().await?;
    stage.settle().await?;
    let failed = statuses(stage, "/callback", 502).await?;
    stage.expect(I3, "first responses did fail", failed >= 10, failed);
    let tally = stage.judge().await?;
    stage.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    stage.expect(I2, "no outcome is unknown", tally.unknown == 0, tally.unknown);
    Ok(())
}

/// Commands in a server that is not onboarded: each is refused by a private follow-up to a public defer.
async fn refused_commands(stage: &mut Stage, count: usize) -> anyhow::Result<Vec<String>> {
    let (guild, channel, user) = stranger(stage).await?;
    let discord = stage.discord();
    let mut ids = Vec::new();
    for _ in 0..count {
        let place = (guild, channel);
        ids.push(discord.forced_command(place, user, "stats", json!([])).await?);
    }
    Ok(ids)
}

/// What became of each command: its follow-ups at Discord, and whether its outcome is recorded as unknown.
async fn ends(stage: &mut Stage, ids: &[String]) -> anyhow::Result<Vec<(usize, bool)>> {
    let mut ends = Vec::new();
    for id in ids {
        let mut end = (0, false);
        let over = async |stage: &mut Stage| {
            let seen = stage.discord().interaction(id).await?;
            end = (
                seen.followups.len(),
                is_written_down(stage, &format!("{id}#answer#unknown")).await?,
            );
            Ok(end.0 > 0 || end.1 || seen.state == InteractionState::Expired)
        };
        stage
            .until("a follow-up, or the record that it is unknown", over)
            .await?;
        ends.push(end);
    }
    Ok(ends)
}

async fn follow_ups(stage: &mut Stage) -> anyhow::Result<()> {
    const COMMANDS: usize = 200;
    stage.start(Shape::default().workers(2)).await?;
    for fault in [
        Fault::rest_status(502).after_effect(true),
        Fault::of_kind("rest_reset").after_effect(true),
    ] {
        let fault = fault.method("POST").route(FOLLOW_UP).probability(0.3);
        stage.discord().fault(&fault).await?;
    }
    let mut ids = Vec::new();
    // A few at a time: all at once would also take every connection to Postgres.
    for _ in 0..COMMANDS / 20 {
        let some = refused_commands(stage, 20).await?;
        ends(stage, &some).await?;
        ids.extend(some);
    }
    stage.settle().await?;
    let ends = ends(stage, &ids).await?;
    let doubled = ends.iter().filter(|(sent, _)| *sent > 1).count();
    stage.expect(I2, "no follow-up stands there twice", doubled == 0, doubled);
    let unknown = ends.iter().filter(|(_, unknown)| *unknown).count();
    stage.expect(
        I2,
        "what was answered by a failure is recorded as unknown",
        (COMMANDS / 4..COMMANDS).contains(&unknown),
        format!("{unknown} of {COMMANDS}"),
    );
    Ok(())
}

async fn two_copies(stage: &mut Stage) -> anyhow::Result<()> {
    const COMMANDS: usize = 200;
    stage.start(Shape::default().workers(2)).await?;
    let door = Door::new(&stage.platform().vhost().url());
    let doubling = door.double().await?;
    let slow = Fault::rest_latency(1_000).method("POST").route(FOLLOW_UP);
    stage.discord().fault(&slow).await?;
    let mut ids = Vec::new();
    // A few at a time: each holds a place of a worker for as long as Discord takes.
    for _ in 0..COMMANDS / 10 {
        let some = refused_commands(stage, 10).await?;
        ends(stage, &some).await?;
        ids.extend(some);
    }
    stage.settle().await?;
    let ends = ends(stage, &ids).await?;
    doubling.end().await;
    let doubled = ends.iter().filter(|(sent, _)| *sent > 1).count();
    stage.expect(I2, "no follow-up stands there twice", doubled == 0, doubled);
    let unknown = ends.iter().filter(|(_, unknown)| *unknown).count();
    stage.expect(I2, "nothing that was sent is called unknown", unknown == 0, unknown);
    let waited = stage
        .worker_metric("arrakis_worker_messages_total", &[("verdict", "retry")])
        .await?;
    stage.expect(I2, "copies did meet", waited >= 10.0 || !stage.guarded(), waited);
    Ok(())
}
