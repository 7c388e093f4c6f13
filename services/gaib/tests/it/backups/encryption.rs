//! Backups that are encrypted on this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// An identity of the tests of age.
const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_backups_are_verified_and_restored_with_the_identity_alone() {
    let mut session = managed().await;
    let identity = session.folder.path().join("identity.txt");
    fs::write(&identity, format!("# of a test\n{IDENTITY}\n")).unwrap();
    fs::set_permissions(&identity, Permissions::from_mode(0o600)).unwrap();
    let name = identity.to_str().unwrap().to_owned();
    session.environment("BACKUP_AGE_IDENTITY", Some(&name));
    let backup = created(&session.gaib("server backup create").await);
    let snapshot = created(&session.gaib("server snapshot create").await);
    for object in objects(&session) {
        let bytes = fs::read(session.folder.path().join(".gaib/backups").join(&object)).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"), "{object}");
    }
    printed(&session.gaib("server backup verify --all").await, &["Whole: 2"]);

    session.environment("BACKUP_AGE_IDENTITY", None);
    for line in [
        format!("server backup verify {backup}"),
        format!("server backup restore {backup} -f"),
        format!("server snapshot verify {snapshot}"),
    ] {
        refused(&session.gaib(&line).await, &["BACKUP_AGE_IDENTITY", "age"]);
    }
    let before = objects(&session);
    for line in [
        "server backup create",
        "server snapshot create",
        "server export --backup",
    ] {
        refused(
            &session.gaib(line).await,
            &["BACKUP_AGE_IDENTITY=none", "is encrypted with age"],
        );
    }
    assert_eq!(objects(&session), before);
    session.environment("BACKUP_AGE_IDENTITY", Some("none"));
    let plain = created(&session.gaib("server backup create").await);
    session.environment("BACKUP_AGE_IDENTITY", Some(&name));
    let show = format!("server backup show {plain}");
    printed(&session.gaib(&show).await, &["none, in a store with encryption"]);
    let verify = format!("server backup verify {plain}");
    printed(&session.gaib(&verify).await, &["whole", "stored without encryption"]);
    session.environment("BACKUP_AGE_IDENTITY", None);
    session.environment("BACKUP_AGE_RECIPIENTS", Some("age1x"));
    refused(
        &session.gaib("server backup list").await,
        &["BACKUP_AGE_IDENTITY is not set"],
    );
    session.environment("BACKUP_AGE_IDENTITY", Some(&name));
    refused(
        &session.gaib("server backup list").await,
        &["age1x", "not an age recipient"],
    );
    session.environment("BACKUP_AGE_RECIPIENTS", None);

    let whole = state(&session);
    fs::remove_file(session.folder.path().join(STATE)).unwrap();
    printed(
        &session.gaib(&format!("server backup restore {backup} -f")).await,
        &["Restored the state"],
    );
    assert_eq!(state(&session)["resources"], whole["resources"]);
    let expected = names(&session).await;
    wreck(&session).await;
    done(
        &session
            .gaib(&format!("server snapshot restore {snapshot} --apply -f"))
            .await,
    );
    assert_eq!(names(&session).await, expected);
}
