//! Discord's answers fail before or after the effect of a call, and two workers handle the same event at once.

use arrakis_emulator_client::{Fault, InteractionState};
use serde_json::json;

use super::effects::{is_recorded, member_not_onboarded};
use super::workers::statuses;
use crate::chaos::Invariant::{I1, I2, I3, I6};
use crate::chaos::broker_client::BrokerClient;
use crate::chaos::{Deployment, Guard, Scenario, Testbed};

const FOLLOW_UP: &str = "/webhooks/{application}/{token}";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 39,
        name: "first-responses-fail",
        what: "one first response in four fails: 5xx and resets, before and after the effect",
        proves: &[I1, I2, I3, I6],
        alerts: &["discord-errors"],
        expected: "no command expires, no outcome is unknown",
        guard: Guard::FailPoint("discord.guard.response=skip;proxy.guard.response=skip"),
        without_guard: "",
        run: |testbed| Box::pin(first_responses(testbed)),
    },
    Scenario {
        fault: 39,
        name: "follow-ups-fail",
        what: "half of the follow-ups get a 502 or a reset after their effect",
        proves: &[I2, I6],
        alerts: &["unknown-outcomes"],
        expected: "none is sent twice; the outcome is recorded as unknown",
        guard: Guard::FailPoint("proxy.guard.repeat=skip"),
        without_guard: "",
        run: |testbed| Box::pin(follow_ups(testbed)),
    },
    Scenario {
        fault: 25,
        name: "two-copies-of-a-follow-up",
        what: "every command twice, at two workers at the same time, with a follow-up that takes 1 s",
        proves: &[I2],
        alerts: &[],
        expected: "one follow-up for each command",
        guard: Guard::FailPoint("worker.guard.under_way=skip"),
        without_guard: "two follow-ups",
        run: |testbed| Box::pin(two_copies(testbed)),
    },
];

async fn first_responses(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().proxies(2).workers(2)).await?;
    for fault in [
        Fault::rest_status(502),
        Fault::rest_status(502).after_effect(true),
        Fault::of_kind("rest_reset"),
        Fault::of_kind("rest_reset").after_effect(true),
    ] {
        let fault = fault.route("/interactions/*").probability(0.07);
        testbed.discord().fault(&fault).await?;
    }
    testbed.load(25).await?;
    testbed.wait_for_effects(250).await?;
    testbed.expect_alert("discord-errors").await?;
    testbed.stop_load().await?;
    testbed.discord().clear_faults().await?;
    testbed.settle().await?;
    let failed = statuses(testbed, "/callback", 502).await?;
    testbed.expect(I3, "first responses failed", failed >= 10, failed);
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    testbed.expect(I2, "no outcome is unknown", tally.unknown == 0, tally.unknown);
    Ok(())
}

/// Commands in a server that is not onboarded: each is refused by a private follow-up to a public defer.
async fn refused_commands(testbed: &mut Testbed, count: usize) -> anyhow::Result<Vec<String>> {
    let (guild, channel, user) = member_not_onboarded(testbed).await?;
    let discord = testbed.discord();
    let mut ids = Vec::new();
    for _ in 0..count {
        let target = (guild, channel);
        ids.push(discord.forced_command(target, user, "stats", json!([])).await?);
    }
    Ok(ids)
}

/// The number of follow-ups at Discord and whether the outcome is recorded as unknown, for each command.
async fn ends(testbed: &mut Testbed, ids: &[String]) -> anyhow::Result<Vec<(usize, bool)>> {
    let mut ends = Vec::new();
    for id in ids {
        let mut end = (0, false);
        let over = async |testbed: &mut Testbed| {
            let seen = testbed.discord().interaction(id).await?;
            end = (
                seen.followups.len(),
                is_recorded(testbed, &format!("{id}#answer#unknown")).await?,
            );
            Ok(end.0 > 0 || end.1 || seen.state == InteractionState::Expired)
        };
        testbed
            .wait_until("a follow-up, or a recorded unknown outcome", over)
            .await?;
        ends.push(end);
    }
    Ok(ends)
}

async fn follow_ups(testbed: &mut Testbed) -> anyhow::Result<()> {
    const COMMANDS: usize = 200;
    testbed.start(Deployment::default().workers(2)).await?;
    for fault in [
        Fault::rest_status(502).after_effect(true),
        Fault::of_kind("rest_reset").after_effect(true),
    ] {
        let fault = fault.method("POST").route(FOLLOW_UP).probability(0.3);
        testbed.discord().fault(&fault).await?;
    }
    let mut ids = Vec::new();
    // A few at a time: all at once would also use every connection to Postgres.
    for _ in 0..COMMANDS / 20 {
        let some = refused_commands(testbed, 20).await?;
        ends(testbed, &some).await?;
        ids.extend(some);
    }
    testbed.settle().await?;
    let ends = ends(testbed, &ids).await?;
    let doubled = ends.iter().filter(|(sent, _)| *sent > 1).count();
    testbed.expect(I2, "no follow-up was sent twice", doubled == 0, doubled);
    let unknown = ends.iter().filter(|(_, unknown)| *unknown).count();
    testbed.expect(
        I2,
        "calls that failed after their effect are recorded as unknown",
        (COMMANDS / 4..COMMANDS).contains(&unknown),
        format!("{unknown} of {COMMANDS}"),
    );
    Ok(())
}

async fn two_copies(testbed: &mut Testbed) -> anyhow::Result<()> {
    const COMMANDS: usize = 200;
    testbed.start(Deployment::default().workers(2)).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    let duplicator = broker.duplicate_events().await?;
    let slow = Fault::rest_latency(1_000).method("POST").route(FOLLOW_UP);
    testbed.discord().fault(&slow).await?;
    let mut ids = Vec::new();
    // A few at a time: each occupies a worker until Discord responds.
    for _ in 0..COMMANDS / 10 {
        let some = refused_commands(testbed, 10).await?;
        ends(testbed, &some).await?;
        ids.extend(some);
    }
    testbed.settle().await?;
    let ends = ends(testbed, &ids).await?;
    duplicator.end().await;
    let doubled = ends.iter().filter(|(sent, _)| *sent > 1).count();
    testbed.expect(I2, "no follow-up was sent twice", doubled == 0, doubled);
    let unknown = ends.iter().filter(|(_, unknown)| *unknown).count();
    testbed.expect(I2, "no sent follow-up is recorded as unknown", unknown == 0, unknown);
    let waited = testbed
        .worker_metric("arrakis_worker_messages_total", &[("verdict", "retry")])
        .await?;
    testbed.expect(
        I2,
        "copies were handled at the same time",
        waited >= 10.0 || !testbed.guarded(),
        waited,
    );
    Ok(())
}
