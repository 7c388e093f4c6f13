//! States of jobs, for a community's jobs and the platform's.

use arrakis_db::{CommunityId, Database, JobOutcome, JobStart, JobState, Jobs, NewJob};
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::fixtures::{onboard, one_community};

const NOON: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);
const ID: &str = "reconcile:2026-11-21T12";

fn job() -> NewJob<'static> {
    NewJob {
        id: ID,
        kind: "reconcile",
        payload: json!({"guild": "1"}),
        due_at: NOON,
    }
}

fn run(attempt: u32) -> JobStart {
    JobStart::Run {
        attempt,
        kind: "reconcile".to_owned(),
        payload: json!({"guild": "1"}),
    }
}

/// Runs the same steps on a community's jobs and on the platform's jobs.
macro_rules! on_both {
    ($database:ident, $community:ident, |$jobs:ident| $steps:block) => {{
        let mut tx = $database.tenant($community).await.unwrap();
        let mut $jobs: Jobs<'_> = tx.jobs();
        $steps
        let mut tx = $database.global().await.unwrap();
        let mut $jobs: Jobs<'_> = tx.jobs();
        $steps
    }};
}

#[tokio::test]
async fn job_is_created_once_and_ends_once() {
    let (_test, database, community) = one_community().await;
    on_both!(database, community, |jobs| {
        assert_eq!(jobs.start(ID, NOON).await.unwrap(), JobStart::Unknown);
        assert!(jobs.enqueue(&job()).await.unwrap());
        assert!(!jobs.enqueue(&job()).await.unwrap(), "two leaders may overlap");
        let payload = job().payload;
        assert!(jobs.is_pending("reconcile", &payload).await.unwrap());
        assert!(!jobs.is_pending("reconcile", &json!({})).await.unwrap());
        assert!(!jobs.is_pending("notify", &payload).await.unwrap());
        assert_eq!(jobs.start(ID, NOON).await.unwrap(), run(1));
        assert!(jobs.progress(ID, 1, 3, Some(10)).await.unwrap());
        assert!(jobs.progress(ID, 1, 4, None).await.unwrap());
        let row = jobs.get(ID).await.unwrap().unwrap();
        assert_eq!(
            (row.state, row.progress_done, row.progress_total),
            (JobState::Running, 4, Some(10))
        );
        assert!(jobs.is_pending("reconcile", &payload).await.unwrap(), "it runs");
        assert!(jobs.end(ID, 1, &JobOutcome::Succeeded).await.unwrap());
        assert!(!jobs.is_pending("reconcile", &payload).await.unwrap());
        assert!(
            !jobs
                .end(ID, 1, &JobOutcome::Failed { error: "too late" })
                .await
                .unwrap()
        );
        assert_eq!(
            jobs.start(ID, NOON).await.unwrap(),
            JobStart::Finished(JobState::Succeeded)
        );
        assert!(!jobs.enqueue(&job()).await.unwrap(), "what is done is not done again");
    });
}

#[tokio::test]
async fn transient_failure_is_due_again_and_permanent_failure_keeps_its_error() {
    let (_test, database, community) = one_community().await;
    on_both!(database, community, |jobs| {
        jobs.enqueue(&job()).await.unwrap();
        jobs.start(ID, NOON).await.unwrap();
        let later = NOON + Duration::seconds(25);
        let retry = JobOutcome::Retry {
            error: "Discord is unavailable",
            due_at: later,
        };
        assert!(jobs.end(ID, 1, &retry).await.unwrap());
        assert_eq!(jobs.start(ID, NOON).await.unwrap(), JobStart::NotDue(later));
        // The queue's clock differs from PostgreSQL's: a job is due up to 1 s early.
        assert_eq!(
            jobs.start(ID, later - Duration::milliseconds(500)).await.unwrap(),
            run(2)
        );
        assert!(
            jobs.end(
                ID,
                2,
                &JobOutcome::Failed {
                    error: "the server was deleted"
                }
            )
            .await
            .unwrap()
        );
        let row = jobs.get(ID).await.unwrap().unwrap();
        assert_eq!(
            (row.state, row.attempts, row.error.as_deref()),
            (JobState::Failed, 2, Some("the server was deleted"))
        );
        assert_eq!(
            jobs.start(ID, later).await.unwrap(),
            JobStart::Finished(JobState::Failed)
        );
    });
}

#[tokio::test]
async fn earlier_attempt_changes_nothing() {
    let (_test, database, community) = one_community().await;
    on_both!(database, community, |jobs| {
        jobs.enqueue(&job()).await.unwrap();
        assert_eq!(jobs.start(ID, NOON).await.unwrap(), run(1));
        // The worker was killed and the message redelivered.
        assert_eq!(jobs.start(ID, NOON).await.unwrap(), run(2));
        assert!(!jobs.progress(ID, 1, 9, None).await.unwrap());
        assert!(!jobs.end(ID, 1, &JobOutcome::Succeeded).await.unwrap());
        assert_eq!(jobs.get(ID).await.unwrap().unwrap().state, JobState::Running);
        assert!(jobs.end(ID, 2, &JobOutcome::Succeeded).await.unwrap());
    });
}

#[tokio::test]
async fn due_and_silent_jobs_are_listed_and_old_ended_jobs_are_deleted() {
    let (_test, database, community) = one_community().await;
    on_both!(database, community, |jobs| {
        let ids = async |jobs: &mut Jobs<'_>, now, silent_since| {
            jobs.due(now, silent_since, 10)
                .await
                .unwrap()
                .into_iter()
                .map(|row| row.id)
                .collect::<Vec<_>>()
        };
        let long_ago = NOON - Duration::days(365);
        jobs.enqueue(&job()).await.unwrap();
        jobs.enqueue(&NewJob {
            id: "later",
            due_at: NOON + Duration::hours(1),
            ..job()
        })
        .await
        .unwrap();
        assert_eq!(
            ids(&mut jobs, NOON - Duration::seconds(1), long_ago).await,
            [] as [&str; 0]
        );
        assert_eq!(ids(&mut jobs, NOON, long_ago).await, [ID]);
        assert_eq!(ids(&mut jobs, NOON + Duration::hours(1), long_ago).await, [ID, "later"]);
        jobs.start(ID, NOON).await.unwrap();
        assert_eq!(ids(&mut jobs, NOON, long_ago).await, [] as [&str; 0]);
        // The running job's row was not updated since its start.
        let after = OffsetDateTime::now_utc() + Duration::minutes(1);
        assert_eq!(ids(&mut jobs, NOON, after).await, [ID]);
        jobs.end(ID, 1, &JobOutcome::Succeeded).await.unwrap();
        assert_eq!(jobs.prune(long_ago).await.unwrap(), 0);
        assert_eq!(jobs.prune(after).await.unwrap(), 1);
        assert_eq!(jobs.get(ID).await.unwrap(), None);
        assert!(jobs.get("later").await.unwrap().is_some());
    });
}

async fn begin(database: &Database, community: CommunityId) -> JobStart {
    let mut tx = database.tenant(community).await.unwrap();
    let start = tx.jobs().start(ID, NOON).await.unwrap();
    tx.commit().await.unwrap();
    start
}

#[tokio::test]
async fn concurrent_starts_get_different_attempts_and_ids_are_separate_by_tenant() {
    let (_test, database, community) = one_community().await;
    let other = onboard(&database, 200).await;
    for owner in [community, other] {
        let mut tx = database.tenant(owner).await.unwrap();
        assert!(tx.jobs().enqueue(&job()).await.unwrap());
        tx.commit().await.unwrap();
    }
    let (one, two) = tokio::join!(begin(&database, community), begin(&database, community));
    let mut starts = [one, two];
    starts.sort_by_key(|start| match start {
        JobStart::Run { attempt, .. } => *attempt,
        _ => 0,
    });
    assert_eq!(starts, [run(1), run(2)]);
    assert_eq!(begin(&database, other).await, run(1));
}

#[tokio::test]
async fn limit_of_due_jobs_counts_the_listed_kinds_alone() {
    let (_test, database, community) = one_community().await;
    on_both!(database, community, |jobs| {
        for index in 0..5 {
            let id = format!("reconcile:{index}");
            jobs.enqueue(&NewJob { id: &id, ..job() }).await.unwrap();
        }
        let behind = NewJob {
            id: "tier-sync:1",
            kind: "tier-sync",
            due_at: NOON + Duration::minutes(1),
            ..job()
        };
        jobs.enqueue(&behind).await.unwrap();
        let later = NOON + Duration::hours(1);
        let due = jobs
            .due_of_kinds(&["tier-sync", "notify"], later, NOON, 2)
            .await
            .unwrap();
        assert_eq!(
            due.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(),
            ["tier-sync:1"]
        );
        assert_eq!(jobs.due(later, NOON, 10).await.unwrap().len(), 6);
    });
}

#[tokio::test]
async fn parameters_are_replaced_until_an_attempt_begins() {
    let (_test, database, community) = one_community().await;
    on_both!(database, community, |jobs| {
        let payload = json!({"guild": "2"});
        assert!(!jobs.set_payload(ID, &payload).await.unwrap(), "there is no such job");
        jobs.enqueue(&job()).await.unwrap();
        assert!(jobs.set_payload(ID, &payload).await.unwrap());
        let started = JobStart::Run {
            attempt: 1,
            kind: "reconcile".to_owned(),
            payload: payload.clone(),
        };
        assert_eq!(jobs.start(ID, NOON).await.unwrap(), started);
        assert!(!jobs.set_payload(ID, &json!({})).await.unwrap(), "an attempt has begun");
        assert_eq!(jobs.get(ID).await.unwrap().unwrap().payload, payload);
    });
}

#[tokio::test]
async fn overview_has_open_and_lately_failed_jobs_of_one_community_or_of_all() {
    let (test, database, community) = one_community().await;
    let admin = test.admin().await;
    let now = OffsetDateTime::now_utc();
    let failed = JobOutcome::Failed { error: "no such role" };
    let mut tx = database.tenant(community).await.unwrap();
    for id in ["failed", "queued", "running", "succeeded"] {
        let job = NewJob {
            id,
            due_at: now,
            ..job()
        };
        assert!(tx.jobs().enqueue(&job).await.unwrap());
        if id != "queued" {
            tx.jobs().start(id, now).await.unwrap();
        }
    }
    assert!(tx.jobs().end("failed", 1, &failed).await.unwrap());
    assert!(tx.jobs().end("succeeded", 1, &JobOutcome::Succeeded).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = database.global().await.unwrap();
    let platform = NewJob {
        id: "of-the-platform",
        due_at: now,
        ..job()
    };
    assert!(tx.jobs().enqueue(&platform).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = database.tenant(community).await.unwrap();
    let ids = |jobs: Vec<arrakis_db::JobRow>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let week = now - Duration::days(7);
    assert_eq!(
        ids(tx.overview_jobs(week).await.unwrap()),
        ["running", "failed", "queued"]
    );
    let tomorrow = now + Duration::days(1);
    assert_eq!(ids(tx.overview_jobs(tomorrow).await.unwrap()), ["running", "queued"]);
    let all = admin.overview_jobs(week).await.unwrap();
    let mut found: Vec<_> = all
        .iter()
        .map(|listed| (listed.job.id.as_str(), listed.community.is_some()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("failed", true),
            ("of-the-platform", false),
            ("queued", true),
            ("running", true)
        ]
    );
}
