//! Markers and locks of servers, on one machine.

use arrakis_iac_apply::store::{LockRecord, ServerMarker, ServerRecords, StoreError};

use super::holder;

fn record(who: &str) -> LockRecord {
    LockRecord::of_this_process(&holder(who))
}

#[test]
fn server_lock_is_exclusive_and_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let servers = ServerRecords::new(folder.path(), "discord.com");
    let lock = servers.lock(7, &record("stilgar")).unwrap();
    let refused = servers.lock(7, &record("chani")).unwrap_err();
    assert!(
        matches!(refused, StoreError::ServerLocked { guild: 7, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("stilgar on arrakeen"), "{refused}");
    assert!(servers.lock(8, &record("chani")).is_ok());
    let emulator = ServerRecords::new(folder.path(), "127.0.0.1:4010");
    assert!(emulator.lock(7, &record("chani")).is_ok());
    drop(lock);
    assert!(servers.lock(7, &record("chani")).is_ok());
}

#[test]
fn marker_outlives_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let servers = ServerRecords::new(folder.path(), "discord.com");
    assert_eq!(servers.marker(7).unwrap(), None);
    let owner = ServerMarker::new("default", "/srv/sietch/.gaib/workspaces/default/state.json", "lineage");
    let lock = servers.lock(7, &record("stilgar")).unwrap();
    lock.claim(&owner).unwrap();
    drop(lock);
    let read = servers.marker(7).unwrap().unwrap();
    assert_eq!((read.workspace.as_str(), read.lineage.as_str()), ("default", "lineage"));
    assert_eq!(read.folder().unwrap().to_str(), Some("/srv/sietch"));
    for (text, why) in [
        ("{", "EOF"),
        (
            r#"{"version": 9, "workspace": "a", "state": "b", "lineage": "c", "since": "2026-11-21T10:00:00Z"}"#,
            "version 9",
        ),
    ] {
        std::fs::write(folder.path().join("discord.com/7/owner.json"), text).unwrap();
        let unreadable = servers.marker(7).unwrap_err().to_string();
        assert!(
            unreadable.contains("owner.json") && unreadable.contains(why),
            "{unreadable}"
        );
    }
}
