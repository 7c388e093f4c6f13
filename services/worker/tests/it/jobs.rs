//! Jobs: reconcile and tier sync, their rows and messages.

use arrakis_broker::{DeadLetterSelection, DeadLetters};
use arrakis_contracts::{JobKind, names};
use arrakis_db::{JobRow, JobState, NewJob};
use arrakis_emulator_client::{Fault, NewUser};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_worker::jobs::{self, reconcile, tier_sync};
use arrakis_worker::leader::publish_lost_jobs;
use serde_json::json;
use time::OffsetDateTime;
use twilight_model::id::Id;

use crate::platform::Platform;

async fn job(platform: &Platform, id: &str) -> Option<JobRow> {
    platform.tenant().await.jobs().get(id).await.unwrap()
}

async fn until_ended(platform: &Platform, id: &str) -> JobRow {
    eventually(
        || async { job(platform, id).await.filter(|job| job.state.is_final()) },
        format!("job {id} to end"),
    )
    .await
}

async fn enqueue(platform: &Platform, request: &jobs::JobRequest) -> bool {
    let services = platform.services(&Metrics::new());
    jobs::enqueue(&services, platform.community.id, request).await.unwrap()
}

/// Waits until the first scheduled reconcile has ended and the queues of jobs are empty.
async fn until_reconciled(platform: &Platform) {
    let id = reconcile::scheduled_id(OffsetDateTime::now_utc());
    until_ended(platform, &id).await;
    for kind in [JobKind::Reconcile, JobKind::TierSync] {
        platform.until_messages(&kind.queue(), 0).await;
    }
}

/// Waits until the first reconcile has assigned the three missing roles; after that its jobs make no more calls to Discord. Empty queues
/// are not sufficient: the management plugin counts the messages of a quorum queue with a delay of seconds.
async fn until_roles_assigned(platform: &Platform) {
    until_reconciled(platform).await;
    eventually(
        || async { puts(platform).await == 3 },
        "three members to have their roles",
    )
    .await;
}

fn puts(platform: &Platform) -> impl Future<Output = usize> + '_ {
    platform.control.count("PUT", "/roles/", 204)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_tier_sync_changes_nothing() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    assert!(enqueue(&platform, &tier_sync::for_community("tier-sync:again".to_owned())).await);
    let ended = until_ended(&platform, "tier-sync:again").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Succeeded, 1));
    // No role was wrong, so that none is changed.
    assert_eq!((ended.progress_done, ended.progress_total), (0, Some(0)));
    assert_eq!(puts(&platform).await, 3);
    // A job with the same id is not enqueued.
    assert!(!enqueue(&platform, &tier_sync::for_community("tier-sync:again".to_owned())).await);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_kept_until_a_sync_has_read_the_ranking() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    platform
        .sql("delete from eligibility_current; update eligibility_health_status set last_success_at = null")
        .await;
    assert!(enqueue(&platform, &tier_sync::for_community("tier-sync:unread".to_owned())).await);
    assert_eq!(
        until_ended(&platform, "tier-sync:unread").await.state,
        JobState::Succeeded
    );
    let taken = || platform.control.count("DELETE", "/roles/", 204);
    assert_eq!(taken().await, 0, "nobody's holding is known");
    // A sync has found that nobody holds the token.
    platform
        .sql("update eligibility_health_status set last_success_at = now()")
        .await;
    assert!(enqueue(&platform, &tier_sync::for_community("tier-sync:read".to_owned())).await);
    assert_eq!(
        until_ended(&platform, "tier-sync:read").await.state,
        JobState::Succeeded
    );
    assert_eq!(taken().await, 3);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tier_sync_of_listed_members_changes_no_others() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    // The roles are bound anew, so that all members lack the role of their tier.
    let guild = &platform.community.guild;
    for key in ["naib", "usul"] {
        let made = platform
            .control
            .create_role(guild, &json!({"name": key}))
            .await
            .unwrap();
        let role = made["id"].as_str().unwrap().parse().unwrap();
        let mut tx = platform.tenant().await;
        let key = key.parse().unwrap();
        tx.communities()
            .bind_role(&key, arrakis_domain::RoleId(role))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    let users = ["chani", "jamis"].map(|name| Id::new(platform.community.user_id(name).get()));
    let request = tier_sync::for_members("tier-sync:some".to_owned(), &users);
    assert!(enqueue(&platform, &request).await);
    let ended = until_ended(&platform, "tier-sync:some").await;
    // Of the two, Jamis has the right role already: it is neither counted nor changed.
    let progress = (ended.progress_done, ended.progress_total);
    assert_eq!((ended.state, progress), (JobState::Succeeded, (1, Some(1))));
    // Stilgar lacks the role, too, and is not listed.
    assert_eq!(puts(&platform).await, 4);

    // The next part syncs the members after the last one of the part before.
    let before = puts(&platform).await;
    let stilgar = platform.community.user_id("stilgar").get();
    let rest = u32::from(stilgar > users[0].get());
    let next_part = jobs::JobRequest {
        id: "tier-sync:rest+1".to_owned(),
        kind: JobKind::TierSync,
        payload: json!({"part": 1, "after": users[0]}),
    };
    assert!(enqueue(&platform, &next_part).await);
    let ended = until_ended(&platform, "tier-sync:rest+1").await;
    assert_eq!((ended.state, ended.progress_total), (JobState::Succeeded, Some(rest)));
    assert_eq!(puts(&platform).await - before, usize::try_from(rest).unwrap());
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_role_is_audited_and_other_roles_are_assigned() {
    let platform = Platform::start().await;
    let (guild, role) = (&platform.community.guild, &platform.community.roles["usul"]);
    platform.control.delete_role(guild, role).await.unwrap();
    let _worker = platform.worker().await;
    until_reconciled(&platform).await;
    eventually(
        || async { puts(&platform).await == 2 },
        "the other two to have their roles",
    )
    .await;
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let broken: Vec<_> = entries.iter().filter(|entry| entry.action == "role.broken").collect();
    assert_eq!(broken.len(), 1, "{entries:?}");
    assert_eq!(broken[0].subject, "usul");
    assert_eq!(broken[0].reason.as_deref(), Some("the role was deleted in the server"));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_above_the_bots_own_is_audited() {
    let platform = Platform::start().await;
    let role = json!({"name": "Above all", "position": 100});
    let made = platform
        .control
        .create_role(&platform.community.guild, &role)
        .await
        .unwrap();
    let above = made["id"].as_str().or(made["role"]["id"].as_str()).unwrap().to_owned();
    let mut tx = platform.tenant().await;
    let role = arrakis_domain::RoleId(above.parse().unwrap());
    tx.communities()
        .bind_role(&"naib".parse().unwrap(), role)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let _worker = platform.worker().await;
    until_reconciled(&platform).await;
    let entries = platform.tenant().await.audit_entries(100).await.unwrap();
    let broken: Vec<_> = entries.iter().filter(|entry| entry.action == "role.broken").collect();
    assert_eq!(broken.len(), 1, "{entries:?}");
    assert_eq!(broken[0].subject, "naib");
    assert!(
        broken[0].reason.as_deref().unwrap().contains("above the bot's"),
        "{broken:?}"
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missed_join_and_leave_are_stored() {
    let platform = Platform::start().await;
    let guild = &platform.community.guild;
    let thufir = NewUser {
        name: Some("thufir".to_owned()),
        ..NewUser::default()
    };
    let made = platform.control.join(guild, &thufir).await.unwrap();
    let joined = made["user"]["id"]
        .as_str()
        .or(made["user_id"].as_str())
        .unwrap()
        .parse()
        .unwrap();
    platform.control.leave(guild, "jamis").await.unwrap();
    let _worker = platform.worker().await;
    until_reconciled(&platform).await;
    let mut tx = platform.tenant().await;
    assert!(tx.profiles().by_user(joined).await.unwrap().unwrap().left_at.is_none());
    let left = tx
        .profiles()
        .by_user(platform.community.user_id("jamis"))
        .await
        .unwrap()
        .unwrap();
    assert!(left.left_at.is_some() && left.wallet.is_some(), "{left:?}");
    drop(tx);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_of_a_frozen_community_are_not_changed() {
    let platform = Platform::start().await;
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    let _worker = platform.worker().await;
    until_reconciled(&platform).await;
    assert_eq!(puts(&platform).await, 0);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_whose_message_was_lost_is_published_again() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    let user = platform.community.user("chani");
    let mut tx = platform.tenant().await;
    let made = NewJob {
        id: "tier-sync:lost",
        kind: "tier-sync",
        payload: json!({"user": user}),
        due_at: OffsetDateTime::now_utc(),
    };
    assert!(tx.jobs().enqueue(&made).await.unwrap());
    tx.commit().await.unwrap();
    let services = platform.services(&Metrics::new());
    // Not yet lost.
    publish_lost_jobs(&services, &platform.connection, OffsetDateTime::now_utc())
        .await
        .unwrap();
    assert_eq!(job(&platform, "tier-sync:lost").await.unwrap().state, JobState::Queued);
    let later = OffsetDateTime::now_utc() + time::Duration::minutes(1);
    publish_lost_jobs(&services, &platform.connection, later).await.unwrap();
    assert_eq!(
        until_ended(&platform, "tier-sync:lost").await.state,
        JobState::Succeeded
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_with_an_invalid_payload_fails_with_the_reason() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    let request = jobs::JobRequest {
        id: "tier-sync:broken".to_owned(),
        kind: JobKind::TierSync,
        payload: json!({"planet": "Arrakis"}),
    };
    enqueue(&platform, &request).await;
    let ended = until_ended(&platform, "tier-sync:broken").await;
    assert_eq!(ended.state, JobState::Failed);
    assert!(ended.error.unwrap().contains("planet"));
    platform.until_messages(names::DEAD_LETTERS, 1).await;
    // The replayed job is a copy; the row of the first stays as it is.
    let letters = DeadLetters::new(platform.publisher.clone());
    assert_eq!(letters.replay(&DeadLetterSelection::All).await.unwrap().replayed, 1);
    assert_eq!(
        until_ended(&platform, "tier-sync:broken~1").await.state,
        JobState::Failed
    );
    platform.until_messages(names::DEAD_LETTERS, 1).await;
    let letter = platform.take(names::DEAD_LETTERS).await;
    assert!(letter.headers["last_error"].contains("planet"), "{letter:?}");
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_waits_with_the_reason_while_discord_limits_it() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    let limited = Fault {
        scope: Some("shared".to_owned()),
        retry_after: Some(3_600.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    let limited = limited.count(1).method("GET").path("/members/");
    platform.control.fault(&limited).await.unwrap();
    let user = platform.community.user("chani").parse().unwrap();
    enqueue(&platform, &tier_sync::for_member("tier-sync:later".to_owned(), user)).await;
    let waiting = eventually(
        || async {
            job(&platform, "tier-sync:later")
                .await
                .filter(|job| job.state == JobState::Waiting)
        },
        "the job to wait",
    )
    .await;
    assert!(
        waiting.error.as_deref().unwrap().contains("rate limited"),
        "{waiting:?}"
    );
    let message = platform.take("arrakis.retry.5s").await;
    assert_eq!(message.headers["attempts"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_of_a_deleted_server_fails_with_the_reason() {
    let (platform, _worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    let gone = Fault::rest_status(404).count(1).method("GET").path("/members");
    platform.control.fault(&gone).await.unwrap();
    enqueue(&platform, &tier_sync::for_community("tier-sync:gone".to_owned())).await;
    let ended = until_ended(&platform, "tier-sync:gone").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Failed, 1));
    assert!(ended.error.as_deref().unwrap().contains("404"), "{:?}", ended.error);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_job_is_continued_by_another_worker_after_shutdown() {
    let (platform, worker) = Platform::with_worker().await;
    until_roles_assigned(&platform).await;
    let slow = Fault::rest_latency(9_000).count(1).method("GET").path("/members");
    platform.control.fault(&slow).await.unwrap();
    enqueue(&platform, &tier_sync::for_community("tier-sync:long".to_owned())).await;
    eventually(
        || async {
            job(&platform, "tier-sync:long")
                .await
                .is_some_and(|job| job.state == JobState::Running)
        },
        "the job to run",
    )
    .await;
    worker.stop().await.unwrap();
    platform.until_messages(&JobKind::TierSync.queue(), 1).await;
    let _next = platform.worker().await;
    let ended = until_ended(&platform, "tier-sync:long").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Succeeded, 2));
    platform.vhost.finish().await;
}
