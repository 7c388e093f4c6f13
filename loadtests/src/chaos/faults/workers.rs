//! Workers leave, die, hang, are slow, are given the same thing twice.

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
/// Bytes that a debug worker may hold while it cannot keep up.
const MEMORY: u64 = 300 << 20;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 19,
        name: "worker-terminated",
        what: "SIGTERM to a worker in the middle of commands",
        proves: &[I1, I2, I5],
        guard: Guard::FailPoint("broker.guard.requeue=skip"),
        run: |stage| Box::pin(terminated(stage)),
    },
    Scenario {
        fault: 20,
        name: "worker-killed-at-seams",
        what: "SIGKILL of a worker at each seam between delivery and acknowledgement",
        proves: &[I1, I2, I5],
        guard: Guard::FailPoint("broker.guard.ack=skip"),
        run: |stage| Box::pin(killed_at_seams(stage)),
    },
    Scenario {
        fault: 20,
        name: "worker-killed-before-ack",
        what: "SIGKILL of a worker whose work is done and not acknowledged, again and again",
        proves: &[I1, I2],
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(killed_before_ack(stage)),
    },
    Scenario {
        fault: 22,
        name: "handler-hangs",
        what: "as many commands hang as a worker handles at once",
        proves: &[I1, I5, I6],
        guard: Guard::FailPoint("broker.guard.limit=skip;worker.guard.limit=skip"),
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
        guard: Guard::FailPoint("db.guard.inbox=skip;worker.guard.done=skip"),
        run: |stage| Box::pin(twice(stage)),
    },
    Scenario {
        fault: 26,
        name: "stale-ack",
        what: "the connection is cut between the work and its acknowledgement",
        proves: &[I1, I2, I6],
        guard: Guard::FailPoint("broker.guard.stale_ack=skip"),
        run: |stage| Box::pin(stale(stage)),
    },
];

/// SIGKILL for this worker; it starts again with these points, or with none but the guard's.
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

/// The same, and it serves.
pub(super) async fn start_sound(stage: &mut Stage, place: usize) {
    start_armed(stage, place, None).await;
    stage.platform().workers[place].ready().await;
}

/// Waits until a worker has died of what was armed.
pub(super) async fn dies(stage: &mut Stage, place: usize) -> anyhow::Result<()> {
    let died = async |stage: &mut Stage| Ok(stage.platform().workers[place].has_ended().is_some());
    stage.until("the worker to die where it was told to", died).await
}

/// How often the emulator gave this status on routes with this in their name.
pub(super) async fn statuses(stage: &mut Stage, route: &str, status: u16) -> anyhow::Result<u64> {
    let stats = stage.stats().await?;
    Ok(stats.rest_responses(|name| name.contains(route), Some(status)))
}

async fn terminated(stage: &mut Stage) -> anyhow::Result<()> {
    const COMMANDS: u64 = 8;
    let slow = Shape::default()
        .workers(2)
        .worker_env("WORKER_PREFETCH", "4")
        .worker_env(POINTS, "worker.running=sleep(700)");
    stage.start(slow).await?;
    let before = statuses(stage, "callback", 204).await?;
    for _ in 0..COMMANDS {
        stage.one_command("threshold").await?;
        stage.one_join().await?;
    }
    // Four are in the hands of each.
    let begun = async |stage: &mut Stage| Ok(statuses(stage, "callback", 204).await? - before >= COMMANDS);
    stage.until("all commands to be deferred", begun).await?;
    let begun = Instant::now();
    let status = stage.platform().workers[0].stop(GRACE).await;
    let took = begun.elapsed();
    stage.expect(I5, "it leaves in order within its grace", status.success(), status);
    stage.recovered(took, GRACE);
    stage.settle().await?;
    // 400 is 40060: another worker had to begin again what the leaving one had begun.
    let begun_again = statuses(stage, "callback", 400).await?;
    stage.expect(I2, "what it held it finished", begun_again == 0, begun_again);
    Ok(())
}

async fn killed_at_seams(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default().workers(2)).await?;
    stage.load(20).await?;
    stage.flows(5).await?;
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
        start_armed(stage, 0, Some(&format!("{seam}=kill@2"))).await;
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
            "the join that waited was never handled"
        );
        sleep(Duration::from_millis(10)).await;
    }
    let first = begun.elapsed();
    let fast = first < Duration::from_secs(2);
    stage.expect(
        I5,
        "start to first message handled within 2 s",
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
        start_armed(stage, 0, Some(&format!("broker.handled[{queue}]=kill@3"))).await;
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
    let began = async |stage: &mut Stage| Ok(statuses(stage, "callback", 204).await? >= 2);
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
        "the queue moves while two hang",
        answered,
        "the next command was not answered",
    );
    stage.recovered(took, Duration::from_secs(3));
    let tried_again = stage
        .worker_metric("arrakis_worker_messages_total", &[("verdict", "retry")])
        .await?;
    stage.expect(I6, "what hung is counted", tried_again >= 2.0, tried_again);
    if stage.guarded() {
        stage.settle().await?;
    } else {
        stage.settle_within(Duration::from_secs(1)).await?;
    }
    Ok(())
}

async fn slow(stage: &mut Stage) -> anyhow::Result<()> {
    let points = format!("broker.consumed[{}]=sleep(800)", names::INTERACTIONS);
    // Few at once, so that the load is more than it can do.
    let shape = Shape::default().worker_env("WORKER_PREFETCH", "10");
    stage.start(shape.worker_env(POINTS, points)).await?;
    let before = statuses(stage, "callback", 404).await?;
    stage.load(60).await?;
    let expires = async |stage: &mut Stage| Ok(stage.worker_metric(EXPIRED, &[]).await? >= 40.0);
    stage.until("interactions to expire", expires).await?;
    stage.quiet().await?;
    let (expired, asked) = (
        stage.worker_metric(EXPIRED, &[]).await?,
        statuses(stage, "callback", 404).await? - before,
    );
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let few = (asked as f64) < expired / 2.0;
    stage.expect(
        I3,
        "Discord is not asked to take what is certainly late",
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
    let told = stage.until("the depth of the queue to be told", grows).await;
    stage.expect(I6, "the depth of the queue is told", told.is_ok(), "none");
    let resident = stage.platform().workers[0].resident_bytes();
    stage.expect(I7, "memory stays bounded", resident < MEMORY, resident);
    // As fast as ever again.
    start_sound(stage, 0).await;
    stage.settle().await?;
    Ok(())
}

async fn inversion(stage: &mut Stage) -> anyhow::Result<()> {
    const FLOOD: u32 = 2_000;
    let points = "broker.consumed[interaction.button.flood]=sleep(30)";
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
        "a command's p99 stays below 1 s",
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
        .worker_env(POINTS, "db.committing=sleep(30)");
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
        "events did come twice",
        doubled,
        format!("{deliveries} deliveries of {sent}"),
    );
    doubling.end().await;
    Ok(())
}

async fn stale(stage: &mut Stage) -> anyhow::Result<()> {
    let mut shape = Shape::default().worker_env(POINTS, "broker.handled=sleep(300)");
    stage.prepare(&shape).await?;
    let url = stage.platform().vhost().url();
    let between = FaultProxy::start(&url).await;
    shape = shape.worker_env("AMQP_URL", between.proxied_url(&url));
    stage.start_services(shape).await?;
    stage.load(15).await?;
    for _ in 0..3 {
        stage.flows(5).await?;
        between.close_connections();
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
