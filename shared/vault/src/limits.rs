//! Limits of a plan on operations on demand.
//!
//! | operation | free | premium |
//! |---|---|---|
//! | backup | 1 a day | unlimited |
//! | restore | 3 a day | unlimited |
//! | snapshot | 3 a week | unlimited |
//! | snapshot restore | 1 a day | unlimited |
//!
//! Days begin at 00:00 UTC, weeks on Monday. The catalogue counts, in one atomic step: see [`crate::Catalogue::take`].

use std::fmt;

use arrakis_domain::Plan;
use time::{Duration, OffsetDateTime, Time, UtcOffset};
use uuid::Uuid;

use crate::server::ServerId;

/// An operation on demand whose number a plan limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Creation of a backup.
    Backup,
    /// Restore of a backup.
    Restore,
    /// Creation of a snapshot.
    Snapshot,
    /// Restore of a snapshot, and a rollback of a theme, which restores one.
    SnapshotRestore,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Backup, Self::Restore, Self::Snapshot, Self::SnapshotRestore];

    /// The name in keys of the catalogue.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Snapshot => "snapshot",
            Self::SnapshotRestore => "snapshot-restore",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Backup => "backups",
            Self::Restore => "restores of backups",
            Self::Snapshot => "snapshots",
            Self::SnapshotRestore => "restores of snapshots",
        }
    }
}

/// The time in which uses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A day, from 00:00 UTC.
    Day,
    /// A week, from Monday 00:00 UTC.
    Week,
}

impl Period {
    const fn noun(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    const fn length(self) -> Duration {
        match self {
            Self::Day => Duration::DAY,
            Self::Week => Duration::WEEK,
        }
    }

    /// Begin of the period that contains `now`.
    #[must_use]
    pub fn begin(self, now: OffsetDateTime) -> OffsetDateTime {
        let now = now.to_offset(UtcOffset::UTC);
        let day = now.replace_time(Time::MIDNIGHT);
        match self {
            Self::Day => day,
            Self::Week => day - Duration::days(i64::from(now.weekday().number_days_from_monday())),
        }
    }
}

/// How many uses of an operation a plan permits in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Number of uses.
    pub uses: u32,
    /// The period.
    pub period: Period,
}

impl Limit {
    /// The limit of a plan; `None` where there is none.
    #[must_use]
    pub const fn of(plan: Plan, operation: Operation) -> Option<Self> {
        let (uses, period) = match (plan, operation) {
            (Plan::Premium, _) => return None,
            (Plan::Free, Operation::Backup | Operation::SnapshotRestore) => (1, Period::Day),
            (Plan::Free, Operation::Restore) => (3, Period::Day),
            (Plan::Free, Operation::Snapshot) => (3, Period::Week),
        };
        Some(Self { uses, period })
    }
}

/// One use of an operation, which the catalogue counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Random id: counting the same use again changes nothing.
    pub id: Uuid,
    /// The server.
    pub server: ServerId,
    /// The operation.
    pub operation: Operation,
    /// The limit.
    pub limit: Limit,
    /// Begin of the period.
    pub begin: OffsetDateTime,
}

impl Use {
    /// A use at `now`; `None` where the plan has no limit.
    #[must_use]
    pub fn new(server: ServerId, plan: Plan, operation: Operation, now: OffsetDateTime) -> Option<Self> {
        let limit = Limit::of(plan, operation)?;
        Some(Self {
            id: Uuid::new_v4(),
            server,
            operation,
            limit,
            begin: limit.period.begin(now),
        })
    }

    /// End of the period: the time at which the operation is permitted again.
    #[must_use]
    pub fn end(&self) -> OffsetDateTime {
        self.begin + self.limit.period.length()
    }
}

/// A limit is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct LimitReached {
    /// The server.
    pub server: ServerId,
    /// The operation.
    pub operation: Operation,
    /// The limit.
    pub limit: Limit,
    /// Time from which the operation is permitted again.
    pub frees: OffsetDateTime,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { uses, period } = self.limit;
        let frees = self.frees;
        write!(
            f,
            "the limit of the free plan is reached: {uses} {} a {}; permitted again from {} {:02}:{:02} UTC, or with the premium plan",
            self.operation.plural(),
            period.noun(),
            frees.date(),
            frees.hour(),
            frees.minute(),
        )
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn periods_begin_at_midnight_and_on_monday() {
        // 2 December 2026 is a Wednesday.
        let now = datetime!(2026-12-02 01:30 +03:00);
        assert_eq!(Period::Day.begin(now), datetime!(2026-12-01 00:00 UTC));
        assert_eq!(Period::Week.begin(now), datetime!(2026-11-30 00:00 UTC));
        let monday = datetime!(2026-11-30 00:00 UTC);
        assert_eq!(Period::Week.begin(monday), monday);
    }

    #[test]
    fn premium_has_no_limits_and_free_has_one_for_each_operation() {
        let now = datetime!(2026-12-02 01:30 UTC);
        for operation in Operation::ALL {
            assert_eq!(Limit::of(Plan::Premium, operation), None);
            let permitted = Use::new(ServerId::new(1), Plan::Free, operation, now).unwrap();
            assert!(permitted.begin <= now && now < permitted.end());
        }
    }

    #[test]
    fn refusal_states_when_the_limit_frees() {
        let reached = LimitReached {
            server: ServerId::new(1),
            operation: Operation::Snapshot,
            limit: Limit {
                uses: 3,
                period: Period::Week,
            },
            frees: datetime!(2026-12-07 00:00 UTC),
        };
        assert_eq!(
            reached.to_string(),
            "the limit of the free plan is reached: 3 snapshots a week; permitted again from 2026-12-07 00:00 UTC, or with the \
             premium plan"
        );
    }
}
