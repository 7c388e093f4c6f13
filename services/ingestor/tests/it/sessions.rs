use std::time::Duration;

use arrakis_test_support::eventually;
use discord_emulator::faults::{Condition, DeadHost, FaultKind};
use discord_emulator::gateway::ConnectionCommand;

use crate::world::{World, ascending, seqs};

/// After a command to the emulator the session is resumed, and no event is missed.
async fn resumes_after(order: ConnectionCommand) {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    world.joins(5);
    let before = world.stats();
    assert_eq!(world.order(&order), 1);
    world.joins(20);
    eventually(async || world.stats().resumes > before.resumes, "a resume").await;
    world.joins(5);
    let got = world.take_events(30).await;
    assert!(ascending(&seqs(&got)), "{:?}", seqs(&got));
    assert_eq!(world.stats().identifies, before.identifies, "no identify");
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn dropped_socket_is_resumed() {
    resumes_after(ConnectionCommand::Drop).await;
}

#[tokio::test]
async fn op_7_is_resumed() {
    resumes_after(ConnectionCommand::Reconnect).await;
}

#[tokio::test]
async fn op_9_true_is_resumed() {
    resumes_after(ConnectionCommand::Invalidate { resumable: true }).await;
}

#[tokio::test]
async fn resumable_close_code_is_resumed() {
    resumes_after(ConnectionCommand::Close(4000)).await;
}

/// After a command to the emulator the session is lost: a new one begins, and a gap is counted.
async fn begins_anew_after(order: ConnectionCommand, reason: &str) {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    let old = world.discord.app().hub.sessions()[0].id.clone();
    assert_eq!(world.order(&order), 1);
    eventually(async || world.stats().identifies == 2, "a second identify").await;
    world.connected(1).await;
    world.joins(3);
    let got = world.take_events(3).await;
    assert!(got.iter().all(|got| got.labels.session != *old));
    let metrics = ingestor.runtime.metrics.render();
    let gap = format!("arrakis_ingestor_gaps_total{{reason=\"{reason}\"}} 1");
    assert!(metrics.contains(&gap), "{metrics}");
    assert_eq!(ingestor.shard(0)["gaps"], 1);
    ingestor.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn op_9_false_begins_a_new_session() {
    begins_anew_after(ConnectionCommand::Invalidate { resumable: false }, "invalid_session").await;
}

#[tokio::test]
async fn close_code_4007_begins_a_new_session() {
    begins_anew_after(ConnectionCommand::Close(4007), "close_code").await;
}

#[tokio::test]
async fn close_code_4009_begins_a_new_session() {
    begins_anew_after(ConnectionCommand::Close(4009), "close_code").await;
}

/// The close code keeps the session; the next process resumes it and receives the events sent meanwhile.
#[tokio::test]
async fn restart_resumes_without_a_second_identify() {
    let world = World::with(|options| options.shards = Some(2)).await;
    let first = world.ingestor();
    // Both sessions are stored: a session whose READY was not received cannot be resumed.
    first.healthy_as("active").await;
    world.joins(10);
    first.stop().await;
    world.connected(0).await;
    for shard in 0..4 {
        world.join(shard);
    }
    let second = world.ingestor();
    world.connected(2).await;
    world.joins(10);
    let got = world.take_events(24).await;
    assert_eq!((world.stats().identifies, world.stats().resumes), (2, 2));
    for shard in 0..2 {
        let seqs = seqs(
            &got.iter()
                .filter(|got| got.labels.shard == shard)
                .cloned()
                .collect::<Vec<_>>(),
        );
        assert!(ascending(&seqs), "{seqs:?}");
    }
    assert_eq!(got.len(), 24, "what was confirmed is not replayed");
    second.stop().await;
    world.finish(&[]).await;
}

#[tokio::test]
async fn unreachable_resume_host_is_replaced_by_the_gateways_url() {
    for mode in [DeadHost::Refuse, DeadHost::Hang] {
        let world = World::new().await;
        let ingestor = world.ingestor();
        world.connected(1).await;
        world
            .discord
            .app()
            .faults
            .arm(FaultKind::GatewayDeadResumeHost { mode }, Condition::default());
        assert_eq!(world.order(&ConnectionCommand::Drop), 1);
        world.joins(5);
        assert_eq!(world.take_events(5).await.len(), 5);
        assert_eq!((world.stats().identifies, world.stats().resumes), (1, 1), "{mode:?}");
        ingestor.stop().await;
        world.finish(&[]).await;
    }
}

#[tokio::test]
async fn missing_heartbeat_acknowledgement_ends_the_connection() {
    let world = World::with(|options| options.heartbeat_interval_ms = 300).await;
    world.discord.app().faults.arm(
        FaultKind::GatewayNoHeartbeatAck,
        Condition {
            count: Some(3),
            ..Condition::default()
        },
    );
    let ingestor = world.ingestor();
    eventually(async || world.stats().resumes >= 1, "a resume").await;
    world.connected(1).await;
    world.joins(3);
    world.take_events(3).await;
    assert_eq!(world.stats().identifies, 1);
    ingestor.stop().await;
}

#[tokio::test]
async fn gateway_that_closes_at_once_is_called_with_waits() {
    let world = World::new().await;
    let ingestor = world.ingestor();
    world.connected(1).await;
    let closer = async {
        loop {
            world.order(&ConnectionCommand::Drop);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // For two seconds every connection is dropped as soon as it has a session.
    let _ = tokio::time::timeout(Duration::from_secs(2), closer).await;
    let resumes = world.stats().resumes;
    assert!((1..=8).contains(&resumes), "{resumes} resumes in two seconds");
    world.joins(3);
    world.take_events(3).await;
    ingestor.stop().await;
}

/// Two shards of two processes in one bucket: the second IDENTIFY waits for the slot.
#[tokio::test]
async fn identifies_of_one_bucket_are_spaced_across_processes() {
    let world = World::with(|options| {
        options.max_concurrency = 1;
        options.shards = Some(2);
    })
    .await;
    let begin = std::time::Instant::now();
    let first = world.ingestor_with(&[("SHARD_RANGE", "0-0")]);
    let second = world.ingestor_with(&[("SHARD_RANGE", "1-1")]);
    world.connected(2).await;
    assert!(begin.elapsed() >= Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!((world.stats().identifies, world.stats().invalid_sessions), (2, 0));
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn exhausted_session_start_limit_is_reported_and_waited_for() {
    let world = World::new().await;
    world.discord.app().hub.set_limits(None, Some(0), None);
    let ingestor = world.ingestor();
    let says = async || {
        ingestor.document()["components"]["identify"]["detail"]
            .as_str()
            .is_some_and(|why| why.contains("waiting"))
    };
    eventually(says, "the ingestor to report that it waits").await;
    assert_eq!(ingestor.document()["components"]["identify"]["status"], "degraded");
    assert_eq!(
        (world.stats().identifies, world.discord.app().hub.connections()),
        (0, 0)
    );
    ingestor.stop().await;
}
