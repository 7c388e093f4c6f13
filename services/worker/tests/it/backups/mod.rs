//! Scheduled backups: the schedule under a moved clock, workers that die or run at the same time, dead letters, servers without the bot, retention, copies, notices, the command
//! line. The store is a folder.

mod absence;
mod dead_letters;
mod interrupted;
mod notices;
mod retention;
mod schedule;
pub mod setup;
mod tool;
mod worker;
