//! Messages that cannot be decoded, that panic or abort their worker, or that fail ten thousand at a time.

use std::time::Duration;

use arrakis_contracts::dead_letter::DeadReason;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{DeadLetter, headers, names};
use tokio::time::{Instant, sleep};

use super::workers::{POINTS, slowest_of_a_hundred, start_armed};
use crate::chaos::Invariant::{I1, I2, I3, I5};
use crate::chaos::door::{self, Door};
use crate::chaos::stage::waits::percentile;
use crate::chaos::{Guard, Scenario, Shape, Stage};

/// An event of a server that is not onboarded: readable, and without effect.
const BODY: &[u8] = br#"{"guild_id":"1","user":{"id":"2","username":"x"}}"#;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 21,
        name: "poison-unreadable",
        what: "bodies and labels that are none, as interaction, event and job",
        proves: &[I1, I5],
        guard: Guard::FailPoint("worker.guard.unreadable=skip"),
        run: |stage| Box::pin(unreadable(stage)),
    },
    Scenario {
        fault: 21,
        name: "poison-panics",
        what: "a message over which the handler panics each time",
        proves: &[I1, I5],
        guard: Guard::FailPoint("worker.guard.panic=skip"),
        run: |stage| Box::pin(panics(stage)),
    },
    Scenario {
        fault: 21,
        name: "poison-aborts",
        what: "a message that takes its worker down each time, among neighbours",
        proves: &[I1, I2],
        guard: Guard::FailPoint("worker.guard.isolation=skip"),
        run: |stage| Box::pin(aborts(stage)),
    },
    Scenario {
        fault: 27,
        name: "retry-storm",
        what: "10,000 events fail at once while commands are run and people join",
        proves: &[I1, I3, I5],
        guard: Guard::FailPoint("worker.guard.retry_wait=skip"),
        run: |stage| Box::pin(storm(stage)),
    },
    Scenario {
        fault: 28,
        name: "unknown-version",
        what: "labels of a contract version that this build does not know",
        proves: &[I1],
        guard: Guard::FailPoint("worker.guard.version=skip"),
        run: |stage| Box::pin(unknown_version(stage)),
    },
];

/// Waits for this many dead letters, up to the time limit. Returns the present ones.
async fn letters(door: &Door, count: usize) -> anyhow::Result<Vec<DeadLetter>> {
    let deadline = Instant::now() + Duration::from_secs(8);
    loop {
        let found = door.dead().await?;
        if found.len() >= count || Instant::now() >= deadline {
            return Ok(found);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Checks that no worker has ended.
fn expect_all_up(stage: &mut Stage) {
    let mut ended = Vec::new();
    for worker in &mut stage.platform().workers {
        if worker.has_ended().is_some() {
            ended.push(worker.name().to_owned());
        }
    }
    stage.expect(I5, "no worker has ended", ended.is_empty(), ended.join(", "));
}

async fn unreadable(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    let door = Door::new(&stage.platform().vhost().url());
    stage.load(30).await?;
    let event = |event: &str| door::labels("x", event, 1).headers();
    let (interaction, join) = ("INTERACTION_CREATE", "GUILD_MEMBER_ADD");
    door.put(
        "interaction.command.x",
        "p1",
        interaction,
        event(interaction),
        b"not json",
    )
    .await?;
    door.put("interaction.command.x", "p2", interaction, headers_of_nobody(), b"{}")
        .await?;
    door.put("member.join", "p3", join, headers_of_nobody(), BODY).await?;
    door.put("guild.update", "p4", "GUILD_DANCE", event("GUILD_DANCE"), b"{}")
        .await?;
    let mut job = door::message("tier-sync", "p5", "job", headers_of_nobody(), b"not a job");
    job.exchange = names::JOBS.to_owned();
    door.send(job).await?;
    let found = letters(&door, 5).await?;
    let parked = found
        .iter()
        .filter(|letter| letter.reason == DeadReason::Unreadable)
        .count();
    stage.expect(I1, "each message is a dead letter with its reason", parked == 5, format!("{found:?}"));
    stage.flows(20).await?;
    expect_all_up(stage);
    Ok(())
}

fn headers_of_nobody() -> arrakis_contracts::labels::Headers {
    arrakis_contracts::labels::Headers::new()
}

async fn panics(stage: &mut Stage) -> anyhow::Result<()> {
    let points = "worker.handling[poison]=panic";
    stage.start(Shape::default().worker_env(POINTS, points)).await?;
    let door = Door::new(&stage.platform().vhost().url());
    stage.load(30).await?;
    stage.flows(10).await?;
    let mut headers = door::labels("poison", "GUILD_MEMBER_REMOVE", 1).headers();
    // Its three retries are over: their 155 s would show nothing more.
    headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(3));
    door.put("member.leave", "poison", "GUILD_MEMBER_REMOVE", headers, BODY)
        .await?;
    let found = if stage.guarded() {
        letters(&door, 1).await?
    } else {
        Vec::new()
    };
    let told = found
        .iter()
        .any(|letter| letter.id == "poison" && letter.error.contains("panicked"));
    stage.expect(I1, "the message is a dead letter with the panic as its error", told, format!("{found:?}"));
    sleep(Duration::from_millis(300)).await;
    expect_all_up(stage);
    if stage.guarded() {
        stage.flows(20).await?;
    } else {
        stage.settle_within(Duration::ZERO).await?;
    }
    Ok(())
}

async fn aborts(stage: &mut Stage) -> anyhow::Result<()> {
    const MOST_DEATHS: u32 = 14;
    let points = "worker.consumed[poison]=abort";
    let shape = Shape::default().worker_env("WORKER_EVENT_PREFETCH", "10");
    stage.start(shape).await?;
    let door = Door::new(&stage.platform().vhost().url());
    // Everything is delivered at once: the poison message with other messages before and behind it. A leave among them that is
    // handled twice leaves two audit entries.
    stage.platform().workers[0].kill().await;
    stage.burst(2).await?;
    stage.leaves(2).await?;
    let there = async |_: &mut Stage| Ok(door.waiting(names::EVENTS_GUILD).await? >= 4);
    stage.until("the first messages to be queued", there).await?;
    let headers = door::labels("poison", "GUILD_MEMBER_REMOVE", 1).headers();
    door.put("member.leave", "poison", "GUILD_MEMBER_REMOVE", headers, BODY)
        .await?;
    stage.burst(3).await?;
    stage.leaves(2).await?;
    let there = async |_: &mut Stage| Ok(door.waiting(names::EVENTS_GUILD).await? >= 10);
    stage.until("all messages to be queued", there).await?;
    start_armed(stage, 0, Some(points)).await;
    let (mut deaths, deadline) = (0, Instant::now() + Duration::from_secs(40));
    let mut found = Vec::new();
    let given_up = |found: &[DeadLetter]| found.iter().any(|letter| letter.id == "poison");
    while Instant::now() < deadline && !given_up(&found) && deaths < MOST_DEATHS {
        if stage.platform().workers[0].has_ended().is_some() {
            deaths += 1;
            stage.platform().workers[0].start_again();
        }
        found = door.dead().await?;
        sleep(Duration::from_millis(20)).await;
    }
    stage.expect(
        I1,
        "the poison message is a dead letter",
        given_up(&found),
        format!("after {deaths} aborts: {found:?}"),
    );
    // A job's message only wakes a worker; its row stays, and the leader publishes it again.
    let only_it = found.iter().all(|letter| letter.id == "poison" || letter.kind == "job");
    stage.expect(I1, "no other message is a dead letter", only_it, format!("{found:?}"));
    start_armed(stage, 0, None).await;
    stage.platform().workers[0].ready().await;
    let tally = stage.judge().await?;
    stage.expect(
        I1,
        "every other message has its effect",
        tally.done == tally.sent,
        format!("{tally:?}"),
    );
    Ok(())
}

async fn storm(stage: &mut Stage) -> anyhow::Result<()> {
    const STORM: u32 = 10_000;
    // One in this many fails for the first time and returns during the storm; the others have had their first retry.
    const FRESH: u32 = 10;
    // Joins are queued behind the storm until each message of it has failed once.
    const JOINS: Duration = Duration::from_secs(15);
    const EVERY: Duration = Duration::from_millis(200);
    let shape = Shape::default()
        .worker_env(POINTS, "worker.failing[member.storm]=skip")
        .worker_env("WORKER_EVENT_PREFETCH", "30")
        // Logging ten thousand failures would distort the measurement.
        .worker_env("RUST_LOG", "off");
    stage.start(shape).await?;
    let door = Door::new(&stage.platform().vhost().url());
    stage.load(40).await?;
    stage.flows(10).await?;
    let storm = (0..STORM).map(|number| {
        let id = format!("storm-{number}");
        let mut headers = door::labels(&id, "GUILD_MEMBER_REMOVE", 1).headers();
        let attempts = if number % FRESH == 0 { 0 } else { 2 };
        headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(attempts));
        door::message("member.storm", &id, "GUILD_MEMBER_REMOVE", headers, BODY)
    });
    let joins = stage.time_joins(EVERY)?;
    door.pour(storm).await?;
    let failed = async |_: &mut Stage| {
        let mut waiting = 0;
        for seconds in names::RETRY_SECONDS {
            waiting += door.waiting(&names::retry(seconds)).await?;
        }
        Ok(waiting >= STORM)
    };
    let limit = Duration::from_secs(if stage.guarded() { 60 } else { 5 });
    stage
        .sees(I1, "all failed messages wait in a retry queue", limit, failed)
        .await?;
    if !stage.guarded() {
        // A join at the beginning may take this long.
        sleep(JOINS).await;
    }
    let waits = joins.end().await?;
    let (half, most) = (percentile(&waits, 50), percentile(&waits, 99));
    stage.note(format!(
        "{} joins in the storm: p50 {half:.1?}, p99 {most:.1?}",
        waits.len()
    ));
    stage.expect(
        I5,
        "p99 of a join's row in the storm",
        most <= JOINS,
        format!("{most:.1?}"),
    );
    stage.quiet().await?;
    if !stage.guarded() {
        // The storm never ends.
        stage.patience(Duration::ZERO);
    }
    stage.settle().await?;
    let slowest = slowest_of_a_hundred(stage).await?;
    let bounded = slowest.is_some_and(|ms| ms < 1_000);
    stage.expect(
        I3,
        "p99 of a command's first response is below 1 s",
        bounded,
        format!("{slowest:?} ms"),
    );
    Ok(())
}

async fn unknown_version(stage: &mut Stage) -> anyhow::Result<()> {
    stage.start(Shape::default()).await?;
    let door = Door::new(&stage.platform().vhost().url());
    stage.load(30).await?;
    for (key, id, event) in [
        ("interaction.command.x", "new-1", "INTERACTION_CREATE"),
        ("member.leave", "new-2", "GUILD_MEMBER_REMOVE"),
    ] {
        let mut headers = door::labels(id, event, 1).headers();
        headers.insert(headers::VERSION.to_owned(), HeaderValue::Integer(2));
        door.put(key, id, event, headers, BODY).await?;
    }
    let found = letters(&door, 2).await?;
    let told = found
        .iter()
        .filter(|letter| letter.error.contains("contract version 2"))
        .count();
    stage.expect(
        I1,
        "both are dead letters that name their version",
        told == 2,
        format!("{found:?}"),
    );
    stage.flows(20).await
}
