//! Discord's answers fail before or after the effect of a call, and two workers handle the same event at once.

use serde_json::{Value, json};

use super::effects::{followups, is_written_down, stranger};
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
        guard: Guard::FailPoint("discord.guard.response=skip"),
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
        json!({"kind": "rest_status", "status": 502}),
        json!({"kind": "rest_status", "status": 502, "after_effect": true}),
        json!({"kind": "rest_reset"}),
        json!({"kind": "rest_reset", "after_effect": true}),
    ] {
        let mut fault = fault;
        fault["route"] = json!("/interactions/*");
        fault["probability"] = json!(0.07);
        stage.discord().post("/control/faults", fault).await?;
    }
    stage.load(25).await?;
    stage.flows(250).await?;
    stage.quiet().await?;
    stage
        .discord()
        .call::<Value>(reqwest::Method::DELETE, "/control/faults", None)
        .await?;
    stage.settle().await?;
    let failed = statuses(stage, "/callback", "502").await?;
    stage.expect(I3, "first responses failed", failed >= 10, failed);
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

/// The number of follow-ups at Discord and whether the outcome is recorded as unknown, for each command.
async fn ends(stage: &mut Stage, ids: &[String]) -> anyhow::Result<Vec<(usize, bool)>> {
    let mut ends = Vec::new();
    for id in ids {
        let mut end = (0, false);
        let over = async |stage: &mut Stage| {
            let path = format!("/control/interactions/{id}");
            let seen = stage.discord().get::<Value>(&path).await?;
            end = (
                followups(&seen),
                is_written_down(stage, &format!("{id}#answer#unknown")).await?,
            );
            Ok(end.0 > 0 || end.1 || seen["state"] == "expired")
        };
        stage
            .until("a follow-up, or a recorded unknown outcome", over)
            .await?;
        ends.push(end);
    }
    Ok(ends)
}

async fn follow_ups(stage: &mut Stage) -> anyhow::Result<()> {
    const COMMANDS: usize = 200;
    stage.start(Shape::default().workers(2)).await?;
    for fault in [
        json!({"kind": "rest_status", "status": 502, "after_effect": true}),
        json!({"kind": "rest_reset", "after_effect": true}),
    ] {
        let mut fault = fault;
        for (key, value) in [
            ("method", json!("POST")),
            ("route", json!(FOLLOW_UP)),
            ("probability", json!(0.3)),
        ] {
            fault[key] = value;
        }
        stage.discord().post("/control/faults", fault).await?;
    }
    let mut ids = Vec::new();
    // A few at a time: all at once would also use every connection to Postgres.
    for _ in 0..COMMANDS / 20 {
        let some = refused_commands(stage, 20).await?;
        ends(stage, &some).await?;
        ids.extend(some);
    }
    stage.settle().await?;
    let ends = ends(stage, &ids).await?;
    let doubled = ends.iter().filter(|(sent, _)| *sent > 1).count();
    stage.expect(I2, "no follow-up was sent twice", doubled == 0, doubled);
    let unknown = ends.iter().filter(|(_, unknown)| *unknown).count();
    stage.expect(
        I2,
        "calls that failed after their effect are recorded as unknown",
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
    let slow = json!({"kind": "rest_latency", "ms": 1_000, "method": "POST", "route": FOLLOW_UP});
    stage.discord().post("/control/faults", slow).await?;
    let mut ids = Vec::new();
    // A few at a time: each occupies a worker until Discord responds.
    for _ in 0..COMMANDS / 10 {
        let some = refused_commands(stage, 10).await?;
        ends(stage, &some).await?;
        ids.extend(some);
    }
    stage.settle().await?;
    let ends = ends(stage, &ids).await?;
    doubling.end().await;
    let doubled = ends.iter().filter(|(sent, _)| *sent > 1).count();
    stage.expect(I2, "no follow-up was sent twice", doubled == 0, doubled);
    let unknown = ends.iter().filter(|(_, unknown)| *unknown).count();
    stage.expect(I2, "no sent follow-up is recorded as unknown", unknown == 0, unknown);
    let waited = stage
        .worker_metric("arrakis_worker_messages_total", &[("verdict", "retry")])
        .await?;
    stage.expect(I2, "copies were handled at the same time", waited >= 10.0 || !stage.guarded(), waited);
    Ok(())
}
