//! Imports profiles from a SQLite file into a community, and undoes an import (`docs/moving-in.md`).
//!
//! The file is read and checked as a whole ([`source`], [`checks`]) before anything is written. Members are written in pages
//! ([`write`]), each in one transaction: events of the identity registry, profiles, badges, tiers and days of activity, and a row that states
//! what was written. The rows are read again in the same transaction and compared by their checksums. A run after a SIGKILL writes the pages
//! that are missing. An undo ([`undo`]) restores page by page what was before.
//!
//! The running worker never uses this module; the subcommands `import-profiles` and `undo-profile-import` do, with the admin login: the
//! identity registry accepts events of a migration from no other.

mod checks;
mod fields;
mod merge;
mod present;
mod problems;
mod source;
mod tables;
mod target;
mod undo;
mod write;

use time::OffsetDateTime;

pub(crate) use self::checks::{check_database, check_file};
pub(crate) use self::problems::Problems;
pub(crate) use self::source::{SourceFile, read};
pub(crate) use self::target::Target;
pub(crate) use self::undo::{Undone, undo};
pub(crate) use self::write::{ImportCounts, resumable, run};

/// The present time in whole microseconds, which PostgreSQL stores.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_microsecond(now.microsecond()).unwrap_or(now)
}
