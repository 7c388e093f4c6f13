//! States in a store that several folders or machines share.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use arrakis_test_support::Moto;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;

use crate::gate::{Gate, Strike, places};
use crate::session::{GUILD, Outcome, Session, exists};

const ONE_ROLE: &str = "roles:\n  guard: { name: Guard }\n";
const TWO_ROLES: &str = "roles:\n  guard: { name: Guard }\n  judge: { name: Judge }\n";

#[track_caller]
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

#[track_caller]
fn assert_done(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
}

fn store(session: &Session) -> PathBuf {
    session.folder.path().canonicalize().unwrap().join("shared")
}

/// Names the shared store in the `.gaib/config.yaml` of a folder.
fn share(session: &Session, folder: &Path) {
    let path = folder.join(".gaib/config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let backend = format!("backend: {{ type: folder, path: {} }}\n", store(session).display());
    std::fs::write(path, text + &backend).unwrap();
}

/// A session whose folder has the shared store and manages a role of the server.
async fn applied() -> Session {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    share(&session, session.folder.path());
    session.write("discord-server.yaml", ONE_ROLE);
    assert_done(&session.gaib("server apply --auto-approve").await);
    session
}

/// Another folder with the same store and configuration.
async fn second_folder(session: &Session) -> PathBuf {
    let folder = session.folder.path().join("second");
    std::fs::create_dir(&folder).unwrap();
    let made = session.gaib_in(&folder, &format!("server init --guild {GUILD}")).await;
    assert_done(&made);
    assert!(
        made.stderr.contains("managed by workspace default in"),
        "{}",
        made.stderr
    );
    share(session, &folder);
    std::fs::write(folder.join("discord-server.yaml"), ONE_ROLE).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn two_folders_share_state_and_workspaces() {
    let mut session = applied().await;
    assert!(store(&session).join("workspaces/default/state.json").exists());
    assert!(!exists(&session, ".gaib/workspaces/default/state.json"));
    let second = second_folder(&session).await;
    let same = session.gaib_in(&second, "server plan --detailed-exitcode").await;
    assert_done(&same);
    std::fs::write(second.join("discord-server.yaml"), TWO_ROLES).unwrap();
    assert_done(&session.gaib_in(&second, "server apply --auto-approve").await);
    session.write("discord-server.yaml", TWO_ROLES);
    assert_done(&session.gaib("server plan --detailed-exitcode").await);
    assert_eq!(session.gaib("server state ls").await.stdout, "role.guard\nrole.judge\n");
    let previous = session.gaib("server state pull --previous").await.stdout;
    assert!(
        previous.contains("role.guard") && !previous.contains("role.judge"),
        "{previous}"
    );

    assert_done(&session.gaib("server workspace new staging").await);
    let listed = session.gaib_in(&second, "server workspace ls").await.stdout;
    assert!(listed.contains("* default") && listed.contains("  staging"), "{listed}");
    assert_done(&session.gaib("server workspace select default").await);
    assert_done(&session.gaib_in(&second, "server workspace delete staging").await);
    assert!(!session.gaib("server workspace ls").await.stdout.contains("staging"));
    assert_done(&session.gaib_in(&second, "server destroy --auto-approve").await);
    assert_eq!(session.gaib("server state ls").await.stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_of_another_machine_is_shown_and_removed_by_force_unlock_alone() {
    let mut session = applied().await;
    let second = second_folder(&session).await;
    let locked = session.gaib("server lock --reason maintenance").await;
    assert_done(&locked);
    let refused = session.gaib_in(&second, "server apply --auto-approve").await;
    assert_refused(&refused, &["is locked", "maintenance", "gaib server unlock"]);
    assert_done(&session.gaib_in(&second, "server unlock").await);

    // An operation of another machine that was killed.
    let left = r#"{"id": "7", "who": "jamis", "host": "carthag", "operation": "apply", "since": "2026-11-21T10:00:00Z", "process": 42}"#;
    let place = store(&session).join("workspaces/default/lock.json");
    std::fs::write(&place, left).unwrap();
    for line in [
        "server apply --auto-approve",
        "server destroy --auto-approve",
        "server import --all",
    ] {
        assert_refused(&session.gaib(line).await, &["jamis on carthag", "force-unlock 7"]);
    }
    assert_done(&session.gaib("server plan").await);
    assert_refused(&session.gaib("server unlock 7").await, &["belongs to an operation"]);
    assert_refused(&session.gaib("server force-unlock 8 --force").await, &["7", "8"]);
    assert_done(&session.gaib("server force-unlock 7 --force").await);
    assert!(!place.exists());
    assert_done(&session.gaib("server apply --auto-approve").await);
    // No lock stays after an operation, also after one that failed.
    session.write("discord-server.yaml", "roles:\n  guard: { name: \"\" }\n");
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 1);
    assert!(!place.exists());
    let server_locks = store(&session).join("servers");
    assert_eq!(locks_below(&server_locks), 0);
}

fn locks_below(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => locks_below(&path),
            false => usize::from(path.file_name().is_some_and(|name| name == "lock.json")),
        }
    };
    entries.map(count).sum()
}

/// Starts a command and sends it a signal at its prompt. Its stdin stays open, so that only the signal ends the prompt.
async fn stopped_at_prompt(session: &Session, line: &str, signal: Signal) -> Outcome {
    let mut command = session.command(line);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let mut stderr = child.stderr.take().unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("is accepted: ") {
        let read = stderr.read_buf(&mut text).await.unwrap();
        assert!(read > 0, "no prompt: {}", String::from_utf8_lossy(&text));
    }
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), signal).unwrap();
    stderr.read_to_end(&mut text).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    drop(stdin);
    Outcome {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(text).unwrap(),
        code: output.status.code().unwrap_or_else(|| panic!("{:?}", output.status)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_at_a_confirmation_releases_all_locks() {
    let mut session = applied().await;
    let snapshot = session.gaib("server snapshot create --json").await;
    assert_done(&snapshot);
    let messages = snapshot.stdout.lines().map(serde_json::from_str::<serde_json::Value>);
    let mut snapshots = messages
        .map(Result::unwrap)
        .filter(|message| message["type"] == "snapshot");
    let id = snapshots.next().unwrap()["id"].as_str().unwrap().to_owned();
    session.write("discord-server.yaml", TWO_ROLES.replace("Guard", "Warden").as_str());
    assert_done(&session.gaib("server apply --auto-approve").await);
    session.write("discord-server.yaml", ONE_ROLE);
    let backup = session.gaib("server backup create --json").await;
    assert_done(&backup);
    let messages = backup.stdout.lines().map(serde_json::from_str::<serde_json::Value>);
    let mut backups = messages
        .map(Result::unwrap)
        .filter(|message| message["type"] == "backup");
    let backup = backups.next().unwrap()["id"].as_str().unwrap().to_owned();
    let restore = format!("server snapshot restore {id} --apply");
    // Their questions precede each lock.
    let unlocked = [
        format!("server snapshot restore {id}"),
        format!("server snapshot delete {id}"),
        format!("server backup delete {backup}"),
        "server state migrate --to local".to_owned(),
    ];
    for (line, signal) in [
        ("server apply", Signal::SIGINT),
        (unlocked[0].as_str(), Signal::SIGINT),
        (unlocked[1].as_str(), Signal::SIGTERM),
        (unlocked[2].as_str(), Signal::SIGHUP),
        (unlocked[3].as_str(), Signal::SIGINT),
        ("server apply", Signal::SIGTERM),
        ("server destroy", Signal::SIGHUP),
        (restore.as_str(), Signal::SIGINT),
    ] {
        let stopped = stopped_at_prompt(&session, line, signal).await;
        assert_refused(
            &stopped,
            &["Stopping after the request", "Cancelled: nothing was changed"],
        );
        assert_eq!(locks_below(&store(&session)), 0, "{line}: {stopped:?}");
    }
    assert_eq!(session.gaib("server state ls").await.stdout, "role.guard\nrole.judge\n");
    assert_done(&session.gaib("server apply --auto-approve").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_of_two_applies_at_once_changes_the_server() {
    let mut session = applied().await;
    let second = second_folder(&session).await;
    for folder in [session.folder.path().to_owned(), second.clone()] {
        std::fs::write(folder.join("discord-server.yaml"), TWO_ROLES).unwrap();
    }
    let first_folder = session.folder.path().to_owned();
    let line = "server apply --auto-approve";
    let (one, other) = tokio::join!(session.gaib_in(&first_folder, line), session.gaib_in(&second, line));
    for outcome in [&one, &other] {
        assert!(
            outcome.code == 0 || outcome.stderr.contains("is locked") || outcome.stderr.contains("is being changed"),
            "{outcome:?}"
        );
    }
    assert!(one.code == 0 || other.code == 0, "{one:?} {other:?}");
    let export = session.gaib("server export --include-unmanaged").await.stdout;
    assert_eq!(export.matches("name: Judge").count(), 1, "{export}");
    assert_done(&session.gaib("server plan --detailed-exitcode").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_of_a_shared_store_is_refused_elsewhere() {
    let mut session = applied().await;
    // Another workspace of the same store.
    assert_done(&session.gaib("server workspace new staging").await);
    let line = format!("server apply --workspace staging --guild {GUILD} --auto-approve");
    assert_refused(
        &session.gaib(&line).await,
        &["workspace default", "--workspace default"],
    );
    assert_done(&session.gaib("server workspace select default").await);
    // A folder with a local state.
    let local = session.folder.path().join("local");
    std::fs::create_dir(&local).unwrap();
    assert_done(&session.gaib_in(&local, &format!("server init --guild {GUILD}")).await);
    std::fs::write(local.join("discord-server.yaml"), ONE_ROLE).unwrap();
    let refused = session.gaib_in(&local, "server apply --auto-approve").await;
    assert_refused(&refused, &["managed by workspace default in", "state pull"]);
    // The advice works: the state moves into the local folder, and the shared one is the older copy then.
    let first = session.folder.path().canonicalize().unwrap().display().to_string();
    let moved = session
        .gaib_in(&local, &format!("-C {first} server state pull --workspace default"))
        .await;
    std::fs::write(local.join("moved.json"), &moved.stdout).unwrap();
    assert_done(
        &session
            .gaib_in(&local, "server state push moved.json --workspace default")
            .await,
    );
    assert_done(&session.gaib_in(&local, "server plan --detailed-exitcode").await);
    assert_refused(&session.gaib("server apply --auto-approve").await, &["old copy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn states_are_migrated_and_verified() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    for text in [ONE_ROLE, TWO_ROLES] {
        session.write("discord-server.yaml", text);
        assert_done(&session.gaib("server apply --auto-approve").await);
    }
    assert_done(&session.gaib("server workspace new staging").await);
    assert_done(&session.gaib("server workspace select default").await);
    let before = session.gaib("server state pull").await.stdout;
    let earlier = session.gaib("server state pull --previous").await.stdout;
    let to = format!("server state migrate --to file://{}", store(&session).display());
    assert_refused(&session.gaib(&format!("{to} --input=false")).await, &["--auto-approve"]);
    let moved = session.gaib(&format!("{to} --auto-approve")).await;
    assert_done(&moved);
    assert!(moved.stdout.contains("Moved workspace default to"), "{}", moved.stdout);
    assert!(session.read(".gaib/config.yaml").contains("backend:"));
    assert!(!exists(&session, ".gaib/workspaces/default/state.json"));
    assert_eq!(former_states(&session), 1);
    for (line, expected) in [
        ("server state pull", &before),
        ("server state pull --previous", &earlier),
    ] {
        assert_eq!(session.gaib(line).await.stdout, *expected, "{line}");
    }
    assert_done(&session.gaib("server plan --detailed-exitcode").await);
    assert!(session.gaib("server workspace ls").await.stdout.contains("staging"));
    let again = session.gaib(&format!("{to} --auto-approve")).await;
    assert_done(&again);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    session.environment("GAIB_BACKEND", Some("local"));
    let back = "server state migrate --to local --auto-approve";
    assert_refused(&session.gaib(back).await, &["GAIB_BACKEND"]);
    session.environment("GAIB_BACKEND", None);
    assert_done(&session.gaib(back).await);
    assert!(!session.read(".gaib/config.yaml").contains("backend:"));
    assert_eq!(session.gaib("server state pull").await.stdout, before);
    assert_done(&session.gaib("server apply --auto-approve").await);
    assert_eq!(locks_below(&store(&session)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_that_is_killed_after_any_effect_is_completed_by_the_next_one() {
    let moto = Moto::start(1_000).await;
    moto.create_bucket("gaib-states").await;
    let gate = Gate::in_front_of(moto.url()).await;
    let mut session = Session::start().await;
    for (name, value) in [
        ("AWS_ENDPOINT_URL", gate.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ] {
        session.environment(name, Some(value));
    }
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    assert_done(&session.gaib("server apply --auto-approve").await);
    let migrate = |name: &str| format!("server state migrate --to s3://gaib-states/{name} --auto-approve");
    for name in ["one", "two"] {
        assert_done(&session.gaib(&migrate(name)).await);
    }
    gate.watch(None);
    assert_done(&session.gaib(&migrate("one")).await);
    let run = gate.seen();
    let (mut former, mut name) = ("one", "two");
    let mut killed = 0;
    for place in places(Strike::After, &run) {
        let seen = gate.kill(&session, &migrate(name), "", place).await;
        let context = format!("{place} to {name}: {seen:?}");
        let again = session.gaib(&migrate(name)).await;
        assert_eq!(again.code, 0, "{context}: {again:?}");
        assert!(!exists(&session, ".gaib/migration.json"), "{context}");
        // The former backend has no state. The next round takes the locks of both.
        for (backend, managed) in [(name, true), (former, false)] {
            session.environment("GAIB_BACKEND", Some(&format!("s3://gaib-states/{backend}")));
            let listed = session.gaib("server state ls").await.stdout;
            assert_eq!(listed.contains("role.guard"), managed, "{context}: {listed}");
        }
        session.environment("GAIB_BACKEND", None);
        (former, name) = (name, former);
        if seen.is_none() {
            break;
        }
        killed += 1;
    }
    assert!(killed > 10, "{killed} of {}", run.len());
    assert_done(&session.gaib("server apply --auto-approve").await);
}

fn former_states(session: &Session) -> usize {
    let folder = session.folder.path().join(".gaib/workspaces/default");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("state.json.migrated-")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_to_another_state_is_refused_and_changes_nothing() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    assert_done(&session.gaib("server apply --auto-approve").await);
    let own = session.gaib("server state pull").await.stdout;
    let state: serde_json::Value = serde_json::from_str(&own).unwrap();
    let mut other_lineage = state.clone();
    other_lineage["lineage"] = "another".into();
    let mut newer = state;
    newer["serial"] = 1_000.into();
    let target = store(&session).join("workspaces/default/state.json");
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    let line = format!(
        "server state migrate --to file://{} --auto-approve",
        store(&session).display()
    );
    for (present, reason) in [
        (other_lineage.to_string(), "lineage"),
        (newer.to_string(), "serial"),
        ("{".to_owned(), "could not read"),
    ] {
        std::fs::write(&target, &present).unwrap();
        assert_refused(&session.gaib(&line).await, &[reason]);
        assert_eq!(std::fs::read_to_string(&target).unwrap(), present);
        assert!(!session.read(".gaib/config.yaml").contains("backend:"));
        assert_eq!(session.gaib("server state pull").await.stdout, own);
    }
    assert_eq!(locks_below(&store(&session)), 0);
    assert_done(&session.gaib("server plan --detailed-exitcode").await);
    for (to, reason) in [("s3://", "--to"), ("nowhere", "s3://BUCKET/PREFIX")] {
        assert_refused(
            &session.gaib(&format!("server state migrate --to {to}")).await,
            &[reason],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_backend_is_an_error_with_advice() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let config = session.read(".gaib/config.yaml");
    session.write(".gaib/config.yaml", &format!("{config}backend: {{ type: s3 }}\n"));
    assert_refused(
        &session.gaib("server state ls").await,
        &["requires `bucket`", "backend: { type: s3, bucket: NAME"],
    );
    session.write(".gaib/config.yaml", &config);
    session.environment("GAIB_BACKEND", Some("ftp://states"));
    assert_refused(
        &session.gaib("server state ls").await,
        &["GAIB_BACKEND", "s3://BUCKET/PREFIX"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn states_in_a_bucket_are_shared_with_locks_in_the_bucket_and_in_a_table() {
    let moto = Moto::start(100).await;
    create_bucket_and_table(&moto).await;
    let mut session = Session::start().await;
    for (name, value) in [
        ("AWS_ENDPOINT_URL", moto.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ] {
        session.environment(name, Some(value));
    }
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    assert_done(&session.gaib("server apply --auto-approve").await);
    let moved = session
        .gaib("server state migrate --to s3://gaib-states/production --auto-approve")
        .await;
    assert_done(&moved);
    assert!(
        moved
            .stdout
            .contains("s3://gaib-states/production/workspaces/default/state.json"),
        "{}",
        moved.stdout
    );
    session.write("discord-server.yaml", TWO_ROLES);
    assert_done(&session.gaib("server apply --auto-approve").await);
    for table in [None, Some("gaib-locks")] {
        session.environment("GAIB_LOCK_TABLE", table);
        assert_done(&session.gaib("server lock --reason maintenance").await);
        assert_refused(
            &session.gaib("server apply --auto-approve").await,
            &["is locked", "maintenance"],
        );
        assert_done(&session.gaib("server unlock").await);
        assert_done(&session.gaib("server plan --detailed-exitcode").await);
    }
    session.environment("GAIB_LOCK_TABLE", None);
    assert_done(&session.gaib("server destroy --auto-approve").await);
    assert_done(&session.gaib("server state migrate --to local --auto-approve").await);
    session.environment("GAIB_BACKEND", Some("s3://no-such-bucket"));
    assert_refused(
        &session.gaib("server state ls").await,
        &["no-such-bucket", "does not exist"],
    );
}

async fn create_bucket_and_table(moto: &Moto) {
    moto.create_bucket("gaib-states").await;
    let table = serde_json::json!({
        "TableName": "gaib-locks",
        "AttributeDefinitions": [{"AttributeName": "LockID", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "LockID", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    moto.dynamo("CreateTable", &table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_record_of_a_lock_is_removed_by_force_unlock() {
    let mut session = applied().await;
    let place = store(&session).join("workspaces/default/lock.json");
    std::fs::write(&place, "{\"id\"").unwrap();
    session.write("discord-server.yaml", TWO_ROLES);
    assert_refused(
        &session.gaib("server apply --auto-approve").await,
        &["lock.json", "cannot be read", "gaib server force-unlock damaged"],
    );
    let removed = session.gaib("server force-unlock damaged --force").await;
    assert_done(&removed);
    assert!(
        removed.stdout.contains("Removed workspaces/default/lock.json"),
        "{removed:?}"
    );
    assert_refused(
        &session.gaib("server force-unlock damaged --force").await,
        &["is not locked"],
    );
    assert_done(&session.gaib("server apply --auto-approve").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_that_is_repeated_after_a_kill_warns_of_the_lock_that_stays() {
    let mut session = applied().await;
    let made = session.gaib("server backup create").await;
    assert_done(&made);
    let id = made.stdout.split_whitespace().nth(2).unwrap().to_owned();
    // A restore that was killed after it wrote the state.
    let left = r#"{"id": "7", "who": "jamis", "host": "carthag", "operation": "restore", "since": "2026-11-21T10:00:00Z", "process": 42}"#;
    let place = store(&session).join("workspaces/default/lock.json");
    std::fs::write(&place, left).unwrap();
    let again = session.gaib(&format!("server backup restore {id} -f")).await;
    assert_done(&again);
    assert!(again.stdout.contains("nothing was changed"), "{again:?}");
    assert!(
        again.stderr.contains("is locked: restore by jamis on carthag") && again.stderr.contains("force-unlock 7"),
        "{again:?}"
    );
}
