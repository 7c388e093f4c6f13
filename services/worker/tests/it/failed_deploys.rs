//! Deploys of the wizard that fail for good: they are counted, shown, and end their session.

use arrakis_broker::{Message, PublishOutcome};
use arrakis_contracts::labels::HeaderValue;
use arrakis_contracts::{Job, JobKind, headers, names};
use arrakis_db::{CommunityId, JobRow, JobState};
use arrakis_test_support::eventually;
use arrakis_worker::wizard::Step;
use serde_json::json;

use crate::onboard::{Admin, line};
use crate::platform::{Platform, assert_refusal, embed};

/// Attempts of a message before the last one.
const BEFORE_THE_LAST: i64 = 3;
/// Attempts of a job behind which each further one fails it.
const MOST_STARTS: i64 = 12;

/// A deploy whose first attempt has failed, and whose retry is taken from its queue.
struct Deploy<'a> {
    platform: &'a Platform,
    community: CommunityId,
    job: String,
}

impl Deploy<'_> {
    async fn row(&self) -> JobRow {
        let mut tx = self.platform.database.tenant(self.community).await.unwrap();
        tx.jobs().get(&self.job).await.unwrap().unwrap()
    }

    async fn until(&self, state: JobState) {
        let is_so = || async { self.row().await.state == state };
        eventually(is_so, format!("the deploy to be {state:?}")).await;
    }

    /// Makes the job due after this number of starts, and delivers its message after this number of attempts.
    async fn deliver(&self, starts: i64, attempts: i64) {
        let (community, job) = (self.community, &self.job);
        let statement = format!(
            "set app.current_tenant = '{community}'; update jobs set due_at = now(), attempts = {starts} where job_id = '{job}'"
        );
        self.platform.sql(&statement).await;
        let body = Job::new(job, JobKind::Synthesis, Some(community.to_string())).encode();
        let id = format!("{community}:{job}");
        let mut message = Message::new(names::JOBS, JobKind::Synthesis.name(), id, "job", body);
        let attempts = HeaderValue::Integer(attempts);
        message.headers.insert(headers::ATTEMPTS.to_owned(), attempts);
        let published = self.platform.publisher.publish(&message).await.unwrap();
        assert_eq!(published, PublishOutcome::Confirmed);
    }
}

/// The last retry of a deploy fails, or a deploy kills its worker each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploy_that_fails_for_good_is_counted_and_shown_and_ends_its_session() {
    for (starts, attempts) in [(1, BEFORE_THE_LAST), (MOST_STARTS, 1)] {
        let (platform, worker) = Platform::with_worker().await;
        let mut admin = Admin::onboard(&platform).await;
        let session = admin.session();
        admin.go_to_review().await;
        // No attempt gets a slot: each fails with a transient error.
        let lock = platform.lock("synthesis_slots").await;
        let pressed = admin.press("deploy").await.json();
        let deploy = Deploy {
            platform: &platform,
            community: session.parse().unwrap(),
            job: format!("synthesis:deploy:{session}"),
        };
        deploy.until(JobState::Waiting).await;
        platform.take("arrakis.retry.5s").await;
        let failed = worker.metric(&line(Step::Deploy, "failed")).unwrap_or_default();
        assert_eq!(failed, 0.0, "a retry follows");

        deploy.deliver(starts, attempts).await;
        deploy.until(JobState::Failed).await;
        let interaction = pressed["id"].as_str().unwrap();
        let title = "The server is not set up completely";
        platform
            .until(interaction, |view| view["message"]["embeds"][0]["title"] == title)
            .await;
        worker.until_metric(&line(Step::Deploy, "failed"), 1.0).await;
        platform.until_messages(names::DEAD_LETTERS, 1).await;
        // The session has ended, and its id still shows the deploy.
        let ended = || async {
            platform.delete_cooldowns();
            let (_, message) = Admin::command(&platform, "resume", json!({})).await;
            message
                .to_string()
                .contains("You have no setup in progress here.")
                .then_some(message)
        };
        assert_refusal(
            &eventually(ended, "the session to end").await,
            "You have no setup in progress here.",
        );
        platform.delete_cooldowns();
        let (_, message) = Admin::command(&platform, "resume", json!({"session": session})).await;
        assert_eq!(embed(&message)["title"], title);
        assert_eq!(worker.metric(&line(Step::Deploy, "failed")), Some(1.0));
        lock.release().await;
    }
}
