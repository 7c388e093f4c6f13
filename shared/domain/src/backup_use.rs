//! How often a plan permits backups and restores that are requested, not scheduled.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Plan;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An operation on request that a plan limits. Scheduled backups are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackupUse {
    /// A backup of the state of a server.
    Backup,
    /// A restore of a state.
    Restore,
    /// A snapshot of a whole server.
    Snapshot,
    /// A restore of a snapshot.
    SnapshotRestore,
}

/// A text that names no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kinds are: backup, restore, snapshot, snapshot-restore")]
pub struct UnknownBackupUse;

/// A number of uses within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseLimit {
    /// Number of uses.
    pub uses: u32,
    /// The time before the present in which they are counted: a use is free again this long after it.
    pub within: Duration,
}

impl BackupUse {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Backup, Self::Restore, Self::Snapshot, Self::SnapshotRestore];

    /// The name in requests and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Snapshot => "snapshot",
            Self::SnapshotRestore => "snapshot-restore",
        }
    }

    /// The limit of a plan; `None` where the plan has none.
    #[must_use]
    pub const fn limit(self, plan: Plan) -> Option<UseLimit> {
        let (uses, within) = match (plan, self) {
            (Plan::Premium, _) => return None,
            (Plan::Free, Self::Backup | Self::SnapshotRestore) => (1, DAY),
            (Plan::Free, Self::Restore) => (3, DAY),
            (Plan::Free, Self::Snapshot) => (3, WEEK),
        };
        Some(UseLimit { uses, within })
    }
}

impl fmt::Display for BackupUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for BackupUse {
    type Err = UnknownBackupUse;

    fn from_str(text: &str) -> Result<Self, UnknownBackupUse> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(UnknownBackupUse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in BackupUse::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("snapshots".parse::<BackupUse>(), Err(UnknownBackupUse));
    }

    #[test]
    fn free_plan_is_limited_and_premium_is_not() {
        let limits = BackupUse::ALL.map(|kind| {
            let limit = kind.limit(Plan::Free).unwrap();
            (limit.uses, limit.within.as_secs() / 86_400)
        });
        assert_eq!(limits, [(1, 1), (3, 1), (3, 7), (1, 1)]);
        assert!(BackupUse::ALL.iter().all(|kind| kind.limit(Plan::Premium).is_none()));
    }
}
