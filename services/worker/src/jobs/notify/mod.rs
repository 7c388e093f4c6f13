//! The job `notify`: turns notification events into alerts of their subscribers, and sends the alerts that are due. With a post in its
//! payload it writes that post instead.
//!
//! | file | contains |
//! |---|---|
//! | `dispatch.rs` | events → alerts |
//! | `changes.rs` | events of a message → what changed |
//! | `deliver.rs` | one message |
//! | `posts/` | live leaderboard, joins and departures, weekly digest |
//!
//! Running it twice, or two at once, is safe: an event is locked while its alerts are created, an alert is in one message, and a message
//! is sent once (`nonced_message`). An attempt that was cancelled continues with the messages that have not ended.
//! Where an attempt ended so long ago that Discord may have forgotten the nonce, the member's channel shows whether the message was sent.
//!
//! A message that Discord does not accept at the moment is postponed and ends the attempt, not the job: the leader enqueues the next one
//! within seconds, for as long as anything is due. So an outage of Discord leaves no dead letters, and one member whose messages fail does
//! not delay those of others. No message is sent in the quiet hours of its member, however long ago it was due.

mod changes;
mod deliver;
mod dispatch;
pub mod posts;

use std::time::Instant;

use arrakis_contracts::JobKind;
use arrakis_db::{AlertMessage, AlertOutcome, CommunityId, DbError, PostKind};
use arrakis_runtime::fail_point;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use self::deliver::Delivered;
use super::{JobHandler, JobRequest, JobRun, PART};
use crate::failure::Failure;
use crate::services::Services;

/// Seconds of a time slot: the leader enqueues at most one job of a community in each.
const SLOT_SECONDS: i64 = 10;
/// Pause before a message is tried again that Discord did not accept.
const RETRY_PAUSE: time::Duration = time::Duration::seconds(30);

/// What the job does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    /// The post that it writes; alerts without one.
    post: Option<String>,
}

/// The handler of `notify`.
#[derive(Debug)]
pub struct Notify;

/// Id of the job of the present time slot: `notify:2026-11-21T07:29:10`.
pub fn scheduled_id(now: OffsetDateTime) -> String {
    let second = i64::from(now.second()) / SLOT_SECONDS * SLOT_SECONDS;
    format!(
        "notify:{}T{:02}:{:02}:{second:02}",
        now.date(),
        now.hour(),
        now.minute()
    )
}

/// The job `notify` that creates and sends the alerts of a community that are due, to be enqueued with this id; see [`scheduled_id`]. For a post
/// see [`post_request`].
pub fn request(id: String) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::Notify,
        payload: json!({}),
    }
}

/// Id of the job of a post in the present time slot: `notify:digest:2026-11-21T07:29:10`.
pub fn post_id(post: PostKind, now: OffsetDateTime) -> String {
    scheduled_id(now).replacen("notify:", &format!("notify:{}:", post.as_str()), 1)
}

/// A job that writes a post, to enqueue.
pub fn post_request(post: PostKind, id: String) -> JobRequest {
    JobRequest {
        payload: json!({"post": post.as_str()}),
        ..request(id)
    }
}

impl JobHandler for Notify {
    fn kind(&self) -> JobKind {
        JobKind::Notify
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let payload = Payload::deserialize(run.payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of a notify: {error}")))?;
        if let Some(post) = payload.post {
            let post: PostKind = post.parse().map_err(Failure::permanent)?;
            return Box::pin(posts::write(run, post)).await;
        }
        let added = dispatch::all(run).await?;
        fail_point::hit("worker.alerts.dispatched").await;
        let sent = send_due(run).await?;
        if added > 0 || sent > 0 {
            tracing::info!(added, sent, "alerts were created and sent");
        }
        Ok(())
    }
}

/// Sends messages until none is due, Discord accepts no more, or the part is over. Returns the number of those that Discord has.
async fn send_due(run: &JobRun<'_>) -> Result<u32, Failure> {
    let started = Instant::now();
    let mut sent = 0;
    for done in 0_usize.. {
        // The leader enqueues the next part.
        if started.elapsed() > PART {
            break;
        }
        run.progress(done, None).await?;
        let Some(message) = next_message(run.services, run.community.id()).await? else {
            break;
        };
        // No message is begun during an outage.
        if done == 0
            && let Err(error) = run.services.discord.bulk(None).probe().await
        {
            tracing::warn!(%error, "Discord does not respond; the next job sends the alerts");
            break;
        }
        match deliver::deliver(run, message).await {
            Ok(Delivered::Sent) => sent += 1,
            Ok(Delivered::Not) => {}
            Ok(Delivered::Later(why)) => {
                tracing::warn!(why, "Discord accepts no alerts at the moment; the next job continues");
                break;
            }
            Err(failure @ Failure::Retry(_)) => {
                tracing::warn!(%failure, "an alert cannot be sent at the moment; a later job sends it");
                postpone(run, message).await?;
                break;
            }
            // A message that can never be rendered must not stop the others, nor be tried again by each job.
            Err(failure) => {
                tracing::error!(%failure, alert = %message.id, "an alert is dropped");
                deliver::finish(run, message, AlertOutcome::Dropped).await?;
            }
        }
    }
    Ok(sent)
}

/// A message that has not ended, or a new one of the alerts that are due. Those of members in their quiet hours wait until these end.
async fn next_message(services: &Services, community: CommunityId) -> Result<Option<AlertMessage>, DbError> {
    let now = services.now();
    let mut tx = services.database.tenant(community).await?;
    let found = loop {
        let unfinished = tx.alerts().unfinished(now).await?;
        let is_new = unfinished.is_none();
        let message = match unfinished {
            Some(message) => Some(message),
            None => tx.alerts().compose(Uuid::now_v7(), now).await?,
        };
        let Some(message) = message else {
            break None;
        };
        let subscription = tx.alerts().subscription(message.user).await?;
        match subscription.and_then(|subscription| subscription.quiet_until(now)) {
            None => break Some(message),
            // What happens in the quiet hours is in the same message.
            Some(until) if is_new => tx.alerts().take_apart(message.id, until).await?,
            Some(until) => tx.alerts().postpone(message.id, until).await?,
        }
    };
    tx.commit().await?;
    Ok(found)
}

async fn postpone(run: &JobRun<'_>, message: AlertMessage) -> Result<(), DbError> {
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    let until = run.services.now() + RETRY_PAUSE;
    tx.alerts().postpone(message.id, until).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn scheduled_id_contains_the_slot_of_ten_seconds() {
        assert_eq!(
            scheduled_id(datetime!(2026-11-21 07:29:19 UTC)),
            "notify:2026-11-21T07:29:10"
        );
        assert_eq!(
            scheduled_id(datetime!(2026-11-21 07:29:00 UTC)),
            "notify:2026-11-21T07:29:00"
        );
    }

    #[test]
    fn job_of_a_post_names_it() {
        let id = post_id(PostKind::Digest, datetime!(2026-11-21 07:29:19 UTC));
        assert_eq!(id, "notify:digest:2026-11-21T07:29:10");
        let request = post_request(PostKind::Digest, id);
        let payload = Payload::deserialize(&request.payload).unwrap();
        assert_eq!(payload.post.as_deref(), Some("digest"));
        assert_eq!(Payload::deserialize(&json!({})).unwrap().post, None);
    }
}
