//! Leader election among workers, and the registration of commands by the leader.

use std::time::Duration;

use arrakis_db::{CHECKPOINT_KEPT, CheckpointPurpose, NewCheckpoint, NewJob, PostKind, ServerNames, TEARDOWN_FREEZE};
use arrakis_test_support::{eventually, eventually_within};
use arrakis_worker::commands::Commands;
use arrakis_worker::jobs::reconcile;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::platform::Platform;

const LEADER: &str = "arrakis_worker_leader";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_worker_is_leader_after_the_first_one_stops() {
    let platform = Platform::start().await;
    let first = platform.worker().await;
    first.until_metric(LEADER, 1.0).await;
    let second = platform.worker().await;
    assert_eq!((first.metric(LEADER), second.metric(LEADER)), (Some(1.0), Some(0.0)));
    first.stop().await.unwrap();
    second.until_metric(LEADER, 1.0).await;
    drop(second);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_is_leader_after_the_connection_is_lost() {
    let platform = Platform::start().await;
    let first = platform.worker().await;
    first.until_metric(LEADER, 1.0).await;
    let second = platform.worker().await;
    platform
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'arrakis-leader' \
              and datname = current_database() and pid in (select pid from pg_locks where locktype = 'advisory' and granted)")
        .await;
    eventually(
        || async {
            let leaders = [first.metric(LEADER), second.metric(LEADER)];
            leaders.iter().filter(|leads| **leads == Some(1.0)).count() == 1
        },
        "exactly one leader",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_checkpoint_is_deleted_with_an_audit_entry() {
    let platform = Platform::start().await;
    let now = OffsetDateTime::now_utc();
    let mut tx = platform.tenant().await;
    let record = tx.communities().get().await.unwrap().unwrap();
    let content = tx.configuration(&record, None, &ServerNames::default()).await.unwrap();
    // Clearly expired: the worker follows Discord's clock, and deletes once a day.
    for (id, at) in [(1, now - CHECKPOINT_KEPT - time::Duration::HOUR), (2, now)] {
        let new = NewCheckpoint {
            id: Uuid::from_u128(id),
            request: Uuid::from_u128(id),
            purpose: CheckpointPurpose::Manual,
            reason: None,
            by: "stilgar",
            at,
            content: &content,
        };
        tx.checkpoints().create(&new).await.unwrap();
    }
    tx.commit().await.unwrap();
    let _worker = platform.worker().await;
    let expired = async || {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        entries.into_iter().find(|entry| entry.action == "checkpoint.expired")
    };
    let entry = eventually(expired, "the expired checkpoint to be deleted").await;
    assert_eq!(entry.detail["checkpoints"], json!([Uuid::from_u128(1)]));
    assert_eq!(entry.detail["left_frozen"], false);
    let left = platform.tenant().await.checkpoints().list(now).await.unwrap();
    assert_eq!(
        left.into_iter().map(|left| left.id).collect::<Vec<_>>(),
        [Uuid::from_u128(2)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_the_last_checkpoint_of_a_teardown_names_the_command_that_ends_the_freeze() {
    let platform = Platform::start().await;
    let now = OffsetDateTime::now_utc();
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some(TEARDOWN_FREEZE)).await.unwrap();
    let record = tx.communities().get().await.unwrap().unwrap();
    let content = tx.configuration(&record, None, &ServerNames::default()).await.unwrap();
    // A manual checkpoint that is left does not return the server that was torn down.
    for (id, at, purpose) in [
        (
            1,
            now - CHECKPOINT_KEPT - time::Duration::HOUR,
            CheckpointPurpose::Teardown,
        ),
        (2, now, CheckpointPurpose::Manual),
    ] {
        let new = NewCheckpoint {
            id: Uuid::from_u128(id),
            request: Uuid::from_u128(id),
            purpose,
            reason: None,
            by: "stilgar",
            at,
            content: &content,
        };
        tx.checkpoints().create(&new).await.unwrap();
    }
    tx.commit().await.unwrap();
    let _worker = platform.worker().await;
    let expired = async || {
        let entries = platform.tenant().await.audit_entries(100).await.unwrap();
        entries.into_iter().find(|entry| entry.action == "checkpoint.expired")
    };
    let entry = eventually(expired, "the expired checkpoint to be deleted").await;
    assert_eq!(entry.detail["left_frozen"], true);
    let command = format!("`arrakis-worker unfreeze {}`", platform.community.guild);
    let reason = entry.reason.unwrap();
    assert!(reason.contains(&command), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_registered_again_only_if_they_differ() {
    let platform = Platform::start().await;
    let puts = || platform.control.count("PUT", "/commands", 200);
    let gets = || platform.control.count("GET", "/commands", 200);
    let first = platform.worker().await;
    eventually(|| async { puts().await == 1 }, "the commands to be registered").await;
    first.stop().await.unwrap();
    let reads = gets().await;
    let second = platform.worker().await;
    eventually(|| async { gets().await > reads }, "the next leader to compare").await;
    second.stop().await.unwrap();
    assert_eq!(puts().await, 1);
    // The commands are changed by another program.
    let url = format!(
        "{}/applications/{}/commands",
        platform.emulator.addresses().rest,
        platform.emulator.app().options.application_id
    );
    let fewer = json!([{"name": "stats", "description": "Something else"}]);
    let changed = reqwest::Client::new()
        .put(url)
        .header("authorization", format!("Bot {}", platform.emulator.token()))
        .json(&fewer)
        .send()
        .await
        .unwrap();
    assert!(changed.status().is_success());
    let third = platform.worker().await;
    eventually(|| async { puts().await == 3 }, "the commands to be registered again").await;
    let commands = platform.control.commands().await.unwrap();
    assert_eq!(commands.len(), Commands::default().definitions().count());
    drop(third);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduled_reconcile_waits_while_another_one_is_pending() {
    const WAIT: Duration = Duration::from_secs(60);
    let platform = Platform::start().await;
    let now = OffsetDateTime::now_utc();
    let earlier = NewJob {
        id: "reconcile:earlier",
        kind: "reconcile",
        payload: json!({}),
        due_at: now + time::Duration::hours(1),
    };
    let mut tx = platform.tenant().await;
    assert!(tx.jobs().enqueue(&earlier).await.unwrap());
    tx.commit().await.unwrap();
    let _worker = platform.worker().await;
    let is_scheduled = || async {
        let mut tx = platform.tenant().await;
        let id = reconcile::scheduled_id(OffsetDateTime::now_utc());
        tx.jobs().get(&id).await.unwrap().is_some()
    };
    // The leader enqueues posts after reconciles.
    let posted = || async {
        let mut tx = platform.tenant().await;
        let post = tx.posts().get(PostKind::Leaderboard).await.unwrap();
        post.checked_at.is_some()
    };
    eventually_within(WAIT, posted, "the leader to enqueue the leaderboard").await;
    assert!(!is_scheduled().await);
    let ended = format!(
        "set app.current_tenant = '{}'; \
         update jobs set state = 'succeeded', finished_at = now() where job_id = 'reconcile:earlier'",
        platform.community.id
    );
    platform.sql(&ended).await;
    eventually_within(WAIT, is_scheduled, "the scheduled reconcile").await;
}
