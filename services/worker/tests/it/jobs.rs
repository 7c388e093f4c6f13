//! Background work: the row decides, the message wakes.

use arrakis_broker::{DeadLetterSelection, DeadLetters};
use arrakis_contracts::{JobKind, names};
use arrakis_db::{JobRow, JobState, NewJob};
use arrakis_emulator_client::{Fault, NewUser};
use arrakis_telemetry::Metrics;
use arrakis_test_support::eventually;
use arrakis_worker::clock::publish_lost;
use arrakis_worker::jobs::{self, reconcile, tier_sync};
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

async fn enqueue(platform: &Platform, planned: &jobs::Planned) -> bool {
    let services = platform.services(&Metrics::new());
    jobs::enqueue(&services, platform.community.id, planned).await.unwrap()
}

/// The reconcile that the leader asks for at the start, and the syncs that follow.
async fn settled(platform: &Platform) {
    let id = reconcile::of_slot(OffsetDateTime::now_utc());
    until_ended(platform, &id).await;
    for kind in [JobKind::Reconcile, JobKind::TierSync] {
        platform.until_messages(&kind.queue(), 0).await;
    }
}

/// Waits until the reconcile of the start has given the roles that three members lack: after that, no job of it asks Discord
/// anything any more. Queues alone do not tell: management learns seconds late what a quorum queue holds.
async fn quiet(platform: &Platform) {
    settled(platform).await;
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
async fn a_sync_gives_what_is_missing_and_a_second_one_nothing() {
    let (platform, _worker) = Platform::with_worker().await;
    quiet(&platform).await;
    assert!(enqueue(&platform, &tier_sync::of_community("tier-sync:again".to_owned())).await);
    let ended = until_ended(&platform, "tier-sync:again").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Succeeded, 1));
    assert_eq!((ended.progress_done, ended.progress_total), (6, Some(6)));
    assert_eq!(puts(&platform).await, 3);
    // The same id is the same job.
    assert!(!enqueue(&platform, &tier_sync::of_community("tier-sync:again".to_owned())).await);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_of_some_changes_nobody_else() {
    let (platform, _worker) = Platform::with_worker().await;
    quiet(&platform).await;
    // From now on everybody lacks the role of their tier.
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
    let planned = tier_sync::of_members("tier-sync:some".to_owned(), &users);
    assert!(enqueue(&platform, &planned).await);
    let ended = until_ended(&platform, "tier-sync:some").await;
    assert_eq!((ended.state, ended.progress_total), (JobState::Succeeded, Some(2)));
    // Stilgar lacks his, too, and was not asked for.
    assert_eq!(puts(&platform).await, 4);

    // What a part leaves to the next: everybody behind the last whom it has put right.
    let behind = platform.community.users.values().filter(|id| {
        let id: u64 = id.parse().unwrap();
        id > users[0].get()
    });
    let stranger = platform.community.user("stranger");
    let behind = behind.filter(|id| *id != stranger).count();
    let rest = jobs::Planned {
        id: "tier-sync:rest+1".to_owned(),
        kind: JobKind::TierSync,
        payload: json!({"part": 1, "after": users[0]}),
    };
    assert!(enqueue(&platform, &rest).await);
    let ended = until_ended(&platform, "tier-sync:rest+1").await;
    let behind = u32::try_from(behind).unwrap();
    assert_eq!((ended.state, ended.progress_total), (JobState::Succeeded, Some(behind)));
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broken_role_is_told_by_name_and_stops_nothing_else() {
    let platform = Platform::start().await;
    let (guild, role) = (&platform.community.guild, &platform.community.roles["usul"]);
    platform.control.delete_role(guild, role).await.unwrap();
    let _worker = platform.worker().await;
    settled(&platform).await;
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
async fn a_role_above_the_bots_is_told_by_name() {
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
    settled(&platform).await;
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
async fn who_came_or_went_unseen_is_found() {
    let platform = Platform::start().await;
    let guild = &platform.community.guild;
    let thufir = NewUser {
        name: Some("thufir".to_owned()),
        ..NewUser::default()
    };
    let made = platform.control.join(guild, &thufir).await.unwrap();
    let came = made["user"]["id"]
        .as_str()
        .or(made["user_id"].as_str())
        .unwrap()
        .parse()
        .unwrap();
    platform.control.leave(guild, "jamis").await.unwrap();
    let _worker = platform.worker().await;
    settled(&platform).await;
    let mut tx = platform.tenant().await;
    assert!(tx.profiles().by_user(came).await.unwrap().unwrap().left_at.is_none());
    let gone = tx
        .profiles()
        .by_user(platform.community.user_id("jamis"))
        .await
        .unwrap()
        .unwrap();
    assert!(gone.left_at.is_some() && gone.wallet.is_some(), "{gone:?}");
    drop(tx);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_community_keeps_its_roles() {
    let platform = Platform::start().await;
    let mut tx = platform.tenant().await;
    tx.communities().set_frozen(Some("a drill")).await.unwrap();
    tx.commit().await.unwrap();
    let _worker = platform.worker().await;
    settled(&platform).await;
    assert_eq!(puts(&platform).await, 0);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_up_that_was_lost_is_sent_again() {
    let (platform, _worker) = Platform::with_worker().await;
    quiet(&platform).await;
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
    // Too soon to call it lost.
    publish_lost(&services, &platform.link, OffsetDateTime::now_utc())
        .await
        .unwrap();
    assert_eq!(job(&platform, "tier-sync:lost").await.unwrap().state, JobState::Queued);
    let later = OffsetDateTime::now_utc() + time::Duration::minutes(1);
    publish_lost(&services, &platform.link, later).await.unwrap();
    assert_eq!(
        until_ended(&platform, "tier-sync:lost").await.state,
        JobState::Succeeded
    );
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_with_a_broken_payload_fails_for_good_and_says_why() {
    let (platform, _worker) = Platform::with_worker().await;
    quiet(&platform).await;
    let planned = jobs::Planned {
        id: "tier-sync:broken".to_owned(),
        kind: JobKind::TierSync,
        payload: json!({"planet": "Arrakis"}),
    };
    enqueue(&platform, &planned).await;
    let ended = until_ended(&platform, "tier-sync:broken").await;
    assert_eq!(ended.state, JobState::Failed);
    assert!(ended.error.unwrap().contains("planet"));
    platform.until_messages(names::DEAD_LETTERS, 1).await;
    // Replayed, it is tried again as a job of its own, and what happened to the first stays on record.
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
async fn with_discord_away_a_job_waits_and_its_row_says_so() {
    let (platform, _worker) = Platform::with_worker().await;
    quiet(&platform).await;
    let limited = Fault {
        scope: Some("shared".to_owned()),
        retry_after: Some(3_600.0),
        ..Fault::of_kind("rest_rate_limit")
    };
    let limited = limited.count(1).method("GET").path("/members/");
    platform.control.fault(&limited).await.unwrap();
    let user = platform.community.user("chani").parse().unwrap();
    enqueue(&platform, &tier_sync::of_member("tier-sync:later".to_owned(), user)).await;
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
async fn a_job_whose_server_is_gone_ends_and_says_so() {
    let (platform, _worker) = Platform::with_worker().await;
    quiet(&platform).await;
    let gone = Fault::rest_status(404).count(1).method("GET").path("/members");
    platform.control.fault(&gone).await.unwrap();
    enqueue(&platform, &tier_sync::of_community("tier-sync:gone".to_owned())).await;
    let ended = until_ended(&platform, "tier-sync:gone").await;
    assert_eq!((ended.state, ended.attempts), (JobState::Failed, 1));
    assert!(ended.error.as_deref().unwrap().contains("404"), "{:?}", ended.error);
    platform.vhost.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_gives_a_long_job_to_the_next() {
    let (platform, worker) = Platform::with_worker().await;
    quiet(&platform).await;
    let slow = Fault::rest_latency(9_000).count(1).method("GET").path("/members");
    platform.control.fault(&slow).await.unwrap();
    enqueue(&platform, &tier_sync::of_community("tier-sync:long".to_owned())).await;
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
