//! Workers are stopped, killed, suspended or slow, or receive the same event twice.

use std::time::Duration;

use anyhow::ensure;
use arrakis_contracts::names;
use arrakis_test_support::FaultProxy;
use tokio::time::{Instant, sleep};

use crate::chaos::Invariant::{I1, I2, I3, I5, I6, I7};
use crate::chaos::door::{self, Door};
use crate::chaos::{Guard, PROCESS_BACK, Scenario, Shape, Stage};
use crate::ledger::Deed;

/// Variable that arms fail points.
pub(super) const POINTS: &str = arrakis_fail_point::VARIABLE;
const GRACE: Duration = Duration::from_secs(20);
const EXPIRED: &str = "arrakis_worker_interactions_expired_total";
/// Limit of a debug worker's memory in bytes while it cannot keep up.
const MEMORY: u64 = 300 << 20;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "worker-terminated",
        what: "SIGTERM to a worker in the middle of commands",
        proves: &[I1, I2, I5],
        guard: Guard::FailPoint("worker.guard.give_back=skip"),
        run: |stage| Box::pin(terminated(stage)),
    },
    Scenario {
        fault: 20,
        name: "worker-killed-at-seams",
        what: "SIGKILL of a worker at each seam between delivery and acknowledgement",
        proves: &[I1, I2, I5],
        guard: Guard::FailPoint("worker.guard.ack=skip"),
        run: |stage| Box::pin(killed_at_seams(stage)),
    },
    Scenario {
        fault: 20,
        name: "worker-killed-before-ack",
        what: "SIGKILL of a worker whose work is done and not acknowledged, again and again",
        proves: &[I1, I2],
        guard: Guard::FailPoint("worker.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(killed_before_ack(stage)),
    },
    Scenario {
        fault: 22,
        name: "handler-hangs",
        what: "as many commands hang as a worker handles at once",
        proves: &[I1, I5, I6],
        guard: Guard::FailPoint("worker.guard.limit=skip"),
        run: |stage| Box::pin(hangs(stage)),
    },
    Scenario {
        fault: 23,
        name: "slow-consumer",
        what: "a worker that takes 800 ms over each interaction before it answers",
        proves: &[I3, I6, I7],
        guard: Guard::FailPoint("worker.guard.expiry=skip"),
        run: |stage| Box::pin(slow(stage)),
    },
    Scenario {
        fault: 24,
        name: "priority-inversion",
        what: "2,000 interactions of low priority before commands",
        proves: &[I3],
        guard: Guard::Harness("the flood has the commands' own priority"),
        run: |stage| Box::pin(inversion(stage)),
    },
    Scenario {
        fault: 25,
        name: "same-event-twice",
        what: "every event comes twice, to two workers at once",
        proves: &[I1, I2],
        guard: Guard::FailPoint("worker.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(twice(stage)),
    },
    Scenario {
        fault: 26,
        name: "stale-ack",
        what: "the connection is cut between the work and its acknowledgement",
        proves: &[I1, I2, I6],
        guard: Guard::FailPoint("worker.guard.stale_ack=skip"),
        run: |stage| Box::pin(stale(stage)),
    },
];

/// Kills this worker and starts it again with these fail points, in addition to those of a disabled guard.
pub(super) async fn start_armed(stage: &mut Stage, place: usize, points: Option<&str>) {
    let own = points.map(|points| (POINTS.to_owned(), points.to_owned()));
    let armed = stage.armed(own.into_iter().collect());
    let worker = &mut stage.platform().workers[place];
    worker.kill().await;
    worker.set(POINTS, None);
    for (name, value) in &armed {
        worker.set(name, Some(value));
    }
    worker.start_again();
}

/// As [`start_armed`] without fail points of its own; waits until the worker is ready.
pub(super) async fn start_sound(stage: &mut Stage, place: usize) {
    start_armed(stage, place, None).await;
    stage.platform().workers[place].ready().await;
}

/// Waits until a worker has been ended by a fail point.
pub(super) async fn dies(stage: &mut Stage, place: usize) -> anyhow::Result<()> {
    let died = async |stage: &mut Stage| Ok(stage.platform().workers[place].has_ended().is_some());
    stage.until("the worker to be ended by its fail point", died).await
}

/// Number of the emulator's responses with this status on routes that contain `route`.
pub(super) async fn statuses(stage: &mut Stage, route: &str, status: &str) -> anyhow::Result<u64> {
    let stats = stage.stats().await?;
    let routes = stats["rest"].as_object().into_iter().flatten();
    let meant = routes.filter(|(name, _)| name.contains(route));
    Ok(meant.filter_map(|(_, statuses)| statuses[status].as_u64()).sum())
}

async fn terminated(stage: &mut Stage) -> anyhow::Result<()> {
    const COMMANDS: u64 = 8;
    let slow = Shape::default()
        .workers(2)
        .worker_env("WORKER_PREFETCH", "4")
        .worker_env(POINTS, "worker.running=sleep(700)");
    stage.start(slow).await?;
    let before = statuses(stage, "callback", "204").await?;
    for _ in 0..COMMANDS {
        stage.one_command("threshold").await?;
        stage.one_join().await?;
    }
    // Each worker handles four of them.
    let begun = async |stage: &mut Stage| Ok(statuses(stage, "callback", "204").await? - before >= COMMANDS);
    stage.until("all commands to be deferred", begun).await?;
    let begun = Instant::now();
    let status = stage.platform().workers[0].stop(GRACE).await;
    let took = begun.elapsed();
    stage.expect(I5, "the worker exits with status 0 within its grace period", status.success(), status);
    stage.recovered(took, GRACE);
    stage.settle().await?;
    // 400 is 40060: another worker repeated a command of the stopping one.
    let begun_again = statuses(stage, "callback", "400").await?;
    stage.expect(I2, "the stopping worker completed its commands", begun_again == 0, begun_again);
    Ok(())
}

async fn killed_at_seams(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().workers(2)).await?;
    stage.load(20).await?;
    stage.flows(5).await?;
    for seam in [
        "consumed",
        "handling",
        "committing",
        "committed",
        "calling",
        "called",
        "handled",
        "acked",
    ] {
        start_armed(stage, 0, Some(&format!("worker.{seam}=kill@2"))).await;
        dies(stage, 0).await?;
    }
    stage.platform().workers[1].kill().await;
    stage.quiet().await?;
    let waits = stage.one_join().await?;
    let begun = Instant::now();
    start_armed(stage, 0, None).await;
    let mut ledger = stage.ledger();
    while ledger.open().await?.contains(&waits) {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "the waiting join was never handled"
        );
        sleep(Duration::from_millis(10)).await;
    }
    let first = begun.elapsed();
    let fast = first < Duration::from_secs(2);
    stage.expect(
        I5,
        "the first message is handled within 2 s of the start",
        fast,
        format!("{first:?}"),
    );
    stage.recovers(PROCESS_BACK).await?;
    Ok(())
}

async fn killed_before_ack(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().workers(2)).await?;
    stage.load(20).await?;
    stage.flows(5).await?;
    for queue in [names::INTERACTIONS, names::EVENTS_GUILD, names::INTERACTIONS] {
        start_armed(stage, 0, Some(&format!("worker.handled[{queue}]=kill@3"))).await;
        dies(stage, 0).await?;
    }
    start_sound(stage, 0).await;
    stage.flows(5).await
}

async fn hangs(stage: &mut Stage) -> anyhow::Result<()> {
    let shape = Shape::default()
        .worker_env("WORKER_PREFETCH", "2")
        .worker_env("WORKER_COMMAND_SECONDS", "1")
        .worker_env(POINTS, "worker.running[stats]=hang@1;worker.running[stats]=hang@2");
    stage.start(shape).await?;
    for _ in 0..2 {
        stage.one_command("stats").await?;
    }
    let began = async |stage: &mut Stage| Ok(statuses(stage, "callback", "204").await? >= 2);
    stage.until("both to be deferred", began).await?;
    let begun = Instant::now();
    let fresh = stage.one_command("position").await?;
    let mut ledger = stage.ledger();
    while begun.elapsed() < Duration::from_secs(6) && ledger.open().await?.contains(&fresh) {
        sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    let answered = matches!(fresh, Deed::Command { id, .. } if ledger.was_answered(id));
    stage.expect(
        I5,
        "further commands are answered while two hang",
        answered,
        "the next command was not answered",
    );
    stage.recovered(took, Duration::from_secs(3));
    let tried_again = stage
        .worker_metric("arrakis_worker_messages_total", &[("verdict", "retry")])
        .await?;
    stage.expect(I6, "the hanging commands are counted as retried", tried_again >= 2.0, tried_again);
    if stage.guarded() {
        stage.settle().await?;
    } else {
        stage.settle_within(Duration::from_secs(1)).await?;
    }
    Ok(())
}

async fn slow(stage: &mut Stage) -> anyhow::Result<()> {
    let points = format!("worker.consumed[{}]=sleep(800)", names::INTERACTIONS);
    // Few concurrent interactions, so that the load exceeds the worker's capacity.
    let shape = Shape::default().worker_env("WORKER_PREFETCH", "10");
    stage.start(shape.worker_env(POINTS, points)).await?;
    let before = statuses(stage, "callback", "404").await?;
    stage.load(60).await?;
    let expires = async |stage: &mut Stage| Ok(stage.worker_metric(EXPIRED, &[]).await? >= 40.0);
    stage.until("interactions to expire", expires).await?;
    stage.quiet().await?;
    let (expired, asked) = (
        stage.worker_metric(EXPIRED, &[]).await?,
        statuses(stage, "callback", "404").await? - before,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let few = (asked as f64) < expired / 2.0;
    stage.expect(
        I3,
        "no first response is sent that is certainly late",
        few,
        format!("{asked} of {expired}"),
    );
    let depth = |queue| ("queue", queue);
    let grows = async |stage: &mut Stage| {
        let waiting = stage
            .worker_metric("arrakis_worker_queue_depth", &[depth(names::INTERACTIONS)])
            .await?;
        Ok(waiting > 10.0)
    };
    let told = stage.until("the metric of the queue's depth to rise", grows).await;
    stage.expect(I6, "the metric shows the depth of the queue", told.is_ok(), "none");
    let resident = stage.platform().workers[0].resident_bytes();
    stage.expect(I7, "memory stays bounded", resident < MEMORY, resident);
    // At full speed again.
    start_sound(stage, 0).await;
    stage.settle().await?;
    Ok(())
}

async fn inversion(stage: &mut Stage) -> anyhow::Result<()> {
    const FLOOD: u32 = 2_000;
    let points = "worker.consumed[interaction.button.flood]=sleep(30)";
    stage.start(Shape::default().worker_env(POINTS, points)).await?;
    let door = Door::new(&stage.platform().vhost().url());
    let priority = if stage.guarded() { 8 } else { 10 };
    let flood = (0..FLOOD).map(|number| {
        let id = format!("flood-{number}");
        let labels = door::labels(&id, "INTERACTION_CREATE", 1);
        let mut message = door::message(
            "interaction.button.flood",
            &id,
            "INTERACTION_CREATE",
            labels.headers(),
            b"{}",
        );
        message.priority = Some(priority);
        message
    });
    door.pour(flood).await?;
    stage.load(20).await?;
    let worked_off = async |_: &mut Stage| Ok(door.waiting(names::INTERACTIONS).await? == 0);
    stage.until("the flood to be over", worked_off).await?;
    stage.settle().await?;
    let slowest = slowest_of_a_hundred(stage).await?;
    let bounded = slowest.is_some_and(|ms| ms < 1_000);
    stage.expect(
        I3,
        "p99 of a command's first response is below 1 s",
        bounded,
        format!("{slowest:?} ms"),
    );
    let tally = stage.judge().await?;
    stage.expect(I3, "no command expires", tally.expired == 0, tally.expired);
    Ok(())
}

/// The 99th percentile of the time to the first response, over all commands; `None` when one had none.
pub(super) async fn slowest_of_a_hundred(stage: &mut Stage) -> anyhow::Result<Option<u64>> {
    let (discord, ledger) = (stage.discord(), stage.ledger());
    let mut times = Vec::new();
    for deed in ledger.sent().all() {
        if let Deed::Command { id, .. } = deed {
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
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    Ok(times.get(place).copied().filter(|ms| *ms < u64::MAX))
}

async fn twice(stage: &mut Stage) -> anyhow::Result<()> {
    let shape = Shape::default()
        .workers(2)
        .worker_env(POINTS, "worker.committing=sleep(30)");
    stage.start(shape).await?;
    let door = Door::new(&stage.platform().vhost().url());
    let doubling = door.double().await?;
    stage.load(20).await?;
    stage.flows(60).await?;
    stage.settle().await?;
    let deliveries = stage.worker_metric("arrakis_worker_messages_total", &[]).await?;
    let sent = stage.ledger().sent().len();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let doubled = deliveries > sent as f64 * 1.5;
    stage.expect(
        I2,
        "events were delivered twice",
        doubled,
        format!("{deliveries} deliveries of {sent}"),
    );
    doubling.end().await;
    Ok(())
}

async fn stale(stage: &mut Stage) -> anyhow::Result<()> {
    let mut shape = Shape::default().worker_env(POINTS, "worker.handled=sleep(300)");
    stage.prepare(&shape).await?;
    let url = stage.platform().vhost().url();
    let between = FaultProxy::start(&url).await;
    shape = shape.worker_env("AMQP_URL", between.in_front_of(&url));
    stage.start_services(shape).await?;
    stage.load(15).await?;
    for _ in 0..3 {
        stage.flows(5).await?;
        between.cut();
    }
    let stale =
        async |stage: &mut Stage| anyhow::Ok(stage.worker_metric("arrakis_worker_stale_acks_total", &[]).await? > 0.0);
    let limit = Instant::now() + Duration::from_secs(5);
    let mut counted = false;
    while !counted && Instant::now() < limit {
        counted = stale(stage).await?;
        sleep(Duration::from_millis(50)).await;
    }
    stage.expect(I6, "late acknowledgements are counted", counted, 0);
    stage.settle().await?;
    Ok(())
}
