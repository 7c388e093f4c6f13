//! Scheduled backups: the schedule under a moved clock, workers that die or run at the same time, dead letters, retention, copies, notices, the command
//! line. The store is a folder.

mod dead_letters;
mod interrupted;
mod notices;
mod retention;
mod schedule;
pub mod setup;
mod tool;
mod worker;
