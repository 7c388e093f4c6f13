//! Workers are stopped, killed, suspended or slow, or receive the same event twice.

use std::time::Duration;

use anyhow::ensure;
use arrakis_contracts::names;
use arrakis_test_support::FaultProxy;
use tokio::time::{Instant, sleep};

use crate::chaos::Invariant::{I1, I2, I3, I5, I6, I7};
use crate::chaos::broker_client::{self, BrokerClient};
use crate::chaos::{Deployment, Guard, PROCESS_BACK, Scenario, Testbed};
use crate::ledger::MemberAction;

/// Variable that arms fail points.
pub(super) const POINTS: &str = arrakis_fail_point::VARIABLE;
const GRACE: Duration = Duration::from_secs(20);
/// Interactions that were not answered in time.
pub(super) const EXPIRED: &str = "arrakis_worker_interactions_expired_total";
/// Limit of a debug worker's memory in bytes while it cannot keep up.
const MEMORY: u64 = 300 << 20;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "worker-terminated",
        what: "SIGTERM to a worker that handles commands",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "it completes its commands and exits with status 0",
        guard: Guard::FailPoint("broker.guard.requeue=skip"),
        without_guard: "",
        run: |testbed| Box::pin(terminated(testbed)),
    },
    Scenario {
        fault: 20,
        name: "worker-killed-at-seams",
        what: "SIGKILL of a worker at each seam between delivery and acknowledgement",
        proves: &[I1, I2, I5],
        alerts: &[],
        expected: "the next worker handles its first message within 2 s",
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        without_guard: "9 events lost",
        run: |testbed| Box::pin(killed_at_seams(testbed)),
    },
    Scenario {
        fault: 20,
        name: "worker-killed-before-ack",
        what: "SIGKILL of a worker between effect and acknowledgement, repeatedly",
        proves: &[I1, I2],
        alerts: &[],
        expected: "no event has a second effect",
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        without_guard: "2 events doubled",
        run: |testbed| Box::pin(killed_before_ack(testbed)),
    },
    Scenario {
        fault: 22,
        name: "handler-hangs",
        what: "as many commands hang as a worker handles at once, and a join",
        proves: &[I1, I5, I6],
        alerts: &["hangs"],
        expected: "further commands are answered; what hangs is retried",
        guard: Guard::FailPoint("broker.guard.limit=skip;worker.guard.limit=skip"),
        without_guard: "",
        run: |testbed| Box::pin(hangs(testbed)),
    },
    Scenario {
        fault: 23,
        name: "slow-consumer",
        what: "a worker that takes 800 ms for each interaction before its first response",
        proves: &[I3, I6, I7],
        alerts: &["answers-burn-fast", "answers-burn-slow", "queue-age"],
        expected: "expired interactions are counted, none is answered late",
        guard: Guard::FailPoint("worker.guard.expiry=skip"),
        without_guard: "",
        run: |testbed| Box::pin(slow(testbed)),
    },
    Scenario {
        fault: 24,
        name: "priority-inversion",
        what: "2,000 interactions of low priority before commands",
        proves: &[I3],
        alerts: &[],
        expected: "p99 of a command's first response below 1 s",
        guard: Guard::Harness("the flood has the commands' priority"),
        without_guard: "",
        run: |testbed| Box::pin(inversion(testbed)),
    },
    Scenario {
        fault: 25,
        name: "same-event-twice",
        what: "every event twice, at two workers at the same time",
        proves: &[I1, I2],
        alerts: &[],
        expected: "no event has a second effect",
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        without_guard: "34 of 87 events doubled",
        run: |testbed| Box::pin(twice(testbed)),
    },
    Scenario {
        fault: 26,
        name: "stale-ack",
        what: "the connection is cut between the effect and its acknowledgement",
        proves: &[I1, I2, I6],
        alerts: &["stale-acks"],
        expected: "the late acknowledgement is counted",
        guard: Guard::FailPoint("broker.guard.stale_ack=skip"),
        without_guard: "",
        run: |testbed| Box::pin(stale(testbed)),
    },
];

/// Kills this worker and starts it again with these fail points, in addition to those of a disabled guard.
pub(super) async fn start_armed(testbed: &mut Testbed, index: usize, points: Option<&str>) {
    let own = points.map(|points| (POINTS.to_owned(), points.to_owned()));
    let armed = testbed.with_guard_points(own.into_iter().collect());
    let worker = &mut testbed.platform().workers[index];
    worker.kill().await;
    worker.set(POINTS, None);
    for (name, value) in &armed {
        worker.set(name, Some(value));
    }
    worker.start_again();
}

/// As [`start_armed`] without fail points of its own; waits until the worker is ready.
pub(super) async fn start_unarmed(testbed: &mut Testbed, index: usize) {
    start_armed(testbed, index, None).await;
    testbed.platform().workers[index].ready().await;
}

/// Waits until a worker has been ended by a fail point.
pub(super) async fn wait_for_kill(testbed: &mut Testbed, index: usize) -> anyhow::Result<()> {
    let died = async |testbed: &mut Testbed| Ok(testbed.platform().workers[index].exit_status().is_some());
    testbed
        .wait_until("the worker to be ended by its fail point", died)
        .await
}

/// Number of the emulator's responses with this status on routes that contain `route`.
pub(super) async fn statuses(testbed: &mut Testbed, route: &str, status: u16) -> anyhow::Result<u64> {
    let stats = testbed.stats().await?;
    Ok(stats.rest_responses(|name| name.contains(route), Some(status)))
}

async fn terminated(testbed: &mut Testbed) -> anyhow::Result<()> {
    const COMMANDS: u64 = 8;
    let slow = Deployment::default()
        .workers(2)
        .worker_env("WORKER_PREFETCH", "4")
        .worker_env(POINTS, "worker.running=sleep(700)");
    testbed.start(slow).await?;
    let before = statuses(testbed, "callback", 204).await?;
    for _ in 0..COMMANDS {
        testbed.one_command("threshold").await?;
        testbed.one_join().await?;
    }
    // Each worker handles four of them.
    let begun = async |testbed: &mut Testbed| Ok(statuses(testbed, "callback", 204).await? - before >= COMMANDS);
    testbed.wait_until("all commands to be deferred", begun).await?;
    let begun = Instant::now();
    let status = testbed.platform().workers[0].stop(GRACE).await;
    let took = begun.elapsed();
    testbed.expect(
        I5,
        "the worker exits with status 0 within its grace period",
        status.success(),
        status,
    );
    testbed.record_recovery(took, GRACE);
    testbed.settle().await?;
    // 400 is 40060: another worker repeated a command of the stopping one.
    let begun_again = statuses(testbed, "callback", 400).await?;
    testbed.expect(
        I2,
        "the stopping worker completed its commands",
        begun_again == 0,
        begun_again,
    );
    Ok(())
}

async fn killed_at_seams(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().workers(2)).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(5).await?;
    for seam in [
        "broker.consumed",
        "broker.handling",
        "db.committing",
        "db.committed",
        "discord.calling",
        "discord.called",
        "broker.handled",
        "broker.acked",
    ] {
        start_armed(testbed, 0, Some(&format!("{seam}=kill@2"))).await;
        wait_for_kill(testbed, 0).await?;
    }
    testbed.platform().workers[1].kill().await;
    testbed.stop_load().await?;
    let waits = testbed.one_join().await?;
    let begun = Instant::now();
    start_armed(testbed, 0, None).await;
    let mut ledger = testbed.ledger();
    while ledger.open().await?.contains(&waits) {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "the waiting join was never handled"
        );
        sleep(Duration::from_millis(10)).await;
    }
    let first = begun.elapsed();
    let fast = first < Duration::from_secs(2);
    testbed.expect(
        I5,
        "the first message is handled within 2 s of the start",
        fast,
        format!("{first:?}"),
    );
    testbed.expect_recovery(PROCESS_BACK).await?;
    Ok(())
}

async fn killed_before_ack(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default().workers(2)).await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(5).await?;
    for queue in [names::INTERACTIONS, names::EVENTS_GUILD, names::INTERACTIONS] {
        start_armed(testbed, 0, Some(&format!("broker.handled[{queue}]=kill@3"))).await;
        wait_for_kill(testbed, 0).await?;
    }
    start_unarmed(testbed, 0).await;
    testbed.wait_for_effects(5).await
}

async fn hangs(testbed: &mut Testbed) -> anyhow::Result<()> {
    let points = "worker.running[stats]=hang@1;worker.running[stats]=hang@2;broker.handling[member.join]=hang@1";
    let deployment = Deployment::default()
        .worker_env("WORKER_PREFETCH", "2")
        .worker_env("WORKER_COMMAND_SECONDS", "1")
        .worker_env("WORKER_EVENT_SECONDS", "10")
        .worker_env(POINTS, points);
    testbed.start(deployment).await?;
    testbed.one_join().await?;
    for _ in 0..2 {
        testbed.one_command("stats").await?;
    }
    let began = async |testbed: &mut Testbed| Ok(statuses(testbed, "callback", 204).await? >= 2);
    testbed.wait_until("both to be deferred", began).await?;
    let begun = Instant::now();
    let fresh = testbed.one_command("position").await?;
    let mut ledger = testbed.ledger();
    while begun.elapsed() < Duration::from_secs(6) && ledger.open().await?.contains(&fresh) {
        sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    let answered = matches!(fresh, MemberAction::Command { id, .. } if ledger.was_answered(id));
    testbed.expect(
        I5,
        "further commands are answered while two hang",
        answered,
        "the next command was not answered",
    );
    testbed.record_recovery(took, Duration::from_secs(3));
    let tried_again = testbed
        .worker_metric("arrakis_worker_messages_total", &[("verdict", "retry")])
        .await?;
    testbed.expect(
        I6,
        "the hanging commands are counted as retried",
        tried_again >= 2.0,
        tried_again,
    );
    testbed.expect_alert("hangs").await?;
    if testbed.guarded() {
        testbed.settle().await?;
    } else {
        testbed.settle_within(Duration::from_secs(1)).await?;
    }
    Ok(())
}

async fn slow(testbed: &mut Testbed) -> anyhow::Result<()> {
    let points = format!("broker.consumed[{}]=sleep(800)", names::INTERACTIONS);
    // Few concurrent interactions, so that the load exceeds the worker's capacity.
    let deployment = Deployment::default().worker_env("WORKER_PREFETCH", "10");
    testbed.start(deployment.worker_env(POINTS, points)).await?;
    let before = statuses(testbed, "callback", 404).await?;
    testbed.load(60).await?;
    let expires = async |testbed: &mut Testbed| Ok(testbed.worker_metric(EXPIRED, &[]).await? >= 40.0);
    testbed.wait_until("interactions to expire", expires).await?;
    testbed.expect_alert("queue-age").await?;
    testbed.stop_load().await?;
    let (expired, late) = (
        testbed.worker_metric(EXPIRED, &[]).await?,
        statuses(testbed, "callback", 404).await? - before,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let rarely = (late as f64) < expired / 2.0;
    testbed.expect(
        I3,
        "no first response is sent that is certainly late",
        rarely,
        format!("{late} of {expired}"),
    );
    let depth = |queue| ("queue", queue);
    let grows = async |testbed: &mut Testbed| {
        let waiting = testbed
            .worker_metric("arrakis_worker_queue_depth", &[depth(names::INTERACTIONS)])
            .await?;
        Ok(waiting > 10.0)
    };
    let shown = testbed
        .wait_until("the metric of the queue's depth to rise", grows)
        .await;
    testbed.expect(I6, "the metric shows the depth of the queue", shown.is_ok(), "none");
    let resident = testbed.platform().workers[0].resident_bytes();
    testbed.expect(I7, "memory stays bounded", resident < MEMORY, resident);
    // At full speed again.
    start_unarmed(testbed, 0).await;
    testbed.settle().await?;
    testbed.expect_alert_ends("answers-burn-fast").await
}

async fn inversion(testbed: &mut Testbed) -> anyhow::Result<()> {
    const FLOOD: u32 = 2_000;
    let points = "broker.consumed[interaction.button.flood]=sleep(30)";
    testbed.start(Deployment::default().worker_env(POINTS, points)).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    let priority = if testbed.guarded() { 8 } else { 10 };
    let flood = (0..FLOOD).map(|number| {
        let id = format!("flood-{number}");
        let labels = broker_client::labels(&id, "INTERACTION_CREATE", 1);
        let mut message = broker_client::message(
            "interaction.button.flood",
            &id,
            "INTERACTION_CREATE",
            labels.headers(),
            b"{}",
        );
        message.priority = Some(priority);
        message
    });
    broker.publish_all(flood).await?;
    testbed.load(20).await?;
    let worked_off = async |_: &mut Testbed| Ok(broker.ready_messages(names::INTERACTIONS).await? == 0);
    testbed.wait_until("the flood to be over", worked_off).await?;
    testbed.settle().await?;
    let slowest = first_response_p99(testbed).await?;
    let bounded = slowest.is_some_and(|ms| ms < 1_000);
    testbed.expect(
        I3,
        "p99 of a command's first response is below 1 s",
        bounded,
        format!("{slowest:?} ms"),
    );
    let tally = testbed.check_ledger().await?;
    testbed.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

/// The 99th percentile of the time to the first response, over all commands; `None` when one had none.
pub(super) async fn first_response_p99(testbed: &mut Testbed) -> anyhow::Result<Option<u64>> {
    let (discord, ledger) = (testbed.discord(), testbed.ledger());
    let mut times = Vec::new();
    for action in ledger.sent().all() {
        if let MemberAction::Command { id, .. } = action {
            times.push(
                discord
                    .interaction(&id.to_string())
                    .await?
                    .acknowledged_after_ms
                    .unwrap_or(u64::MAX),
            );
        }
    }
    times.sort_unstable();
    let index = (times.len() * 99).div_ceil(100).saturating_sub(1);
    Ok(times.get(index).copied().filter(|ms| *ms < u64::MAX))
}

async fn twice(testbed: &mut Testbed) -> anyhow::Result<()> {
    let deployment = Deployment::default()
        .workers(2)
        .worker_env(POINTS, "db.committing=sleep(30)");
    testbed.start(deployment).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    let duplicator = broker.duplicate_events().await?;
    testbed.load(20).await?;
    testbed.wait_for_effects(60).await?;
    testbed.settle().await?;
    let deliveries = testbed.worker_metric("arrakis_worker_messages_total", &[]).await?;
    let sent = testbed.ledger().sent().len();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let doubled = deliveries > sent as f64 * 1.5;
    testbed.expect(
        I2,
        "events were delivered twice",
        doubled,
        format!("{deliveries} deliveries of {sent}"),
    );
    duplicator.end().await;
    Ok(())
}

async fn stale(testbed: &mut Testbed) -> anyhow::Result<()> {
    let mut deployment = Deployment::default().worker_env(POINTS, "broker.handled=sleep(300)");
    testbed.prepare(&deployment).await?;
    let url = testbed.platform().vhost().url();
    let between = FaultProxy::start(&url).await;
    deployment = deployment.worker_env("AMQP_URL", between.proxied_url(&url));
    testbed.start_services(deployment).await?;
    testbed.load(15).await?;
    for _ in 0..3 {
        testbed.wait_for_effects(5).await?;
        between.close_connections();
    }
    let stale = async |testbed: &mut Testbed| {
        anyhow::Ok(testbed.worker_metric("arrakis_worker_stale_acks_total", &[]).await? > 0.0)
    };
    let limit = Instant::now() + Duration::from_secs(5);
    let mut counted = false;
    while !counted && Instant::now() < limit {
        counted = stale(testbed).await?;
        sleep(Duration::from_millis(50)).await;
    }
    testbed.expect(I6, "late acknowledgements are counted", counted, 0);
    testbed.settle().await?;
    Ok(())
}
