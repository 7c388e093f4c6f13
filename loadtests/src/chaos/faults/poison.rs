//! Messages that cannot be decoded, that panic or abort their worker, or that fail ten thousand at a time.

use std::time::Duration;

use arrakis_contracts::dead_letter::DeadLetterReason;
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{DeadLetter, headers, names};
use tokio::time::{Instant, sleep};

use super::workers::{POINTS, first_response_p99, start_armed};
use crate::chaos::Invariant::{I1, I2, I3, I5, I6};
use crate::chaos::broker_client::{self, BrokerClient};
use crate::chaos::testbed::timed_joins::percentile;
use crate::chaos::{Deployment, Guard, Scenario, Testbed};

/// An event of a server that is not onboarded: readable, and without effect.
const BODY: &[u8] = br#"{"guild_id":"1","user":{"id":"2","username":"x"}}"#;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        fault: 21,
        name: "poison-unreadable",
        what: "bodies and labels that cannot be decoded, as interaction, event and job",
        proves: &[I1, I5, I6],
        alerts: &["dead-letters", "events-burn-fast", "events-burn-slow"],
        expected: "dead letters with the reason `unreadable`",
        guard: Guard::FailPoint("worker.guard.unreadable=skip"),
        without_guard: "",
        run: |testbed| Box::pin(unreadable(testbed)),
    },
    Scenario {
        fault: 21,
        name: "poison-panics",
        what: "a message whose handler panics each time",
        proves: &[I1, I5, I6],
        alerts: &["dead-letters", "panics"],
        expected: "a dead letter with the panic as its error",
        guard: Guard::FailPoint("broker.guard.panic=skip"),
        without_guard: "",
        run: |testbed| Box::pin(panics(testbed)),
    },
    Scenario {
        fault: 21,
        name: "poison-aborts",
        what: "a message that aborts its worker each time, among other messages",
        proves: &[I1, I2, I6],
        alerts: &["dead-letters"],
        expected: "a dead letter; the other messages have their effect",
        guard: Guard::FailPoint("broker.guard.isolation=skip"),
        without_guard: "9 other messages became dead letters",
        run: |testbed| Box::pin(aborts(testbed)),
    },
    Scenario {
        fault: 27,
        name: "retry-storm",
        what: "10,000 events fail at once while commands are run and users join",
        proves: &[I1, I3, I5, I6],
        alerts: &["retries"],
        expected: "p99 of commands below 1 s, of joins below 15 s",
        guard: Guard::FailPoint("broker.guard.retry_wait=skip"),
        without_guard: "no message waits; p99 of joins 24.7 s",
        run: |testbed| Box::pin(storm(testbed)),
    },
    Scenario {
        fault: 28,
        name: "unknown-version",
        what: "labels of an unknown contract version",
        proves: &[I1, I6],
        alerts: &["dead-letters"],
        expected: "dead letters that name the version",
        guard: Guard::FailPoint("broker.guard.version=skip"),
        without_guard: "",
        run: |testbed| Box::pin(unknown_version(testbed)),
    },
];

/// Waits for this many dead letters, up to the time limit. Returns the present ones.
async fn wait_for_dead_letters(broker: &BrokerClient, count: usize) -> anyhow::Result<Vec<DeadLetter>> {
    let deadline = Instant::now() + Duration::from_secs(8);
    loop {
        let found = broker.dead_letters().await?;
        if found.len() >= count || Instant::now() >= deadline {
            return Ok(found);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Checks that no worker has ended.
fn expect_no_worker_ended(testbed: &mut Testbed) {
    let mut ended = Vec::new();
    for worker in &mut testbed.platform().workers {
        if worker.exit_status().is_some() {
            ended.push(worker.name().to_owned());
        }
    }
    testbed.expect(I5, "no worker has ended", ended.is_empty(), ended.join(", "));
}

async fn unreadable(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    testbed.load(30).await?;
    let event = |event: &str| broker_client::labels("x", event, 1).headers();
    let (interaction, join) = ("INTERACTION_CREATE", "GUILD_MEMBER_ADD");
    broker
        .publish_event(
            "interaction.command.x",
            "p1",
            interaction,
            event(interaction),
            b"not json",
        )
        .await?;
    broker
        .publish_event("interaction.command.x", "p2", interaction, no_headers(), b"{}")
        .await?;
    broker
        .publish_event("member.join", "p3", join, no_headers(), BODY)
        .await?;
    broker
        .publish_event("guild.update", "p4", "GUILD_DANCE", event("GUILD_DANCE"), b"{}")
        .await?;
    let mut job = broker_client::message("tier-sync", "p5", "job", no_headers(), b"not a job");
    job.exchange = names::JOBS.to_owned();
    broker.publish(job).await?;
    let found = wait_for_dead_letters(&broker, 5).await?;
    let parked = found
        .iter()
        .filter(|letter| letter.reason == DeadLetterReason::Unreadable)
        .count();
    testbed.expect(
        I1,
        "each message is a dead letter with its reason",
        parked == 5,
        format!("{found:?}"),
    );
    testbed.wait_for_effects(20).await?;
    expect_no_worker_ended(testbed);
    // The share of lost events is one of those that are received.
    testbed.expect_alert("events-burn-slow").await?;
    testbed.expect_alert_ends("events-burn-fast").await?;
    Ok(())
}

fn no_headers() -> arrakis_contracts::labels::Headers {
    arrakis_contracts::labels::Headers::new()
}

async fn panics(testbed: &mut Testbed) -> anyhow::Result<()> {
    let points = "broker.handling[poison]=panic";
    testbed.start(Deployment::default().worker_env(POINTS, points)).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    testbed.load(30).await?;
    testbed.wait_for_effects(10).await?;
    let mut headers = broker_client::labels("poison", "GUILD_MEMBER_REMOVE", 1).headers();
    // Its three retries are over: their 155 s would show nothing more.
    headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(3));
    broker
        .publish_event("member.leave", "poison", "GUILD_MEMBER_REMOVE", headers, BODY)
        .await?;
    let found = if testbed.guarded() {
        wait_for_dead_letters(&broker, 1).await?
    } else {
        Vec::new()
    };
    let matching = found
        .iter()
        .any(|letter| letter.id == "poison" && letter.error.contains("panicked"));
    testbed.expect(
        I1,
        "the message is a dead letter with the panic as its error",
        matching,
        format!("{found:?}"),
    );
    sleep(Duration::from_millis(300)).await;
    expect_no_worker_ended(testbed);
    if testbed.guarded() {
        testbed.wait_for_effects(20).await?;
    } else {
        testbed.settle_within(Duration::ZERO).await?;
    }
    Ok(())
}

async fn aborts(testbed: &mut Testbed) -> anyhow::Result<()> {
    const MAX_ABORTS: u32 = 14;
    let points = "broker.consumed[poison]=abort";
    let deployment = Deployment::default().worker_env("WORKER_EVENT_PREFETCH", "10");
    testbed.start(deployment).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    // Everything is delivered at once: the poison message with other messages before and behind it. A leave among them that is
    // handled twice leaves two audit entries.
    testbed.platform().workers[0].kill().await;
    testbed.burst(2).await?;
    testbed.leaves(2).await?;
    let there = async |_: &mut Testbed| Ok(broker.ready_messages(names::EVENTS_GUILD).await? >= 4);
    testbed.wait_until("the first messages to be queued", there).await?;
    let headers = broker_client::labels("poison", "GUILD_MEMBER_REMOVE", 1).headers();
    broker
        .publish_event("member.leave", "poison", "GUILD_MEMBER_REMOVE", headers, BODY)
        .await?;
    testbed.burst(3).await?;
    testbed.leaves(2).await?;
    let there = async |_: &mut Testbed| Ok(broker.ready_messages(names::EVENTS_GUILD).await? >= 10);
    testbed.wait_until("all messages to be queued", there).await?;
    start_armed(testbed, 0, Some(points)).await;
    let (mut kills, deadline) = (0, Instant::now() + Duration::from_secs(40));
    let mut found = Vec::new();
    let given_up = |found: &[DeadLetter]| found.iter().any(|letter| letter.id == "poison");
    while Instant::now() < deadline && !given_up(&found) && kills < MAX_ABORTS {
        if testbed.platform().workers[0].exit_status().is_some() {
            kills += 1;
            testbed.platform().workers[0].start_again();
        }
        found = broker.dead_letters().await?;
        sleep(Duration::from_millis(20)).await;
    }
    testbed.expect(
        I1,
        "the poison message is a dead letter",
        given_up(&found),
        format!("after {kills} aborts: {found:?}"),
    );
    // A job's message only wakes a worker; its row stays, and the leader publishes it again.
    let only_it = found.iter().all(|letter| letter.id == "poison" || letter.kind == "job");
    testbed.expect(I1, "no other message is a dead letter", only_it, format!("{found:?}"));
    start_armed(testbed, 0, None).await;
    testbed.platform().workers[0].ready().await;
    let tally = testbed.check_ledger().await?;
    testbed.expect(
        I1,
        "every other message has its effect",
        tally.done == tally.sent,
        format!("{tally:?}"),
    );
    Ok(())
}

async fn storm(testbed: &mut Testbed) -> anyhow::Result<()> {
    const STORM: u32 = 10_000;
    // One in this many fails for the first time and returns during the storm; the others have had their first retry.
    const FRESH: u32 = 10;
    // Joins are queued behind the storm until each message of it has failed once.
    const JOINS: Duration = Duration::from_secs(15);
    const EVERY: Duration = Duration::from_millis(200);
    let deployment = Deployment::default()
        .worker_env(POINTS, "broker.failing[member.storm]=skip")
        .worker_env("WORKER_EVENT_PREFETCH", "30")
        // Logging ten thousand failures would distort the measurement.
        .worker_env("RUST_LOG", "off");
    testbed.start(deployment).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    testbed.load(40).await?;
    testbed.wait_for_effects(10).await?;
    let storm = (0..STORM).map(|number| {
        let id = format!("storm-{number}");
        let mut headers = broker_client::labels(&id, "GUILD_MEMBER_REMOVE", 1).headers();
        let attempts = if number % FRESH == 0 { 0 } else { 2 };
        headers.insert(headers::ATTEMPTS.to_owned(), HeaderValue::Integer(attempts));
        broker_client::message("member.storm", &id, "GUILD_MEMBER_REMOVE", headers, BODY)
    });
    let joins = testbed.time_joins(EVERY)?;
    broker.publish_all(storm).await?;
    let failed = async |_: &mut Testbed| {
        let mut waiting = 0;
        for seconds in names::RETRY_SECONDS {
            waiting += broker.ready_messages(&names::retry(seconds)).await?;
        }
        Ok(waiting >= STORM)
    };
    let limit = Duration::from_secs(if testbed.guarded() { 60 } else { 5 });
    testbed
        .expect_within(I1, "all failed messages wait in a retry queue", limit, failed)
        .await?;
    if !testbed.guarded() {
        // A join at the beginning may take this long.
        sleep(JOINS).await;
    }
    let waits = joins.end().await?;
    let (half, most) = (percentile(&waits, 50), percentile(&waits, 99));
    testbed.note(format!(
        "{} joins in the storm: p50 {half:.1?}, p99 {most:.1?}",
        waits.len()
    ));
    testbed.expect(
        I5,
        "p99 of a join's row in the storm",
        most <= JOINS,
        format!("{most:.1?}"),
    );
    testbed.stop_load().await?;
    if !testbed.guarded() {
        // The storm never ends.
        testbed.settle_limit(Duration::ZERO);
    }
    testbed.settle().await?;
    let slowest = first_response_p99(testbed).await?;
    let bounded = slowest.is_some_and(|ms| ms < 1_000);
    testbed.expect(
        I3,
        "p99 of a command's first response is below 1 s",
        bounded,
        format!("{slowest:?} ms"),
    );
    Ok(())
}

async fn unknown_version(testbed: &mut Testbed) -> anyhow::Result<()> {
    testbed.start(Deployment::default()).await?;
    let broker = BrokerClient::new(&testbed.platform().vhost().url());
    testbed.load(30).await?;
    for (key, id, event) in [
        ("interaction.command.x", "new-1", "INTERACTION_CREATE"),
        ("member.leave", "new-2", "GUILD_MEMBER_REMOVE"),
    ] {
        let mut headers = broker_client::labels(id, event, 1).headers();
        headers.insert(headers::VERSION.to_owned(), HeaderValue::Integer(2));
        broker.publish_event(key, id, event, headers, BODY).await?;
    }
    let found = wait_for_dead_letters(&broker, 2).await?;
    let matching = found
        .iter()
        .filter(|letter| letter.error.contains("contract version 2"))
        .count();
    testbed.expect(
        I1,
        "both are dead letters that name their version",
        matching == 2,
        format!("{found:?}"),
    );
    testbed.wait_for_effects(20).await
}
