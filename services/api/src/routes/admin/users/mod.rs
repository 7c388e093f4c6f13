//! Users: identities of the registry with their wallets and their history.
//!
//! A key of one community sees the identities whose Discord account has a profile in that community, and of each only the state that counts
//! there ([`crate::authentication::View`]). Suspending and restoring need a key for all communities, because an identity is the same in
//! every community. Every request is in the audit log, a refused one by its count (`crate::refusals`).

mod detail;
mod export;
mod export_csv;
mod list;
mod restore;
mod roles;
mod sessions;
mod suspend;
mod user;

pub(crate) use self::detail::{__path_detail, detail};
pub(crate) use self::export::{__path_export, export};
pub(crate) use self::list::{__path_list, list};
pub(crate) use self::restore::{__path_restore, restore};
pub(crate) use self::sessions::{__path_list_sessions, __path_revoke_sessions, list_sessions, revoke_sessions};
pub(crate) use self::suspend::{__path_suspend, suspend};
