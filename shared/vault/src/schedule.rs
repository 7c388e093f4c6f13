//! Scheduled work: when a backup, a snapshot or the retention of a server is due.
//!
//! | task | free | premium |
//! |---|---|---|
//! | backup | daily at 03:00 UTC | hourly |
//! | snapshot | – | Sunday 04:00 UTC |
//! | retention | daily at 05:00 UTC | daily at 05:00 UTC |
//!
//! [`BackupSchedule`] is an object of the store with the last run of each task. A missed run is made up for once: [`Task::due`] returns
//! the newest time at which the task was due, not each of them.

use std::collections::BTreeMap;
use std::fmt;

use arrakis_domain::Plan;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, Time, UtcOffset, Weekday};

use crate::server::ServerId;

/// Scheduled work of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A backup, with an export of the live server.
    Backup,
    /// A snapshot.
    Snapshot,
    /// Marks what may be deleted.
    Retention,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 3] = [Self::Backup, Self::Snapshot, Self::Retention];

    /// The name in ids of jobs and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Snapshot => "snapshot",
            Self::Retention => "retention",
        }
    }

    /// The newest time, at or before `now`, at which the task was due; `None` where the plan has no such task.
    #[must_use]
    pub fn newest_slot(self, plan: Plan, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let now = now.to_offset(UtcOffset::UTC);
        match (self, plan) {
            (Self::Backup, Plan::Premium) => {
                let begin = now.replace_time(Time::MIDNIGHT);
                Some(begin + Duration::hours(i64::from(now.hour())))
            }
            (Self::Backup, Plan::Free) => Some(daily(now, 3)),
            (Self::Snapshot, Plan::Premium) => {
                let slot = daily(now, 4);
                let days = slot.weekday().number_days_from_sunday();
                debug_assert_eq!((slot - Duration::days(i64::from(days))).weekday(), Weekday::Sunday);
                Some(slot - Duration::days(i64::from(days)))
            }
            (Self::Snapshot, Plan::Free) => None,
            (Self::Retention, _) => Some(daily(now, 5)),
        }
    }

    /// The time at which the task is due and has not run; `None` where nothing is due. `last` is the slot of the last run. A server
    /// whose task has never run is due at once.
    #[must_use]
    pub fn due(self, plan: Plan, last: Option<OffsetDateTime>, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let slot = self.newest_slot(plan, now)?;
        last.is_none_or(|last| last < slot).then_some(slot)
    }
}

/// The newest time at this hour of a day, at or before `now`.
fn daily(now: OffsetDateTime, hour: i64) -> OffsetDateTime {
    let today = now.replace_time(Time::MIDNIGHT) + Duration::hours(hour);
    if today <= now { today } else { today - Duration::DAY }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last runs of a server's tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSchedule {
    /// The Discord server.
    pub server: ServerId,
    /// The slot of the last completed run of each task.
    #[serde(default)]
    pub completed: BTreeMap<Task, Slot>,
}

/// A time at which a task was due, in JSON as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);

impl BackupSchedule {
    /// The schedule of a server whose tasks have not run.
    #[must_use]
    pub fn new(server: ServerId) -> Self {
        Self {
            server,
            completed: BTreeMap::new(),
        }
    }

    /// The time at which a task is due and has not run; `None` where nothing is due.
    #[must_use]
    pub fn due(&self, task: Task, plan: Plan, now: OffsetDateTime) -> Option<OffsetDateTime> {
        task.due(plan, self.completed.get(&task).map(|slot| slot.0), now)
    }

    /// Records a completed run. Returns whether the schedule changed: an older slot than the recorded one changes nothing.
    pub fn complete(&mut self, task: Task, slot: OffsetDateTime) -> bool {
        if self.completed.get(&task).is_some_and(|last| last.0 >= slot) {
            return false;
        }
        self.completed.insert(task, Slot(slot));
        true
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn slots_of_each_plan() {
        // 2 December 2026 is a Wednesday, 29 November a Sunday.
        let now = datetime!(2026-12-02 02:59:59 UTC);
        for (task, plan, slot) in [
            (Task::Backup, Plan::Free, Some(datetime!(2026-12-01 03:00 UTC))),
            (Task::Backup, Plan::Premium, Some(datetime!(2026-12-02 02:00 UTC))),
            (Task::Snapshot, Plan::Free, None),
            (Task::Snapshot, Plan::Premium, Some(datetime!(2026-11-29 04:00 UTC))),
            (Task::Retention, Plan::Free, Some(datetime!(2026-12-01 05:00 UTC))),
        ] {
            assert_eq!(task.newest_slot(plan, now), slot, "{task} {plan}");
        }
        let sunday = datetime!(2026-11-29 04:00 UTC);
        assert_eq!(Task::Snapshot.newest_slot(Plan::Premium, sunday), Some(sunday));
        let before = datetime!(2026-11-29 03:59 UTC);
        assert_eq!(
            Task::Snapshot.newest_slot(Plan::Premium, before),
            Some(datetime!(2026-11-22 04:00 UTC))
        );
    }

    #[test]
    fn missed_runs_are_caught_up_once() {
        let mut schedule = BackupSchedule::new(ServerId::new(7));
        let first = datetime!(2026-12-01 12:00 UTC);
        let slot = schedule.due(Task::Backup, Plan::Free, first).unwrap();
        assert!(schedule.complete(Task::Backup, slot));
        assert_eq!(schedule.due(Task::Backup, Plan::Free, first), None);
        // Ten days later, one run is due.
        let later = datetime!(2026-12-11 12:00 UTC);
        let slot = schedule.due(Task::Backup, Plan::Free, later).unwrap();
        assert_eq!(slot, datetime!(2026-12-11 03:00 UTC));
        assert!(schedule.complete(Task::Backup, slot));
        assert!(!schedule.complete(Task::Backup, datetime!(2026-12-05 03:00 UTC)));
        assert_eq!(schedule.due(Task::Backup, Plan::Free, later), None);
        assert_eq!(
            schedule.due(Task::Backup, Plan::Free, datetime!(2026-12-12 03:00 UTC)),
            Some(datetime!(2026-12-12 03:00 UTC))
        );
    }

    #[test]
    fn schedule_is_the_same_after_json() {
        let mut schedule = BackupSchedule::new(ServerId::new(7));
        schedule.complete(Task::Snapshot, datetime!(2026-11-29 04:00 UTC));
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(
            text,
            "{\"server\":\"7\",\"completed\":{\"snapshot\":\"2026-11-29T04:00:00Z\"}}"
        );
        assert_eq!(serde_json::from_str::<BackupSchedule>(&text).unwrap(), schedule);
    }
}
