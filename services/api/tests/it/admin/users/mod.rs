mod detail;
mod export;
mod list;
mod restore;
mod sessions;
mod suspend;
