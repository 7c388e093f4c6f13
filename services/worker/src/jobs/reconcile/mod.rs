//! The job `reconcile`: compares what a community should be with what it is, and repairs what differs.
//!
//! | file | check |
//! |---|---|
//! | `members.rs` | joins and leaves whose events were missed; members whose roles differ, who get tier syncs |
//! | `bindings.rs` | bound roles that do not exist, or that the bot cannot assign |
//! | `structure.rs` | roles and channels against the manifest; a job `synthesis` repairs them |
//! | `drift.rs` | the configuration against its shadow in the object store, and both against the server |
//! | `rule_change.rs` | not a check: a change of the rule set that is due, and the messages about it |
//! | `theme_grace.rs` | not a check: the messages to the admins about the grace period of a theme |
//! | `notice.rs` | the message to the owner about broken rules |
//!
//! Running it twice, or two at once, is safe: it stores what the missed events would have stored, and the ids of the jobs that it
//! enqueues are made of its own id, so that a second run enqueues none. A check that fails permanently is reported by name and stops no
//! other; a temporary failure retries the job after all checks have run.

mod bindings;
mod drift;
mod members;
mod notice;
pub mod rule_change;
mod structure;
pub(crate) mod theme_grace;

use arrakis_contracts::JobKind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use self::theme_grace::ThemeGrace;
use super::{JobHandler, JobOwner, JobRequest, JobRun, publish};
use crate::failure::Failure;
use crate::interaction::reply::message;
use crate::render::reconcile as render;
use crate::synthesis::ReplyHandle;

pub(crate) use self::bindings::obstacle;
pub(in crate::jobs) use self::members::{joined_at, name};
use crate::reconcile_report::ReconcileReport;

/// Hours between two scheduled reconciles of a community.
const SLOT_HOURS: u8 = 6;
/// Pause before the next part of messages that Discord does not accept at the moment.
const MESSAGES_LATER: time::Duration = time::Duration::minutes(10);

/// What happens to differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are repaired.
    #[default]
    Repair,
    /// They are reported. Missed joins and leaves are stored all the same.
    Compare,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    #[serde(default)]
    mode: Mode,
    /// A change of the rule set to put into force, instead of a comparison.
    rule_change: Option<Uuid>,
    /// A change of the rule set about which those affected are told, instead of a comparison.
    announce: Option<Uuid>,
    /// A grace period of a theme about which the admins are told, instead of a comparison.
    theme_grace: Option<ThemeGrace>,
    /// The last member who was told by the part before.
    after: Option<u64>,
    /// Number of this part, counted from 0.
    #[serde(default)]
    part: u32,
}

/// The handler of `reconcile`.
#[derive(Debug)]
pub struct Reconcile;

/// Id of the scheduled reconcile of the present time slot: `reconcile:2026-11-21T06`.
pub fn scheduled_id(now: OffsetDateTime) -> String {
    let hour = now.hour() - now.hour() % SLOT_HOURS;
    format!("reconcile:{}T{hour:02}", now.date())
}

/// Id of a reconcile after a possible session gap, which this event shows. A redelivered event has the same id.
pub fn gap_id(event: &str) -> String {
    format!("reconcile:gap:{event}")
}

/// A reconcile with this id, to enqueue.
pub fn request(id: &str) -> JobRequest {
    JobRequest {
        id: id.to_owned(),
        kind: JobKind::Reconcile,
        payload: json!({}),
    }
}

/// A reconcile with this id that treats differences so, to enqueue.
pub fn request_in_mode(id: String, mode: Mode) -> JobRequest {
    JobRequest {
        id,
        kind: JobKind::Reconcile,
        payload: json!({"mode": mode}),
    }
}

impl JobHandler for Reconcile {
    fn kind(&self) -> JobKind {
        JobKind::Reconcile
    }

    async fn run(&self, run: &JobRun<'_>) -> Result<(), Failure> {
        let payload = Payload::deserialize(run.payload)
            .map_err(|error| Failure::permanent(format!("invalid payload of a reconcile: {error}")))?;
        match (payload.rule_change, payload.announce, &payload.theme_grace) {
            (Some(change), ..) => rule_change::put_into_force(run, change).await,
            (None, Some(change), _) => rule_change::tell_affected(run, change, payload.after, payload.part).await,
            (None, None, Some(grace)) => theme_grace::tell_admins(run, grace, payload.part).await,
            (None, None, None) => Box::pin(compare(run, payload.mode)).await,
        }
    }

    /// The reply to `/reconcile` states the reason, if it requested this job.
    async fn failed(&self, run: &JobRun<'_>, error: &str) -> Result<(), Failure> {
        let embed = render::failed(&run.community.render_context(run.services)?, error);
        ReplyHandle::new(run.services, run.community.id(), run.id)
            .edit(&message(embed, Vec::new()))
            .await;
        Ok(())
    }
}

/// Stores a job that is due at this time, and publishes its message if that is now; otherwise the leader does.
async fn enqueue_at(run: &JobRun<'_>, request: &JobRequest, due_at: OffsetDateTime) -> Result<(), Failure> {
    let community = run.community.id();
    let mut tx = run.services.database.tenant(community).await?;
    let is_new = tx.jobs().enqueue(&request.row(due_at)).await?;
    tx.commit().await?;
    if is_new && due_at <= run.services.now() {
        let owner = JobOwner::Community(community);
        publish(&run.services.publisher, owner, &request.id, request.kind).await;
    }
    Ok(())
}

async fn compare(run: &JobRun<'_>, mode: Mode) -> Result<(), Failure> {
    let mut report = ReconcileReport {
        only_compared: mode == Mode::Compare,
        ..ReconcileReport::default()
    };
    let rules = match mode {
        Mode::Repair => rule_change::put_overdue_into_force(run).await,
        Mode::Compare => Ok(()),
    };
    let rules = report.absorb("change of the rules", rules);
    let members = members::check(run, mode, &mut report).await;
    let members = report.absorb("members", members);
    let structure = structure::check(run, mode, &mut report).await;
    let structure = report.absorb("structure", structure);
    // Another attempt runs every check again.
    rules.and(members).and(structure)?;
    store(run, &report).await?;
    if !report.is_clean() {
        let (joined, left, differing) = (report.joined, report.left, report.differing);
        let broken = report.broken.len();
        tracing::info!(left, joined, differing, broken, "reconcile found differences");
    }
    show(run, &report).await;
    notice::tell_owner(run, &report).await;
    Ok(())
}

async fn store(run: &JobRun<'_>, report: &ReconcileReport) -> Result<(), Failure> {
    let stored = serde_json::to_value(report).map_err(Failure::permanent)?;
    let mut tx = run.services.database.tenant(run.community.id()).await?;
    tx.reconcile_reports().put(run.id, run.services.now(), &stored).await?;
    tx.commit().await?;
    Ok(())
}

/// Shows the report in the reply to `/reconcile`, if it requested this job.
async fn show(run: &JobRun<'_>, report: &ReconcileReport) {
    match run.community.render_context(run.services) {
        Ok(context) => {
            let embed = render::report(&context, report);
            ReplyHandle::new(run.services, run.community.id(), run.id)
                .edit(&message(embed, Vec::new()))
                .await;
        }
        Err(failure) => tracing::warn!(%failure, "the report of a reconcile was not shown"),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn payloads_of_every_kind_are_read() {
        let read = |request: &JobRequest| Payload::deserialize(&request.payload).unwrap();
        assert_eq!(read(&request("a")).mode, Mode::Repair);
        assert_eq!(
            read(&request_in_mode("a".to_owned(), Mode::Compare)).mode,
            Mode::Compare
        );
        let change = Uuid::from_u128(7);
        assert_eq!(read(&rule_change::due(change)).rule_change, Some(change));
        assert_eq!(read(&rule_change::announcement(change)).announce, Some(change));
        let (sietch, basic) = ("sietch".parse().unwrap(), "basic".parse().unwrap());
        let until = datetime!(2026-11-21 06:00 UTC);
        let begun = theme_grace::begun(&sietch, until);
        let ended = theme_grace::ended(&sietch, &basic, until);
        assert_ne!(begun.id, ended.id);
        for request in [begun, ended] {
            assert!(read(&request).theme_grace.is_some());
        }
    }

    #[test]
    fn scheduled_id_contains_the_slot_of_six_hours() {
        assert_eq!(scheduled_id(datetime!(2026-11-21 05:59 UTC)), "reconcile:2026-11-21T00");
        assert_eq!(scheduled_id(datetime!(2026-11-21 06:00 UTC)), "reconcile:2026-11-21T06");
        assert_eq!(scheduled_id(datetime!(2026-11-21 23:10 UTC)), "reconcile:2026-11-21T18");
        assert_eq!(gap_id("7f3a"), "reconcile:gap:7f3a");
    }
}
