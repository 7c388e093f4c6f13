//! Where each object is. To add an object: a function, and a row in this table.
//!
//! | key | object |
//! |---|---|
//! | `state/{server}/{workspace}/backup.{time}.json.gz` | state of a workspace |
//! | `exports/{server}/config.{time}.yaml`, `config.latest.yaml`, `images/{file}` | live server as a configuration, with its images |
//! | `snapshots/{server}/{id}/manifest.json`, `{file}.gz` | snapshot |
//! | `themes/{server}/registry.json`, `audit/{time}.json` | theme registry, and an object for each deployment |
//! | `metadata/{server}/backup-schedule.json` | schedule |
//! | `metadata/{server}/teardown.json` | teardown that is not finished |
//! | `anchors/identity-events/{sequence}.json` | head of the chain of identity events, as the worker's leader writes it |
//! | `signing/public-keys.json` | public keys of every version of the platform's signing key |
//! | `manifests/{server}/{version}.json.gz`, `latest.json` | shadow of a configuration, as the worker writes it |

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use crate::key::{ObjectKey, ObjectKeyError};
use crate::server::ServerId;

/// The folder of the shadows of all configurations.
pub const ALL_SHADOWS: &str = "manifests/";

/// The folder of the anchors of the chain of identity events.
pub const CHAIN_ANCHORS: &str = "anchors/identity-events/";

/// Times in keys sort as text: `20261201T025000.123Z`.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");

/// A time in UTC, as it appears in keys.
#[must_use]
pub fn time_text(time: OffsetDateTime) -> String {
    // Formatting fails for years outside of 0 to 9999 only.
    time.to_offset(time::UtcOffset::UTC).format(TIME).unwrap_or_default()
}

/// The time that [`time_text`] wrote.
pub(crate) fn parse_time(text: &str) -> Option<OffsetDateTime> {
    PrimitiveDateTime::parse(text, TIME)
        .ok()
        .map(PrimitiveDateTime::assume_utc)
}

/// The folder of the backups of a server.
#[must_use]
pub fn backups(server: ServerId) -> String {
    format!("state/{server}/")
}

/// A backup of a workspace.
///
/// # Errors
/// The name of the workspace is not valid in a key.
pub fn backup(server: ServerId, workspace: &str, created: OffsetDateTime) -> Result<ObjectKey, ObjectKeyError> {
    if workspace.contains('/') {
        return ObjectKey::new(format!("/{workspace}"));
    }
    ObjectKey::new(format!(
        "{}{workspace}/backup.{}.json.gz",
        backups(server),
        time_text(created)
    ))
}

/// Workspace and time of a backup of this server; `None` for another key.
#[must_use]
pub fn parse_backup(server: ServerId, key: &ObjectKey) -> Option<(String, OffsetDateTime)> {
    let rest = key.as_str().strip_prefix(&backups(server))?;
    let (workspace, name) = rest.split_once('/')?;
    let time = name.strip_prefix("backup.")?.strip_suffix(".json.gz")?;
    Some((workspace.to_owned(), parse_time(time)?))
}

/// The folder of the exports of a server.
#[must_use]
pub fn exports(server: ServerId) -> String {
    format!("exports/{server}/")
}

/// An export of a server.
///
/// # Errors
/// The time cannot be formatted.
pub fn export(server: ServerId, created: OffsetDateTime) -> Result<ObjectKey, ObjectKeyError> {
    ObjectKey::new(format!("{}config.{}.yaml", exports(server), time_text(created)))
}

/// Time of an export of this server; `None` for another key, also for the newest one's second name.
#[must_use]
pub fn parse_export(server: ServerId, key: &ObjectKey) -> Option<OffsetDateTime> {
    let name = key.as_str().strip_prefix(&exports(server))?;
    parse_time(name.strip_prefix("config.")?.strip_suffix(".yaml")?)
}

/// The newest export of a server, under its second name.
#[must_use]
pub fn latest_export(server: ServerId) -> ObjectKey {
    ObjectKey::of_fixed_form(format!("{}config.latest.yaml", exports(server)))
}

/// The folder of the images of all exports of a server.
#[must_use]
pub fn export_images(server: ServerId) -> String {
    format!("{}images/", exports(server))
}

/// An image of exports of a server.
///
/// # Errors
/// The name of the file is not valid in a key.
pub fn export_image(server: ServerId, file: &str) -> Result<ObjectKey, ObjectKeyError> {
    if file.contains('/') {
        return ObjectKey::new(format!("/{file}"));
    }
    ObjectKey::new(format!("{}{file}", export_images(server)))
}

/// The folder of the snapshots of a server.
#[must_use]
pub fn snapshots(server: ServerId) -> String {
    format!("snapshots/{server}/")
}

/// The folder of a snapshot.
#[must_use]
pub fn snapshot(server: ServerId, id: Uuid) -> String {
    format!("{}{id}/", snapshots(server))
}

/// The manifest of a snapshot.
#[must_use]
pub fn manifest(server: ServerId, id: Uuid) -> ObjectKey {
    ObjectKey::of_fixed_form(format!("{}manifest.json", snapshot(server, id)))
}

/// A file of a snapshot, compressed.
///
/// # Errors
/// The name of the file is not valid in a key.
pub fn snapshot_file(server: ServerId, id: Uuid, file: &str) -> Result<ObjectKey, ObjectKeyError> {
    ObjectKey::new(format!("{}{file}.gz", snapshot(server, id)))
}

/// Id and path below its folder of an object of a snapshot; `None` for another key.
#[must_use]
pub fn parse_snapshot(server: ServerId, key: &ObjectKey) -> Option<(Uuid, &str)> {
    let rest = key.as_str().strip_prefix(&snapshots(server))?;
    let (id, path) = rest.split_once('/')?;
    Some((id.parse().ok()?, path))
}

/// The theme registry of a server.
#[must_use]
pub fn theme_registry(server: ServerId) -> ObjectKey {
    ObjectKey::of_fixed_form(format!("themes/{server}/registry.json"))
}

/// The folder of the audit objects of a server.
#[must_use]
pub fn theme_audits(server: ServerId) -> String {
    format!("themes/{server}/audit/")
}

/// The audit object of a deployment.
///
/// # Errors
/// The time cannot be formatted.
pub fn theme_audit(server: ServerId, time: OffsetDateTime) -> Result<ObjectKey, ObjectKeyError> {
    ObjectKey::new(format!("{}{}.json", theme_audits(server), time_text(time)))
}

/// The schedule of a server.
#[must_use]
pub fn schedule(server: ServerId) -> ObjectKey {
    ObjectKey::of_fixed_form(format!("metadata/{server}/backup-schedule.json"))
}

/// The record of a teardown of a server that is not finished.
#[must_use]
pub fn teardown(server: ServerId) -> ObjectKey {
    ObjectKey::of_fixed_form(format!("metadata/{server}/teardown.json"))
}

/// The anchor of an event of the chain of identity events. The number has 20 digits, so that keys sort as numbers.
#[must_use]
pub fn chain_anchor(sequence: u64) -> ObjectKey {
    ObjectKey::of_fixed_form(format!("{CHAIN_ANCHORS}{sequence:020}.json"))
}

/// The copy of the public keys of the signing key.
#[must_use]
pub fn public_keys() -> ObjectKey {
    ObjectKey::of_fixed_form("signing/public-keys.json".to_owned())
}

/// The folder of the shadows of a server's configuration.
#[must_use]
pub fn shadows(server: ServerId) -> String {
    format!("{ALL_SHADOWS}{server}/")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn keys_are_those_of_the_table_and_are_read_again() {
        let (server, time) = (ServerId::new(7), datetime!(2026-12-01 02:50:00.123 UTC));
        let key = backup(server, "default", time).unwrap();
        assert_eq!(key.as_str(), "state/7/default/backup.20261201T025000.123Z.json.gz");
        assert_eq!(parse_backup(server, &key), Some(("default".to_owned(), time)));
        assert_eq!(parse_backup(ServerId::new(8), &key), None);
        let key = export(server, time).unwrap();
        assert_eq!(key.as_str(), "exports/7/config.20261201T025000.123Z.yaml");
        assert_eq!(parse_export(server, &key), Some(time));
        assert_eq!(parse_export(server, &latest_export(server)), None);
        let id = Uuid::from_u128(1);
        let key = snapshot_file(server, id, "state.json").unwrap();
        assert_eq!(
            key.as_str(),
            "snapshots/7/00000000-0000-0000-0000-000000000001/state.json.gz"
        );
        assert_eq!(parse_snapshot(server, &key), Some((id, "state.json.gz")));
        let key = theme_audit(server, time).unwrap();
        assert_eq!(key.as_str(), "themes/7/audit/20261201T025000.123Z.json");
        assert_eq!(shadows(server), "manifests/7/");
    }

    #[test]
    fn keys_of_a_fixed_form_are_valid_for_every_number() {
        for number in [0, 1, u64::MAX] {
            let (server, id) = (ServerId::new(number), Uuid::from_u128(number.into()));
            let keys = [
                latest_export(server),
                manifest(server, id),
                theme_registry(server),
                schedule(server),
                teardown(server),
                chain_anchor(number),
                public_keys(),
            ];
            for key in keys {
                assert_eq!(ObjectKey::new(key.as_str()), Ok(key));
            }
        }
    }

    #[test]
    fn workspace_cannot_leave_its_folder() {
        let time = datetime!(2026-12-01 02:50:00.123 UTC);
        for workspace in ["", "..", "a/b", ".hidden", "a b"] {
            assert!(backup(ServerId::new(7), workspace, time).is_err(), "{workspace}");
        }
    }
}
