//! `gaib server export`: the copies with the backups, which are signed.

use super::*;
use crate::session::exists;

/// The ids of the copies, newest first.
async fn ids(session: &mut Session) -> Vec<String> {
    let listed = session.gaib("server export --list --json").await;
    let exports = of_type(&listed, "export").into_iter();
    exports
        .map(|export| export["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The path of a copy.
fn path_of(session: &Session, id: &str) -> PathBuf {
    let folder = session.folder.path().join(".gaib/backups");
    folder.join(format!("exports/{GUILD}/config.{id}.yaml"))
}

/// Changes what the store records about a copy beside its content.
fn describe(session: &Session, id: &str, change: impl FnOnce(&mut Value)) {
    let folder = session.folder.path().join(".gaib/backups/.objects");
    let path = folder.join(format!("exports/{GUILD}/config.{id}.yaml.json"));
    let mut described: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut described[0]);
    std::fs::write(&path, described.to_string()).unwrap();
}

/// Replaces the name of a role in a copy, and its checksum, as one who can write to the store does.
fn forge_copy(session: &Session, id: &str) {
    let path = path_of(session, id);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("Old Guard"), "{text}");
    let forged = text.replace("Old Guard", "New Guard");
    let checksum = hex::encode(Sha256::digest(forged.as_bytes()));
    std::fs::write(&path, forged).unwrap();
    describe(session, id, |described| {
        described["content"] = checksum.clone().into();
        described["metadata"]["checksum"] = checksum.clone().into();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn export_is_signed_verified_and_downloaded_with_its_images() {
    let mut session = managed().await;
    choose_channels(&session).await;
    refused(
        &session.gaib("server export verify latest").await,
        &["there is no export", "gaib server export --list"],
    );
    done(&session.gaib("server export --backup").await);
    let id = ids(&mut session).await.remove(0);
    printed(&session.gaib("server export --list").await, &[&id, "ID ", "PROBLEM"]);
    for argument in [id.as_str(), "latest", &id[..18], "--all"] {
        let verified = session.gaib(&format!("server export verify {argument}")).await;
        printed(&verified, &[&format!("export {id}: whole")]);
        assert!(!verified.stdout.contains("without a signature"), "{}", verified.stdout);
    }
    let checked = session.gaib("server backup verify --all").await;
    printed(
        &checked,
        &[
            &format!("export {id}: whole"),
            "Whole: 1 (exports). Damaged: 0. Not trusted: 0.",
        ],
    );
    let summary = of_type(
        &session.gaib("server backup verify --all --json").await,
        "verify_summary",
    )
    .remove(0);
    assert_eq!(
        summary["exports"],
        json!({
            "whole": 1, "damaged": 0, "not_trusted": 0, "unsigned": 0, "encrypted_for_another_identity": 0, "unreadable": 0
        })
    );

    printed(
        &session.gaib("server export download latest -o copy").await,
        &[
            "Wrote export",
            "its images (1)",
            "gaib server apply -f copy/config.yaml",
        ],
    );
    assert_eq!(
        session.read("copy/config.yaml"),
        std::fs::read_to_string(path_of(&session, &id)).unwrap()
    );
    let images = visible(&session.folder.path().join("copy/images"));
    assert_eq!(images.len(), 1);
    done(&session.gaib("server validate --file copy/config.yaml").await);
    refused(
        &session.gaib("server export download latest -o copy").await,
        &["is not empty", "--force"],
    );
    done(&session.gaib("server export download latest -o copy --force").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_export_is_damaged_and_one_without_a_signature_needs_its_option() {
    let mut session = managed().await;
    done(&session.gaib("server export --backup").await);
    done(&session.gaib("server export --backup").await);
    let all = ids(&mut session).await;
    let [newer, id] = all.as_slice() else {
        panic!("{all:?}");
    };
    forge_copy(&session, id);
    let object = format!("config.{id}.yaml");
    for line in [
        format!("server export verify {id}"),
        format!("server export download {id} -o copy"),
        "server export verify --all".to_owned(),
        "server backup verify --all".to_owned(),
    ] {
        refused(
            &session.gaib(&line).await,
            &[&object, "signature", &format!("gaib server export delete {id}")],
        );
    }
    assert!(!exists(&session, "copy"));
    let checked = session.gaib("server export verify --all").await;
    assert!(
        checked.stdout.contains(&format!("export {newer}: whole")),
        "{}",
        checked.stdout
    );
    assert!(
        checked
            .stdout
            .contains("Whole: 1 (exports). Damaged: 1. Not trusted: 0."),
        "{}",
        checked.stdout
    );
    // The list reads no export, and the signature is of the recorded checksum.
    let listed = session.gaib("server export --list").await;
    printed(&listed, &["damaged", "warning", &object]);
    let json = session.gaib("server export --list --json").await;
    let problems: Vec<bool> = of_type(&json, "export")
        .iter()
        .map(|export| export["problem"].is_string())
        .collect();
    assert_eq!(problems, [false, true]);
    assert_eq!(of_type(&json, "list_summary")[0]["damaged"], 1);

    describe(&session, id, |described| unsign(&mut described["metadata"]));
    printed(
        &session.gaib(&format!("server export verify {id}")).await,
        &["whole, without a signature"],
    );
    let download = format!("server export download {id} -o copy");
    refused(
        &session.gaib(&download).await,
        &["has no signature", "--allow-unsigned", "nothing was written"],
    );
    assert!(!exists(&session, "copy"));
    done(&session.gaib(&format!("{download} --allow-unsigned")).await);
    assert!(session.read("copy/config.yaml").contains("New Guard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn export_of_another_key_and_one_with_a_damaged_image_are_refused() {
    let mut session = managed().await;
    done(&session.gaib("server export --backup").await);
    let id = ids(&mut session).await.remove(0);
    let key = session.state_home().join("gaib/backup-signing-key.pem");
    std::fs::rename(&key, key.with_extension("old")).unwrap();
    for line in [
        format!("server export verify {id}"),
        "server export download latest -o copy".to_owned(),
    ] {
        let outcome = session.gaib(&line).await;
        refused(&outcome, &["not trusted", "BACKUP_TRUSTED_KEYS", "openssl pkey"]);
        assert!(!outcome.stderr.contains("delete"), "{}", outcome.stderr);
    }
    printed(&session.gaib("server export --list").await, &["not trusted"]);
    std::fs::rename(key.with_extension("old"), &key).unwrap();

    let image = visible(
        &session
            .folder
            .path()
            .join(format!(".gaib/backups/exports/{GUILD}/images")),
    )
    .remove(0);
    let name = image.file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::write(&image, "another image").unwrap();
    refused(&session.gaib("server export verify latest").await, &[&name, "SHA-256"]);
    refused(&session.gaib("server export download latest -o copy").await, &[&name]);
    std::fs::remove_file(&image).unwrap();
    refused(
        &session.gaib("server export verify latest").await,
        &[&name, "does not exist"],
    );
    assert!(!exists(&session, "copy"));
    // A further export writes the image again, and so mends the first.
    done(&session.gaib("server export --backup").await);
    done(&session.gaib("server export verify --all").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_is_deleted_after_a_confirmation_but_for_the_newest_good_one() {
    let mut session = managed().await;
    for _ in 0..3 {
        done(&session.gaib("server export --backup").await);
    }
    let all = ids(&mut session).await;
    refused(
        &session.gaib("server export delete latest -f").await,
        &["newest export that is whole", &all[0], "gaib server export --backup"],
    );
    std::fs::write(path_of(&session, &all[0]), "roles: {").unwrap();
    refused(
        &session.gaib(&format!("server export delete {} -f", all[1])).await,
        &["newest export that is whole"],
    );
    let delete = format!("server export delete {}", all[2]);
    refused(
        &session.gaib(&format!("{delete} --input=false")).await,
        &["--force", &all[2]],
    );
    refused(&session.answering(&delete, Some("no\n")).await, &["Cancelled"]);
    printed(&session.answering(&delete, Some("yes\n")).await, &["Deleted export"]);
    refused(&session.gaib(&format!("{delete} -f")).await, &["there is no export"]);
    // A damaged one is no loss, also as the newest.
    done(&session.gaib("server export delete latest -f").await);
    assert_eq!(ids(&mut session).await, [all[1].clone()]);
    done(&session.gaib("server export verify --all").await);
    for wrong in ["19", "config", "../../state"] {
        refused(
            &session.gaib(&format!("server export delete {wrong} -f")).await,
            &["invalid value", "such as 20261201T025000.123Z"],
        );
    }
    assert_eq!(session.gaib("server export --guild 7 verify latest").await.code, 1);
}
