//! RESUME and IDENTIFY that fail without Discord saying that the session is gone.

use std::time::Duration;

use arrakis_ingestor::SessionLimits;
use arrakis_test_support::eventually;
use discord_emulator::faults::{Condition, FaultKind, SessionResponse};
use discord_emulator::gateway::ConnectionCommand;

use crate::world::World;

const LIMITS: SessionLimits = SessionLimits {
    failures: 4,
    give_up_after: Duration::from_millis(800),
    resume_answer: Duration::from_millis(500),
    ready: Duration::from_millis(500),
};

const ANSWERS: [SessionResponse; 6] = [
    SessionResponse::Reset,
    SessionResponse::Silence,
    SessionResponse::InvalidSession,
    SessionResponse::Close(4000),
    SessionResponse::Close(4008),
    SessionResponse::Close(1000),
];

fn arm(world: &World, kind: FaultKind, count: Option<u64>) -> u64 {
    let when = Condition {
        count,
        ..Condition::default()
    };
    world.discord.app().faults.arm(kind, when)
}

/// How many times an armed fault occurred.
fn struck(world: &World, fault: u64) -> u64 {
    let faults = world.discord.app().faults.list();
    faults.iter().find(|armed| armed.id == fault).unwrap().struck
}

async fn resume_that_fails_each_time_ends_in_a_new_session(answer: SessionResponse) {
    let world = World::new().await;
    let ingestor = world.ingestor_with_limits(LIMITS);
    ingestor.healthy_as("active").await;
    let old = world.discord.app().hub.sessions()[0].id.clone();
    let fault = arm(&world, FaultKind::GatewayResumeAnswer { answer }, None);
    assert_eq!(world.order(&ConnectionCommand::Drop), 1);
    eventually(
        async || world.stats().identifies == 2,
        format!("a new session after {answer:?}"),
    )
    .await;
    assert!(
        struck(&world, fault) >= 4,
        "{answer:?}: given up after {}",
        struck(&world, fault)
    );
    assert_eq!(world.stats().resumes, 0, "{answer:?}");
    ingestor.healthy_as("active").await;
    world.joins(3);
    let got = world.take_events(3).await;
    assert!(got.iter().all(|got| got.labels.session != *old), "{answer:?}");
    let metrics = ingestor.runtime.metrics.render();
    let gap = "arrakis_ingestor_gaps_total{reason=\"resume_failed\"} 1";
    assert!(metrics.contains(gap), "{answer:?}: {metrics}");
    assert_eq!(
        (&ingestor.shard(0)["gaps"], &ingestor.shard(0)["resume_failures"]),
        (&1.into(), &0.into())
    );
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn persistently_failing_resume_ends_in_a_new_session_and_a_gap() {
    let tasks = ANSWERS.map(|answer| tokio::spawn(resume_that_fails_each_time_ends_in_a_new_session(answer)));
    for task in tasks {
        task.await.unwrap();
    }
}

async fn resume_that_fails_for_a_while_keeps_the_session(answer: SessionResponse) {
    let world = World::new().await;
    let ingestor = world.ingestor_with_limits(SessionLimits {
        give_up_after: Duration::from_secs(60),
        ..LIMITS
    });
    ingestor.healthy_as("active").await;
    let fault = arm(&world, FaultKind::GatewayResumeAnswer { answer }, Some(4));
    assert_eq!(world.order(&ConnectionCommand::Drop), 1);
    world.joins(5);
    assert_eq!(world.take_events(5).await.len(), 5, "{answer:?}");
    assert_eq!(struck(&world, fault), 4, "{answer:?}");
    assert_eq!((world.stats().identifies, world.stats().resumes), (1, 1), "{answer:?}");
    assert_eq!(ingestor.shard(0)["gaps"], 0, "{answer:?}");
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn temporarily_failing_resume_keeps_the_session() {
    let tasks = ANSWERS.map(|answer| tokio::spawn(resume_that_fails_for_a_while_keeps_the_session(answer)));
    for task in tasks {
        task.await.unwrap();
    }
}

/// Each process makes fewer attempts than the limit; together they reach it.
#[tokio::test]
async fn restarts_continue_the_count_of_failed_resumes() {
    let world = World::new().await;
    let limits = SessionLimits { failures: 6, ..LIMITS };
    let first = world.ingestor_with_limits(limits);
    first.healthy_as("active").await;
    let answer = SessionResponse::Close(4000);
    let fault = arm(&world, FaultKind::GatewayResumeAnswer { answer }, None);
    assert_eq!(world.order(&ConnectionCommand::Drop), 1);
    let mut ingestor = first;
    let mut processes = 1;
    while world.stats().identifies == 1 {
        let before = struck(&world, fault);
        let went_on = async || struck(&world, fault) >= before + 2 || world.stats().identifies == 2;
        eventually(went_on, "two more attempts or a new session").await;
        if world.stats().identifies == 2 {
            break;
        }
        ingestor.stop().await;
        assert!(
            struck(&world, fault) <= 8,
            "the count began anew: {}",
            struck(&world, fault)
        );
        ingestor = world.ingestor_with_limits(limits);
        processes += 1;
    }
    assert!(processes > 1, "one process reached the limit by itself");
    ingestor.healthy_as("active").await;
    world.joins(3);
    world.take_events(3).await;
    ingestor.stop().await;
    world.finish(&[]).await;
}

async fn identify_without_ready_is_repeated_for(world: World, answer: SessionResponse) {
    let fault = arm(&world, FaultKind::GatewayIdentifyAnswer { answer }, Some(2));
    let ingestor = world.ingestor_with_limits(LIMITS);
    ingestor.healthy_as("active").await;
    assert_eq!((struck(&world, fault), world.stats().identifies), (2, 1), "{answer:?}");
    world.joins(3);
    world.take_events(3).await;
    ingestor.stop().await;
    world.finish(&[]).await;
}

/// At the same time: each waits for two further slots for IDENTIFY, which Discord gives every five seconds.
#[tokio::test]
async fn identify_without_ready_is_repeated() {
    let answers = [
        SessionResponse::Silence,
        SessionResponse::Reset,
        SessionResponse::Close(4000),
    ];
    // The set-up of a world takes longer than the time limit for READY.
    let worlds = [World::new().await, World::new().await, World::new().await];
    let tasks: Vec<_> = worlds
        .into_iter()
        .zip(answers)
        .map(|(world, answer)| tokio::spawn(identify_without_ready_is_repeated_for(world, answer)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
