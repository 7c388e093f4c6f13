//! Damaged objects: each is named, and nothing changes.

use super::*;
use crate::session::exists;

/// What happens to an object.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flipped,
    Truncated,
    Emptied,
    Missing,
}

const DAMAGES: [Damage; 4] = [Damage::Flipped, Damage::Truncated, Damage::Emptied, Damage::Missing];

impl Damage {
    fn strike(self, path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        match self {
            Self::Flipped => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            Self::Truncated => bytes.truncate(bytes.len() / 2),
            Self::Emptied => bytes.clear(),
            Self::Missing => return std::fs::remove_file(path).unwrap(),
        }
        std::fs::write(path, bytes).unwrap();
    }
}

fn path_of(session: &Session, object: &str) -> PathBuf {
    session.folder.path().join(".gaib/backups").join(object)
}

/// Runs commands that read `object`, which is damaged, and asserts that nothing changes.
async fn assert_named(session: &mut Session, lines: &[String], object: &str) {
    let (sent, before) = (writes(session), session.read(STATE));
    let all = objects(session);
    for line in lines {
        let outcome = session.gaib(line).await;
        refused(&outcome, &[object]);
        assert_eq!((writes(session), &session.read(STATE)), (sent, &before), "{line}");
        assert_eq!(objects(session), all, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_backup_is_named_and_replaces_nothing() {
    let mut session = managed().await;
    let id = created(&session.gaib("server backup create").await);
    session.write("discord-server.yaml", CHANGED);
    done(&session.gaib("server apply --auto-approve").await);
    let object = objects(&session).remove(0);
    let path = path_of(&session, &object);
    let whole = std::fs::read(&path).unwrap();
    for damage in DAMAGES {
        damage.strike(&path);
        let lines = [
            format!("server backup restore {id} -f"),
            format!("server backup verify {id}"),
            "server backup verify --all".to_owned(),
        ];
        assert_named(&mut session, &lines, &object).await;
        for line in &lines[1..] {
            let outcome = session.gaib(line).await;
            refused(&outcome, &[&format!("gaib server backup delete {id}")]);
            assert!(!outcome.stderr.contains("restored"), "{line}: {}", outcome.stderr);
        }
        refused(&session.gaib(&lines[0]).await, &["nothing was restored"]);
        let dry = session.gaib(&format!("server backup restore {id} --dry-run")).await;
        assert!(!dry.stderr.contains("nothing was restored"), "{}", dry.stderr);
        std::fs::write(&path, &whole).unwrap();
    }
    done(&session.gaib("server backup verify --all").await);
    done(&session.gaib(&format!("server backup restore {id} -f")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_in_place_of_another_is_named() {
    let mut session = managed().await;
    let first = created(&session.gaib("server backup create").await);
    session.write("discord-server.yaml", CHANGED);
    done(&session.gaib("server apply --auto-approve").await);
    created(&session.gaib("server backup create").await);
    // Sorted by time.
    let all = objects(&session);
    let [older, newer] = all.as_slice() else {
        panic!("{all:?}");
    };
    std::fs::copy(path_of(&session, newer), path_of(&session, older)).unwrap();
    let lines = [
        format!("server backup restore {first} -f"),
        format!("server backup verify {first}"),
    ];
    assert_named(&mut session, &lines, older).await;
    let checked = session.gaib("server backup verify --all").await;
    refused(&checked, &[older]);
    assert!(
        checked
            .stdout
            .contains("Whole: 1 (backups and snapshots). Damaged: 1. Not trusted: 0. Theme registry: whole."),
        "{}",
        checked.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_damaged_file_of_a_snapshot_is_named_and_restores_nothing() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    wreck(&session).await;
    let of_snapshot: Vec<String> = objects(&session)
        .into_iter()
        .filter(|object| object.contains(&id))
        .collect();
    // State, configuration, theme registry, members, server, image, manifest.
    assert_eq!(of_snapshot.len(), 7, "{of_snapshot:?}");
    for (at, object) in of_snapshot.iter().enumerate() {
        let path = path_of(&session, object);
        let whole = std::fs::read(&path).unwrap();
        DAMAGES[at % DAMAGES.len()].strike(&path);
        let lines = [
            format!("server snapshot restore {id} --apply -f"),
            format!("server snapshot restore {id} -f"),
            format!("server snapshot verify {id}"),
            format!("server snapshot compare {id} {id}"),
            format!("server snapshot download {id} -o copy"),
        ];
        assert_named(&mut session, &lines, object).await;
        assert!(visible(&session.folder.path().join("copy")).is_empty());
        std::fs::write(&path, &whole).unwrap();
    }
    done(&session.gaib(&format!("server snapshot restore {id} --apply -f")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_key_signed_is_refused_until_the_key_is_trusted() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    let backup = created(&session.gaib("server backup create").await);
    let key = session.state_home().join("gaib/backup-signing-key.pem");
    std::fs::rename(&key, key.with_extension("old")).unwrap();
    created(&session.gaib("server backup create").await);
    for (line, object) in [
        (format!("server snapshot restore {id} --apply -f"), "manifest"),
        (format!("server snapshot verify {id}"), "manifest"),
        (format!("server backup restore {backup} -f"), "/backup."),
        (format!("server backup verify {backup}"), "/backup."),
        ("server backup verify --all".to_owned(), "manifest"),
    ] {
        let outcome = session.gaib(&line).await;
        refused(
            &outcome,
            &[
                object,
                "which is not trusted here",
                "BACKUP_TRUSTED_KEYS",
                "openssl pkey",
            ],
        );
        assert!(!outcome.stderr.contains("damaged"), "{line}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("delete"), "{line}: {}", outcome.stderr);
    }
    let checked = session.gaib("server backup verify --all").await.stdout;
    assert!(checked.contains(&format!("snapshot {id}: not trusted")), "{checked}");
    assert!(checked.contains(&format!("backup {backup}: not trusted")), "{checked}");
    assert!(
        checked.contains("Whole: 1 (backups and snapshots). Damaged: 0. Not trusted: 2."),
        "{checked}"
    );
    let verified = session.gaib(&format!("server snapshot verify {id} --json")).await;
    assert_eq!(of_type(&verified, "verified")[0]["verdict"], "not_trusted");
    std::fs::rename(key.with_extension("old"), &key).unwrap();
    done(&session.gaib(&format!("server snapshot verify {id}")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_record_is_listed_with_a_warning_and_hides_no_other() {
    let mut session = managed().await;
    let first = created(&session.gaib("server backup create").await);
    let second = created(&session.gaib("server backup create").await);
    let (record, whole) = record_of(&session, &first);
    std::fs::write(&record, "{").unwrap();
    let listed = session.gaib("server backup list").await;
    let cure = format!("gaib server backup verify {first}");
    printed(&listed, &["warning", &second, &cure]);
    refused(&session.gaib("server backup verify --all").await, &["damaged", &cure]);
    printed(
        &session.gaib(&cure["gaib ".len()..]).await,
        &["made again from its object", "whole"],
    );
    assert_eq!(std::fs::read_to_string(&record).unwrap(), whole);
    let listed = session.gaib("server backup list").await;
    printed(&listed, &[&first, &second]);
    assert!(!listed.stderr.contains("warning"), "{}", listed.stderr);
    done(&session.gaib("server backup verify --all").await);
}

/// The record of a backup or a snapshot in the catalogue: its path and its text.
fn record_of(session: &Session, id: &str) -> (PathBuf, String) {
    let mut folders = vec![session.folder.path().join(".gaib/backups/.catalogue")];
    while let Some(folder) = folders.pop() {
        for path in visible(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().contains(id) {
                let text = std::fs::read_to_string(&path).unwrap();
                return (path, text);
            }
        }
    }
    panic!("no record of {id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_make_a_damaged_record_again_unless_its_object_is_damaged_too() {
    let mut session = managed().await;
    let backup = created(&session.gaib("server backup create").await);
    let snapshot = created(&session.gaib("server snapshot create").await);
    for (line, id) in [
        (format!("server backup show {backup}"), &backup),
        (format!("server backup restore {backup} --dry-run"), &backup),
        (format!("server snapshot verify {snapshot}"), &snapshot),
        (format!("server snapshot compare {snapshot} {snapshot}"), &snapshot),
        (
            format!("server snapshot restore {snapshot} --apply --dry-run"),
            &snapshot,
        ),
        (format!("server snapshot download {snapshot} -o copy"), &snapshot),
    ] {
        let (record, whole) = record_of(&session, id);
        std::fs::write(&record, "{").unwrap();
        printed(&session.gaib(&line).await, &["made again from its object"]);
        assert_eq!(std::fs::read_to_string(&record).unwrap(), whole, "{line}");
    }
    // The id of the other kind.
    let (record, _) = record_of(&session, &snapshot);
    std::fs::write(&record, "{").unwrap();
    refused(
        &session.gaib(&format!("server backup show {snapshot}")).await,
        &["made again from its object", "there is no backup"],
    );
    // A deletion needs the record.
    std::fs::write(&record, "{").unwrap();
    done(&session.gaib(&format!("server snapshot delete {snapshot} -f")).await);
    assert!(objects(&session).iter().all(|object| !object.contains(&snapshot)));

    let (record, _) = record_of(&session, &backup);
    std::fs::write(&record, "{").unwrap();
    let object = objects(&session)
        .into_iter()
        .find(|object| object.starts_with("state/"))
        .unwrap();
    Damage::Flipped.strike(&path_of(&session, &object));
    let both = session.gaib(&format!("server backup show {backup}")).await;
    let name = record.file_name().unwrap().to_str().unwrap();
    refused(&both, &[name, &object, "delete both manually"]);
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "{");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_theme_registry_is_named_and_made_again() {
    let mut session = unmanaged().await;
    session.write("discord-server.yaml", "theme: basic\n");
    done(&session.gaib("server apply --auto-approve -m first").await);
    printed(&session.gaib("server theme registry").await, &["basic", "first"]);
    let registry = objects(&session);
    let registry = registry
        .iter()
        .find(|object| object.ends_with("registry.json"))
        .unwrap();
    std::fs::write(path_of(&session, registry), "{").unwrap();
    for line in [
        "server theme registry",
        "server theme history",
        "server theme rollback -f",
    ] {
        refused(&session.gaib(line).await, &[registry]);
    }
    let checked = session.gaib("server backup verify --all").await;
    refused(&checked, &[registry, "--rebuild"]);
    assert!(!checked.stderr.contains("backup create"), "{}", checked.stderr);
    assert!(
        checked.stdout.ends_with("Theme registry: damaged.\n"),
        "{}",
        checked.stdout
    );
    // An apply does not fail for it, and the next one records what this one could not.
    session.write("discord-server.yaml", "theme: basic\nroles:\n  usul: { name: Usul }\n");
    let applied = session.gaib("server apply --auto-approve -m second").await;
    printed(&applied, &["warning", "its deployment is not recorded yet", registry]);
    // The audit object of the second deployment is written already.
    let rebuild = "server theme registry --rebuild";
    let question = "Do you want to replace the theme registry";
    for (line, answer, parts) in [
        (
            format!("{rebuild} --input=false"),
            None,
            vec![question, "--auto-approve"],
        ),
        (
            rebuild.to_owned(),
            None,
            vec![question, "stdin is closed", "--auto-approve"],
        ),
        (rebuild.to_owned(), Some("no\n"), vec![question, "Cancelled"]),
    ] {
        let outcome = session.answering(&line, answer).await;
        refused(&outcome, &parts);
        assert!(outcome.stdout.contains("  + "), "{line}: {}", outcome.stdout);
        assert_eq!(std::fs::read_to_string(path_of(&session, registry)).unwrap(), "{");
    }
    let dry = session.gaib(&format!("{rebuild} --dry-run")).await;
    printed(
        &dry,
        &["is damaged", "would be replaced", "Dry run: nothing was changed."],
    );
    assert_eq!(dry.stdout.matches("  + ").count(), 2, "{}", dry.stdout);
    assert_eq!(std::fs::read_to_string(path_of(&session, registry)).unwrap(), "{");
    let rebuilt = session.answering(rebuild, Some("yes\n")).await;
    printed(&rebuilt, &["2 deployments (2 added, 0 removed)", "first", "second"]);
    // One that is whole stays as it is, without a question.
    printed(&session.gaib(rebuild).await, &["is whole", "Nothing was changed"]);
    for line in ["server theme registry --dry-run", "server theme registry --yes"] {
        refused(&session.gaib(line).await, &["--rebuild"]);
    }
    // A damaged audit object does not hinder the others.
    let audit = objects(&session).into_iter().find(|object| object.contains("/audit/"));
    std::fs::write(path_of(&session, &audit.clone().unwrap()), "{").unwrap();
    let audit = audit.unwrap();
    printed(
        &session.gaib(rebuild).await,
        &["warning", &audit, "2 deployments", "first", "second"],
    );
    // Without the registry, the deployment of the damaged audit object is lost.
    std::fs::write(path_of(&session, registry), "{").unwrap();
    printed(
        &session.gaib(&format!("{rebuild} --yes")).await,
        &["warning", &audit, "1 deployment (1 added, 0 removed)"],
    );
    done(&session.gaib("server apply --auto-approve").await);
    let shown = session.gaib("server theme registry --json").await;
    assert_eq!(of_type(&shown, "deployment").len(), 1);
    assert!(!exists(&session, DEPLOYMENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_interrupted_snapshot_are_listed_when_they_are_removed() {
    let mut session = managed().await;
    for (line, id) in [
        ("server backup create", "00000000-0000-4000-8000-000000000001"),
        ("server snapshot create", "00000000-0000-4000-8000-000000000002"),
        (
            "server apply --snapshot --auto-approve",
            "00000000-0000-4000-8000-000000000003",
        ),
    ] {
        let folder = path_of(&session, &format!("snapshots/{GUILD}/{id}"));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["config.yaml.gz", "state.json.gz"] {
            let file = std::fs::File::create(folder.join(name)).unwrap();
            let two_hours = std::time::Duration::from_secs(7_200);
            file.set_modified(std::time::SystemTime::now() - two_hours).unwrap();
        }
        if line.contains("apply") {
            session.write("discord-server.yaml", CHANGED);
        }
        let outcome = session.gaib(line).await;
        let removed = format!("Removed 2 files of the snapshot {id}");
        printed(&outcome, &[&removed, "config.yaml.gz, state.json.gz"]);
        assert!(!folder.exists(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_without_a_signature_is_named_and_restored_only_where_that_is_permitted() {
    let mut session = managed().await;
    let id = created(&session.gaib("server backup create").await);
    printed(
        &session.gaib(&format!("server backup show {id}")).await,
        &["Signature", "by the key"],
    );
    let records = path_of(&session, &format!(".catalogue/records/{GUILD}/backup"));
    let record = visible(&records).remove(0);
    forge(&record, unsign);
    printed(
        &session.gaib(&format!("server backup verify {id}")).await,
        &["whole, without a signature"],
    );
    printed(
        &session.gaib("server backup verify --all").await,
        &["1 backup and 0 deployments"],
    );
    done(&session.gaib("server state rm channel.spice").await);
    let (restore, present) = (format!("server backup restore {id}"), session.read(STATE));
    refused(
        &session.gaib(&format!("{restore} -f")).await,
        &["has no signature", "--allow-unsigned", "nothing was changed"],
    );
    printed(&session.gaib(&format!("{restore} --dry-run")).await, &["channel.spice"]);
    assert_eq!(session.read(STATE), present);
    done(&session.gaib(&format!("{restore} --allow-unsigned -f")).await);
    assert!(session.read(STATE).contains("channel.spice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_name_what_is_missing_truncated_or_changed_without_reading_all() {
    let mut session = managed().await;
    let mut backups = Vec::new();
    for _ in 0..4 {
        backups.push(created(&session.gaib("server backup create").await));
    }
    let whole = session.gaib("server backup list").await;
    assert!(
        !whole.stdout.contains("PROBLEM") && whole.stderr.is_empty(),
        "{whole:?}"
    );
    // Sorted by time.
    let states = objects(&session);
    std::fs::remove_file(path_of(&session, &states[0])).unwrap();
    Damage::Truncated.strike(&path_of(&session, &states[1]));
    let (record, _) = record_of(&session, &backups[2]);
    forge(&record, |content| content["state"]["serial"] = 999.into());
    let listed = session.gaib("server backup list").await;
    printed(&listed, &["PROBLEM", "does not exist", &states[1], "signature"]);
    for (at, problem) in ["  damaged", "  damaged", "  damaged", "  -"].iter().enumerate() {
        let line = listed.stdout.lines().find(|line| line.contains(&backups[at])).unwrap();
        assert!(line.ends_with(*problem), "{line}");
        let delete = format!("gaib server backup delete {}", backups[at]);
        assert_eq!(listed.stderr.contains(&delete), at < 3, "{}", listed.stderr);
    }
    let json = session.gaib("server backup list --json").await;
    let problems: Vec<bool> = of_type(&json, "backup")
        .iter()
        .map(|backup| backup["problem"].is_string())
        .collect();
    assert_eq!(problems, [false, true, true, true]);
    assert_eq!(of_type(&json, "list_summary")[0]["problems"], 3);

    let mut snapshots = Vec::new();
    for _ in 0..3 {
        snapshots.push(created(&session.gaib("server snapshot create").await));
    }
    let object = |id: &str, file: &str| path_of(&session, &format!("snapshots/{GUILD}/{id}/{file}"));
    std::fs::remove_file(object(&snapshots[0], "members.json.gz")).unwrap();
    Damage::Flipped.strike(&object(&snapshots[1], "manifest.json"));
    let listed = session.gaib("server snapshot list").await;
    printed(&listed, &["PROBLEM", "members.json.gz", "manifest.json"]);
    for (at, problem) in ["  damaged", "  damaged", "  -"].iter().enumerate() {
        let line = listed
            .stdout
            .lines()
            .find(|line| line.contains(&snapshots[at]))
            .unwrap();
        assert!(line.ends_with(*problem), "{line}");
    }
    let key = session.state_home().join("gaib/backup-signing-key.pem");
    std::fs::rename(&key, key.with_extension("old")).unwrap();
    let listed = session.gaib("server snapshot list").await;
    let line = listed.stdout.lines().find(|line| line.contains(&snapshots[2])).unwrap();
    assert!(line.contains("not trusted"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn theme_history_names_the_damaged_snapshot_of_a_deployment() {
    let mut session = unmanaged().await;
    session.write("discord-server.yaml", "theme: basic\n");
    done(&session.gaib("server apply --snapshot --auto-approve").await);
    printed(&session.gaib("server theme history").await, &[" kept"]);
    for object in objects(&session) {
        if object.ends_with("config.yaml.gz") {
            std::fs::remove_file(path_of(&session, &object)).unwrap();
        }
    }
    let history = session.gaib("server theme history").await;
    printed(&history, &[" damaged"]);
    let json = session.gaib("server theme history --json").await;
    assert_eq!(of_type(&json, "deployment")[0]["snapshot_available"], false);
}
