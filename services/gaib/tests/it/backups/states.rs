//! `gaib server backup`: copies of the state.

use std::time::{Duration, SystemTime};

use super::*;
use crate::session::exists;

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn state_is_backed_up_shown_and_restored() {
    let mut session = managed().await;
    let before = state(&session);
    let made = session.gaib("server backup create -m \"before the storm\"").await;
    let id = created(&made);
    printed(&made, &["Created backup", "state with serial"]);
    printed(
        &session.gaib("server backup list").await,
        &[&id, "before the storm", "ID ", "CREATED"],
    );
    let shown = session.gaib(&format!("server backup show {id}")).await;
    printed(&shown, &[&id, "before the storm", ".gaib/backups/", "Lineage"]);
    // No plan applies to a folder.
    assert!(!shown.stdout.contains("Plan"), "{}", shown.stdout);

    session.write("discord-server.yaml", CHANGED);
    done(&session.gaib("server apply --auto-approve").await);
    let after = state(&session);
    let (restore, sent) = (format!("server backup restore {id}"), writes(&session));
    let dry = session.gaib(&format!("{restore} --dry-run")).await;
    printed(&dry, &["role.naib", "color", "#FFD700", "Dry run"]);
    refused(&session.answering(&restore, Some("no\n")).await, &["Cancelled"]);
    refused(
        &session.gaib(&format!("{restore} --input=false")).await,
        &["Replace the state of workspace default", "--auto-approve"],
    );
    assert_eq!(state(&session), after);
    let restored = session.answering(&restore, Some("yes\n")).await;
    printed(
        &restored,
        &[
            "Restored the state of workspace default",
            "Backed up the present state",
            "was not changed",
        ],
    );
    let listed = session.gaib("server backup list --json").await;
    let listed = of_type(&listed, "backup");
    let (backup, present) = (&listed[1], &listed[0]);
    assert_eq!(backup["id"], id.as_str());
    // The message names the backup by its time, as the list does.
    let second = &backup["created"].as_str().unwrap()[..19];
    assert_eq!(present["message"], format!("before the restore of {second}Z"));
    let now = state(&session);
    assert_eq!(
        (&now["lineage"], &now["resources"]),
        (&before["lineage"], &before["resources"])
    );
    assert!(now["serial"].as_u64() > after["serial"].as_u64(), "{now}");
    assert_eq!(writes(&session), sent, "a restore of the state sends nothing");
    printed(&session.gaib(&format!("{restore} -f")).await, &["nothing was changed"]);
    // The configuration is what an apply makes.
    done(&session.gaib("server apply --auto-approve").await);
    done(&session.gaib("server plan --detailed-exitcode").await);

    assert_eq!(session.gaib("server backup list").await.stdout.lines().count(), 3);
    let delete = format!("server backup delete {id}");
    refused(&session.gaib(&format!("{delete} --input=false")).await, &["--force"]);
    printed(&session.gaib(&format!("{delete} -f")).await, &["Deleted backup"]);
    refused(
        &session.gaib(&format!("server backup show {id}")).await,
        &["there is no backup"],
    );
    assert!(!session.gaib("server backup list").await.stdout.contains(&id));
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_replaces_a_missing_and_a_damaged_state() {
    let mut session = managed().await;
    let id = created(&session.gaib("server backup create").await);
    let (restore, whole) = (format!("server backup restore {id} -f"), state(&session));
    let path = session.folder.path().join(STATE);
    std::fs::remove_file(&path).unwrap();
    printed(&session.gaib(&restore).await, &["Restored the state"]);
    assert_eq!(state(&session)["resources"], whole["resources"]);
    done(&session.gaib("server plan --detailed-exitcode").await);

    std::fs::write(&path, "{").unwrap();
    refused(&session.gaib("server backup create").await, &["state"]);
    printed(
        &session.gaib(&restore).await,
        &["Renamed the damaged state", "Restored the state"],
    );
    assert_eq!(state(&session)["resources"], whole["resources"]);
    done(&session.gaib("server plan --detailed-exitcode").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_of_a_lost_state_is_stale_after_its_restore() {
    let mut session = managed().await;
    let backup = created(&session.gaib("server backup create").await);
    let snapshot = created(&session.gaib("server snapshot create").await);
    // One write that no backup has, and a plan of it. The server does not change.
    done(&session.gaib("server state mv role.fedaykin role.sardaukar").await);
    done(&session.gaib("server plan --out moved.plan").await);
    let path = session.folder.path().join(STATE);
    for (restore, is_damaged) in [
        (format!("server backup restore {backup} -f"), false),
        (format!("server backup restore {backup} -f"), true),
        (format!("server snapshot restore {snapshot} -f"), false),
    ] {
        match is_damaged {
            true => std::fs::write(&path, "{").unwrap(),
            false => std::fs::remove_file(&path).unwrap(),
        }
        done(&session.gaib(&restore).await);
        let sent = writes(&session);
        refused(&session.gaib("server apply moved.plan").await, &["the plan is stale"]);
        assert_eq!(writes(&session), sent, "{restore}");
    }
    // A restore of the whole server after the loss of its state, too.
    let lost = state(&session);
    std::fs::remove_file(&path).unwrap();
    wreck(&session).await;
    done(
        &session
            .gaib(&format!("server snapshot restore {snapshot} --apply -f"))
            .await,
    );
    assert!(state(&session)["serial"].as_u64() > lost["serial"].as_u64(), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_catalogue_is_made_again_also_without_a_state() {
    let mut session = managed().await;
    let id = created(&session.gaib("server backup create").await);
    let whole = state(&session);
    let folder = session.folder.path().to_owned();
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3_600);
    for object in objects(&session) {
        let path = folder.join(".gaib/backups").join(object);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    std::fs::remove_dir_all(folder.join(".gaib/backups/.catalogue")).unwrap();
    std::fs::remove_file(folder.join(STATE)).unwrap();
    let create = session.gaib("server backup create").await;
    refused(&create, &["Listed the backup", &id, "is missing"]);
    done(&session.gaib(&format!("server backup restore {id} -f")).await);
    assert_eq!(state(&session)["resources"], whole["resources"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_of_another_state_or_server_is_refused() {
    let mut session = managed().await;
    let id = created(&session.gaib("server backup create").await);
    let mut other = state(&session);
    other["lineage"] = "6a8c9c1e-0000-4000-8000-000000000001".into();
    let text = serde_json::to_string(&other).unwrap();
    std::fs::write(session.folder.path().join(STATE), text).unwrap();
    let restored = session.gaib(&format!("server backup restore {id} -f")).await;
    refused(&restored, &["lineage", "nothing was restored"]);
    assert_eq!(state(&session), other);

    for line in ["show", "restore -f", "delete -f", "verify"] {
        let (command, option) = line.split_once(' ').unwrap_or((line, ""));
        let unknown = session
            .gaib(&format!("server backup {command} {UNKNOWN} {option}"))
            .await;
        refused(&unknown, &["there is no backup", "gaib server backup list"]);
    }
    for wrong in ["7", "4ebe6", "newest"] {
        refused(
            &session.gaib(&format!("server backup show {wrong}")).await,
            &["invalid value", "looks like", "gaib server backup list"],
        );
    }
    let snapshot = created(&session.gaib("server snapshot create").await);
    for (line, way) in [
        (
            format!("server backup restore {snapshot} -f"),
            format!("`gaib server snapshot restore {snapshot}`"),
        ),
        (
            format!("server snapshot restore {id} -f"),
            format!("`gaib server backup restore {id}`"),
        ),
    ] {
        refused(&session.gaib(&line).await, &["there is no", &way]);
    }
    let line = format!("server backup show {id} --guild 1200000000000000999");
    assert_eq!(session.gaib(&line).await.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_is_found_by_the_beginning_of_its_id_and_as_the_newest() {
    let mut session = managed().await;
    refused(
        &session.gaib("server backup show latest").await,
        &["workspace default has no backup", "gaib server backup list"],
    );
    let first = created(&session.gaib("server backup create -m first").await);
    let second = created(&session.gaib("server backup create -m second").await);
    let snapshot = created(&session.gaib("server snapshot create").await);
    let short = &first[..8];
    for line in ["show", "verify", "restore --dry-run"] {
        let (command, option) = line.split_once(' ').unwrap_or((line, ""));
        let outcome = session.gaib(&format!("server backup {command} {short} {option}")).await;
        printed(&outcome, &[&first]);
        let newest = session.gaib(&format!("server backup {command} latest {option}")).await;
        printed(&newest, &["The newest backup of workspace default is", &second]);
        assert!(!newest.stdout.contains(&first), "{}", newest.stdout);
    }
    printed(
        &session
            .gaib(&format!("server snapshot compare {} latest", &snapshot[..6]))
            .await,
        &["The newest snapshot of server"],
    );
    refused(
        &session.gaib(&format!("server snapshot verify {short}")).await,
        &["there is no snapshot", "a backup", "gaib server backup"],
    );
    refused(
        &session.gaib("server backup show 000000").await,
        &["there is no backup with an id that begins with `000000`"],
    );

    // Another record whose id begins as that of the first.
    let records = path_of_records(&session);
    let record = visible(&records)
        .into_iter()
        .find(|path| path.to_str().unwrap().contains(&first))
        .unwrap();
    let other = format!("{}-0000-4000-8000-000000000000", &first[..8]);
    let copy = record.to_str().unwrap().replace(&first, &other);
    std::fs::copy(&record, &copy).unwrap();
    forge(Path::new(&copy), |content| content["id"] = other.clone().into());
    for line in ["show", "delete -f", "restore -f"] {
        let (command, option) = line.split_once(' ').unwrap_or((line, ""));
        let ambiguous = session
            .gaib(&format!("server backup {command} {} {option}", &first[..6]))
            .await;
        refused(
            &ambiguous,
            &["the ids of 2 backups begin with", &first, &other, "add characters"],
        );
    }
    std::fs::remove_file(&copy).unwrap();
    let deleted = session
        .answering(&format!("server backup delete {short}"), Some("yes\n"))
        .await;
    printed(&deleted, &[&format!("Deleted backup {first}")]);
    refused(
        &session.gaib(&format!("server backup show {short}")).await,
        &["there is no backup"],
    );
}

/// The folder of the records of backups in the catalogue.
fn path_of_records(session: &Session) -> PathBuf {
    let folder = session.folder.path().join(".gaib/backups/.catalogue/records");
    folder.join(GUILD).join("backup")
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_stdin_is_one_error_that_names_the_option_and_repeats_no_question() {
    let mut session = managed().await;
    let id = created(&session.gaib("server backup create").await);
    let snapshot = created(&session.gaib("server snapshot create").await);
    session.write("discord-server.yaml", CHANGED);
    for (line, question, option) in [
        (
            "server apply".to_owned(),
            "Do you want to make these changes",
            "--auto-approve",
        ),
        (
            "server destroy".to_owned(),
            "Do you really want to delete all",
            "--auto-approve",
        ),
        (
            format!("server backup delete {id}"),
            "Do you really want to delete the backup",
            "--force (-f)",
        ),
        (
            format!("server snapshot delete {snapshot}"),
            "Do you really want to delete the snapshot",
            "--force (-f)",
        ),
    ] {
        // From a device without content, and from a pipe that is closed at once.
        for answer in [None, Some("")] {
            let outcome = session.answering(&line, answer).await;
            refused(&outcome, &["error: No answer was read: stdin is closed.\n", option]);
            for text in [question, "Only `yes`", "No answer"] {
                assert_eq!(outcome.stderr.matches(text).count(), 1, "{line}: {}", outcome.stderr);
            }
        }
        // Where no question is printed before, the error has it.
        let outcome = session.gaib(&format!("{line} --input=false")).await;
        refused(&outcome, &[question, option]);
        assert_eq!(
            outcome.stderr.matches(question).count(),
            1,
            "{line}: {}",
            outcome.stderr
        );
    }
    done(&session.gaib(&format!("server backup show {id}")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_backup_is_that_of_the_workspace() {
    let mut session = managed().await;
    let own = created(&session.gaib("server backup create").await);
    let elsewhere = state(&session);
    done(&session.gaib("server workspace new staging").await);
    let folder = session.folder.path().join(".gaib/workspaces/staging");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("state.json"), elsewhere.to_string()).unwrap();
    let line = format!("server backup create --workspace staging --guild {GUILD}");
    let other = created(&session.gaib(&line).await);
    for (workspace, id) in [("default", &own), ("staging", &other)] {
        let line = format!("server backup show latest --workspace {workspace} --guild {GUILD}");
        printed(
            &session.gaib(&line).await,
            &[&format!("The newest backup of workspace {workspace} is {id}")],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_to_back_up_before_the_first_apply() {
    let mut session = unmanaged().await;
    refused(
        &session.gaib("server backup create").await,
        &["has no state to back up", "gaib server apply"],
    );
    printed(&session.gaib("server backup list").await, &["has no backups"]);
    assert!(objects(&session).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn list_has_twenty_entries_unless_another_number_is_given() {
    let mut session = managed().await;
    for _ in 0..21 {
        created(&session.gaib("server backup create").await);
    }
    let listed = session.gaib("server backup list").await;
    printed(&listed, &["There are more than 20", "--limit NUMBER"]);
    assert_eq!(listed.stdout.lines().count(), 21);
    let all = session.gaib("server backup list --limit 30").await;
    assert_eq!((all.stdout.lines().count(), all.stderr.as_str()), (22, ""));
    let json = session.gaib("server backup list --json").await;
    let summary = of_type(&json, "list_summary").remove(0);
    assert_eq!((&summary["listed"], &summary["more"]), (&json!(20), &json!(true)));
    assert_eq!(of_type(&json, "backup").len(), 20);
    refused(&session.gaib("server backup list --limit 0").await, &["--limit"]);
}

/// Text that cannot be compressed to less than half.
fn incompressible(length: usize) -> String {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        text.push_str(&format!("{seed:016x}"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_of_more_than_ten_megabytes_is_stored_with_a_warning() {
    let mut session = managed().await;
    let small = session.gaib("server backup create").await;
    assert!(!small.stderr.contains("warning"), "{}", small.stderr);
    let text = session.read(STATE).replace("The harvest", &incompressible(24_000_000));
    std::fs::write(session.folder.path().join(STATE), text).unwrap();
    let large = session.gaib("server backup create").await;
    printed(&large, &["warning", "more than 10.0 MB", "MB)"]);
    let json = session.gaib("server backup list --json").await;
    let is_large: Vec<Value> = of_type(&json, "backup")
        .iter()
        .map(|one| one["large"].clone())
        .collect();
    assert_eq!(is_large, [json!(true), json!(false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_writes_messages_with_json() {
    let mut session = managed().await;
    let made = session.gaib("server backup create -m one --json").await;
    let backup = of_type(&made, "backup").remove(0);
    assert_eq!((&backup["message"], &backup["kind"]), (&"one".into(), &"backup".into()));
    let id = backup["id"].as_str().unwrap().to_owned();
    let shown = session.gaib(&format!("server backup show {id} --json")).await;
    assert!(of_type(&shown, "backup")[0]["object"].is_string());
    let verified = session.gaib("server backup verify --all --json").await;
    assert_eq!(of_type(&verified, "verify_summary")[0]["whole"], 1);
    session.write("discord-server.yaml", CHANGED);
    done(&session.gaib("server apply --auto-approve").await);
    let asked = session.gaib(&format!("server backup restore {id} --json")).await;
    assert_eq!(asked.code, 1);
    assert_eq!(of_type(&asked, "diagnostic").len(), 1);
    let restored = session.gaib(&format!("server backup restore {id} --json -f")).await;
    done(&restored);
    assert!(!of_type(&restored, "difference").is_empty());
    assert_eq!(of_type(&restored, "restored")[0]["changed"], true);
    let deleted = session.gaib(&format!("server backup delete {id} --json -f")).await;
    assert_eq!(of_type(&deleted, "deleted")[0]["id"], id.as_str());
    assert!(exists(&session, STATE));
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_the_environment_is_used_and_an_invalid_one_is_named() {
    let mut session = managed().await;
    let folder = session.folder.path().canonicalize().unwrap().join("elsewhere");
    session.environment("BACKUP_STORE", Some(&format!("file://{}", folder.display())));
    let made = session.gaib("server backup create").await;
    let id = created(&made);
    // A mistyped path would be a new folder, too.
    let note = format!("The folder of BACKUP_STORE, {}, did not exist", folder.display());
    assert!(made.stderr.contains(&note), "{}", made.stderr);
    let again = session.gaib("server backup create").await;
    assert!(!again.stderr.contains("did not exist"), "{}", again.stderr);
    assert!(folder.join(".catalogue").is_dir() && !exists(&session, ".gaib/backups"));
    done(&session.gaib(&format!("server backup verify {id}")).await);
    session.environment("BACKUP_STORE", Some("elsewhere"));
    refused(&session.gaib("server backup list").await, &["BACKUP_STORE", "file://"]);
    session.environment("BACKUP_STORE", Some("s3://gaib-backups-123456789012"));
    session.environment("AWS_EC2_METADATA_DISABLED", Some("true"));
    let without_region = session.gaib("server backup list").await;
    refused(&without_region, &["the backups cannot be used"]);
    session.environment("BACKUP_STORE", None);
    std::fs::write(session.state_home().join("gaib/backup-signing-key.pem"), "not a key").unwrap();
    let unusable = session.gaib("server backup list").await;
    refused(
        &unusable,
        &[
            "the backups cannot be used",
            "backup-signing-key.pem",
            "set BACKUP_SIGNING_KEY",
        ],
    );
    assert!(!unusable.stderr.contains("BACKUP_STORE"), "{}", unusable.stderr);
}

/// Empties the folder of the session, also of the records of this user about it, but not of the signing key.
fn lose_folder(session: &Session) {
    let folder = session.folder.path();
    std::fs::remove_dir_all(folder.join(".gaib")).unwrap();
    std::fs::remove_file(folder.join("discord-server.yaml")).unwrap();
    std::fs::remove_dir_all(session.state_home().join("gaib/servers")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_folder_gets_back_with_its_configuration() {
    let mut session = managed().await;
    let folder = session.folder.path().canonicalize().unwrap();
    session.environment("BACKUP_STORE", Some(&format!("file://{}/elsewhere", folder.display())));
    let id = created(&session.gaib("server snapshot create").await);
    let addresses = session.gaib("server state ls").await.stdout;
    let sent = writes(&session);
    lose_folder(&session);
    done(&session.gaib(&format!("server init --guild {GUILD}")).await);
    done(&session.gaib(&format!("server snapshot restore {id} -f")).await);
    assert_eq!(session.gaib("server state ls").await.stdout, addresses);
    let warning = "the configuration does not have 5 of the 5 resources";
    for line in ["server plan", "server apply --input=false"] {
        let planned = session.gaib(line).await;
        assert!(planned.stderr.contains(warning), "{line}: {}", planned.stderr);
        assert!(
            planned.stderr.contains("snapshot download"),
            "{line}: {}",
            planned.stderr
        );
    }
    done(&session.gaib(&format!("server snapshot download {id} -o copy")).await);
    std::fs::copy(folder.join("copy/config.yaml"), folder.join("discord-server.yaml")).unwrap();
    std::fs::rename(folder.join("copy/images"), folder.join("images")).unwrap();
    done(&session.gaib("server import --all").await);
    let planned = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(planned.code, 0, "{}{}", planned.stdout, planned.stderr);
    assert!(
        !planned.stderr.contains("the configuration does not have"),
        "{}",
        planned.stderr
    );
    assert_eq!(writes(&session), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_of_a_server_are_stored_listed_and_validated() {
    let mut session = managed().await;
    choose_channels(&session).await;
    let none = session.gaib("server export --list").await;
    printed(&none, &["has no exports", ".gaib/backups/", "--backup"]);
    let stored = session.gaib("server export --backup").await;
    printed(&stored, &["Saved a complete copy to", "Keep this file"]);
    assert_eq!(stored.stdout, "", "the copy is the only result");
    let listed = session.gaib("server export --list").await;
    printed(&listed, &["CREATED", "config."]);
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
    let json = session.gaib("server export --list --json").await;
    let export = of_type(&json, "export").remove(0);
    let file = export["file"].as_str().unwrap();
    assert!(listed.stdout.contains(file), "{}", listed.stdout);
    let text = session.read(file);
    assert!(text.contains("Old Guard") && text.contains("images/"), "{text}");
    done(&session.gaib(&format!("server validate --file {file}")).await);
}
