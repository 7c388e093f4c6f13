//! Notices as rows, and the delivery of those that wait.

use arrakis_db::{CommunityId, Database, DbError, LostNotice, TenantTx};
use arrakis_vault::ServerId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::{Destination, Notice, NoticeTask, Notifier, RunOutcome, SendError};
use crate::failure::Failure;
use crate::metrics::WorkerMetrics;

/// Notices of one community that are sent at once.
const TAKEN_AT_ONCE: u32 = 100;
/// A notice that could not be sent for this long is deleted: it is in the log.
const KEPT: Duration = Duration::DAY;
/// A notice that was taken before this long had no response, or belongs to a process that has ended. Longer than the delivery of all of them takes.
const ABANDONED_AFTER: Duration = Duration::hours(1);

/// A notice in its row.
#[derive(Debug, Serialize, Deserialize)]
struct StoredNotice {
    outcome: String,
    task: String,
    server: ServerId,
    community: String,
    plan: String,
    detail: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

impl StoredNotice {
    fn of(notice: &Notice) -> Self {
        Self {
            outcome: notice.outcome.name().to_owned(),
            task: notice.task.name().to_owned(),
            server: notice.server,
            community: notice.community.clone(),
            plan: notice.plan.as_str().to_owned(),
            detail: notice.detail(super::MAX_DETAIL),
            at: notice.at,
        }
    }

    /// The notice; `None` for one that this build does not know.
    fn read(stored: Value) -> Option<Notice> {
        let stored: Self = serde_json::from_value(stored).ok()?;
        let outcomes = [RunOutcome::Success, RunOutcome::Failure];
        Some(Notice {
            outcome: outcomes.into_iter().find(|outcome| outcome.name() == stored.outcome)?,
            task: NoticeTask::from_name(&stored.task)?,
            server: stored.server,
            community: stored.community,
            plan: stored.plan.parse().ok()?,
            detail: stored.detail,
            at: stored.at,
        })
    }
}

impl Notifier {
    /// Stores a notice in the transaction of what it is about, once for each destination. The id is that of its cause: the same notice is
    /// stored once. Nothing is stored while notices are off.
    ///
    /// # Errors
    /// If Postgres is unavailable.
    pub(crate) async fn store(
        &self,
        tx: &mut TenantTx,
        id: &str,
        notice: &Notice,
        now: OffsetDateTime,
    ) -> Result<(), DbError> {
        let destinations = self.destinations();
        if destinations.is_empty() {
            return Ok(());
        }
        // A struct of texts and numbers: serde_json cannot fail on it.
        let stored = serde_json::to_value(StoredNotice::of(notice)).unwrap_or_default();
        for destination in destinations {
            tx.operator_notices().put(id, destination.name(), &stored, now).await?;
        }
        Ok(())
    }
}

/// What a delivery of stored notices works with.
pub(crate) struct NoticeDelivery<'a> {
    /// Where the notices are stored.
    pub(crate) database: &'a Database,
    /// Counts them.
    pub(crate) metrics: &'a WorkerMetrics,
    /// Sends them.
    pub(crate) notifier: &'a Notifier,
}

/// A notice that this process has taken.
struct Taken {
    community: CommunityId,
    id: String,
    notice: Notice,
}

/// Sends the notices of all communities that wait, and deletes those that can no longer be sent. Two processes at once send each notice once.
///
/// # Errors
/// If Postgres is unavailable; the next call sends the rest.
pub(crate) async fn send_stored(delivery: &NoticeDelivery<'_>, now: OffsetDateTime) -> Result<(), Failure> {
    let notifier = delivery.notifier;
    for destination in notifier.destinations() {
        let taken = take(delivery, destination, now).await?;
        if taken.is_empty() {
            continue;
        }
        let notices: Vec<&Notice> = taken.iter().map(|taken| &taken.notice).collect();
        let result = notifier.send(destination, &notices).await;
        settle(delivery, destination, &taken, result).await?;
    }
    Ok(())
}

/// Takes the notices of all communities. Deletes those that are too old, and those of processes that have ended while they sent them.
async fn take(
    delivery: &NoticeDelivery<'_>,
    destination: Destination,
    now: OffsetDateTime,
) -> Result<Vec<Taken>, Failure> {
    let name = destination.name();
    let mut all = Vec::new();
    for (_, community) in delivery.database.routes().await? {
        let mut tx = delivery.database.tenant(community).await?;
        let mut notices = tx.operator_notices();
        let lost = notices.prune(name, now - KEPT, now - ABANDONED_AFTER).await?;
        let mut unknown = Vec::new();
        for taken in notices.take(name, TAKEN_AT_ONCE, now).await? {
            match StoredNotice::read(taken.notice) {
                Some(notice) => all.push(Taken {
                    community,
                    id: taken.id,
                    notice,
                }),
                None => unknown.push(taken.id),
            }
        }
        // A worker of the build that stored them sends them.
        if !unknown.is_empty() {
            notices.give_back(name, &unknown).await?;
        }
        tx.commit().await?;
        for notice in lost {
            delivery.metrics.backups.count_notice(name, false);
            report_lost(name, community, &notice);
        }
    }
    all.sort_by_key(|taken| (taken.community, taken.notice.at));
    Ok(all)
}

fn report_lost(destination: &'static str, community: CommunityId, notice: &LostNotice) {
    let error = if notice.was_taken {
        "its outcome is unknown: the request had no response, or the process that sent it has ended"
    } else {
        "it could not be sent for a day"
    };
    tracing::warn!(%community, notice = notice.id, destination, error, "a notice was not sent");
}

/// Deletes what was sent, and what never will be; gives the rest back. What may have been sent stays taken: it is not sent a second time.
async fn settle(
    delivery: &NoticeDelivery<'_>,
    destination: Destination,
    taken: &[Taken],
    (sent, error): (usize, Option<SendError>),
) -> Result<(), Failure> {
    let name = destination.name();
    let (sent, unsent) = taken.split_at(sent.min(taken.len()));
    delete(delivery, name, sent, true).await?;
    match error {
        None => Ok(()),
        Some(SendError::Permanent(error)) => {
            // To a topic, each notice is a request of its own: the others may be accepted.
            let refused = match destination {
                Destination::Webhook => unsent.len(),
                Destination::Topic => unsent.len().min(1),
            };
            let (refused, rest) = unsent.split_at(refused);
            tracing::warn!(
                destination = name,
                error,
                notices = refused.len(),
                "notices were not sent"
            );
            delete(delivery, name, refused, false).await?;
            give_back(delivery, name, rest).await
        }
        Some(SendError::Unknown(error)) => {
            let notices = unsent.len();
            tracing::warn!(
                destination = name,
                error,
                notices,
                "notices may or may not have been sent; they are not sent again"
            );
            Ok(())
        }
        Some(SendError::Transient(error)) => {
            let notices = unsent.len();
            tracing::warn!(
                destination = name,
                error,
                notices,
                "notices were not sent; they are sent again"
            );
            give_back(delivery, name, unsent).await
        }
    }
}

async fn delete(
    delivery: &NoticeDelivery<'_>,
    destination: &'static str,
    notices: &[Taken],
    sent: bool,
) -> Result<(), Failure> {
    for (community, ids) in by_community(notices) {
        let mut tx = delivery.database.tenant(community).await?;
        tx.operator_notices().delete(destination, &ids).await?;
        tx.commit().await?;
    }
    for _ in notices {
        delivery.metrics.backups.count_notice(destination, sent);
    }
    Ok(())
}

async fn give_back(delivery: &NoticeDelivery<'_>, destination: &'static str, notices: &[Taken]) -> Result<(), Failure> {
    for (community, ids) in by_community(notices) {
        let mut tx = delivery.database.tenant(community).await?;
        tx.operator_notices().give_back(destination, &ids).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// The ids of notices by community; those of a community follow each other.
fn by_community(notices: &[Taken]) -> Vec<(CommunityId, Vec<String>)> {
    let chunks = notices.chunk_by(|one, other| one.community == other.community);
    let ids = |chunk: &[Taken]| chunk.iter().map(|taken| taken.id.clone()).collect();
    chunks
        .filter_map(|chunk| Some((chunk.first()?.community, ids(chunk))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::example;
    use super::*;

    #[test]
    fn notice_is_read_as_it_is_stored_and_that_of_a_later_build_is_not() {
        let mut notice = example();
        let stored = serde_json::to_value(StoredNotice::of(&notice)).unwrap();
        assert_eq!(StoredNotice::read(stored.clone()), Some(notice.clone()));
        let mut later = stored;
        later["task"] = json!("dance");
        assert_eq!(StoredNotice::read(later), None);
        notice.detail = "x".repeat(9_000);
        let stored = StoredNotice::of(&notice);
        assert_eq!(stored.detail.chars().count(), super::super::MAX_DETAIL + 1);
    }
}
