//! Damaged and missing states: they are not replaced by a new state, and each suggested command works.

use std::fs;
use std::path::PathBuf;

use crate::session::{GUILD, Outcome, Session, exists};

const TWO_ROLES: &str = "roles:\n  guard: { name: Guard }\n  naib: { name: Naib }\n";
const STATE: &str = ".gaib/workspaces/default/state.json";

#[track_caller]
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

fn path(session: &Session, name: &str) -> PathBuf {
    session.folder.path().join(name)
}

/// A session with two managed roles, and a copy of the state in `copy.json`.
async fn managed() -> Session {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", TWO_ROLES);
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    fs::copy(path(&session, STATE), path(&session, "copy.json")).unwrap();
    session
}

async fn roles_of_the_server(session: &mut Session) -> usize {
    let elsewhere = path(session, "elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    let export = format!("server export --include-unmanaged --guild {GUILD}");
    let export = session.gaib_in(&elsewhere, &export).await.stdout;
    export.matches("name: Guard").count() + export.matches("name: Naib").count()
}

/// Commands that need the state.
const STATE_COMMANDS: [&str; 12] = [
    "server plan",
    "server plan --out x.plan",
    "server diff",
    "server apply --auto-approve",
    "server apply --refresh-only --auto-approve",
    "server destroy --auto-approve",
    "server import role.guard 1200000000000000111",
    "server state ls",
    "server state show role.guard",
    "server state rm role.guard",
    "server state mv role.guard role.other",
    "server state pull",
];

fn damages() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("truncated", b"{\"version\": 1, \"serial\"".to_vec()),
        ("not JSON", b"hello".to_vec()),
        ("not UTF-8", vec![0xff, 0xfe, 0, 0x80]),
        ("a later version", b"{\"version\": 99}".to_vec()),
        ("of another shape", b"{\"version\": 1, \"surprise\": true}".to_vec()),
        (
            "attributes of another kind",
            format!(
                "{{\"version\": 1, \"serial\": 3, \"lineage\": \"a\", \"guild_id\": \"{GUILD}\", \"resources\": {{\"channel.a\": \
                 {{\"id\": \"1200000000000000998\", \"attributes\": {{\"resource\": \"role\", \"name\": \"A\"}}}}}}}}"
            )
            .into_bytes(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_state_is_an_error_with_the_ways_to_restore_it() {
    let mut session = managed().await;
    for (what, bytes) in damages() {
        fs::write(path(&session, STATE), &bytes).unwrap();
        for line in STATE_COMMANDS {
            let refused = session.gaib(line).await;
            assert_refused(&refused, &["state.json", "server state push FILE", "import --all"]);
            // After one operation there is no backup.
            assert!(!refused.stderr.contains("backup"), "{what}, {line}: {}", refused.stderr);
        }
        assert_eq!(fs::read(path(&session, STATE)).unwrap(), bytes, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn push_replaces_a_damaged_state_and_renames_it() {
    for (what, bytes) in damages() {
        let mut session = managed().await;
        fs::write(path(&session, STATE), &bytes).unwrap();
        let refused = session.gaib("server state push copy.json").await;
        assert_refused(&refused, &["--force"]);
        assert_eq!(fs::read(path(&session, STATE)).unwrap(), bytes, "{what}");
        let pushed = match what.len() % 2 {
            0 => session.gaib("server state push copy.json --force").await,
            _ => session.answering("server state push copy.json", Some("yes\n")).await,
        };
        assert_eq!(pushed.code, 0, "{what}: {}", pushed.stderr);
        let kept = pushed
            .stderr
            .lines()
            .find(|line| line.starts_with("Renamed the damaged state to "));
        let kept = kept
            .unwrap_or_default()
            .trim_start_matches("Renamed the damaged state to ");
        let kept = kept.trim_end_matches('.');
        assert_eq!(
            fs::read(path(&session, kept)).unwrap(),
            bytes,
            "{what}: {}",
            pushed.stderr
        );
        let plan = session.gaib("server plan --detailed-exitcode").await;
        assert_eq!(plan.code, 0, "{what}: {plan:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readable_backup_is_suggested_and_can_be_pushed() {
    let mut session = managed().await;
    session.write(
        "discord-server.yaml",
        &TWO_ROLES.replace("name: Naib", "name: Naib, hoist: true"),
    );
    session.gaib("server apply --auto-approve").await;
    let backup = format!("{STATE}.backup");
    let before = fs::read(path(&session, &backup)).unwrap();
    fs::write(path(&session, STATE), "").unwrap();
    let refused = session.gaib("server plan").await;
    let advice = format!("`gaib server state push {backup}`");
    assert_refused(&refused, &[&advice, "2 resources"]);
    let pushed = session.gaib(&format!("server state push {backup} --force")).await;
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_eq!(
        fs::read(path(&session, &backup)).unwrap(),
        before,
        "the damaged state is not the backup"
    );
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(roles_of_the_server(&mut session).await, 2);
    // A damaged backup is not suggested.
    fs::write(path(&session, STATE), "").unwrap();
    fs::write(path(&session, &backup), "").unwrap();
    assert!(!session.gaib("server plan").await.stderr.contains("backup"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_in_place_of_the_state_is_replaced_by_push() {
    let mut session = managed().await;
    fs::remove_file(path(&session, STATE)).unwrap();
    fs::create_dir(path(&session, STATE)).unwrap();
    assert_refused(
        &session.gaib("server plan").await,
        &["state.json", "server state push FILE"],
    );
    let pushed = session.gaib("server state push copy.json --force").await;
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_state_is_an_error_in_every_command_that_needs_it() {
    let mut session = managed().await;
    fs::remove_file(path(&session, STATE)).unwrap();
    for line in STATE_COMMANDS {
        let refused = session.gaib(line).await;
        assert_refused(
            &refused,
            &[
                "the state of workspace default is missing",
                GUILD,
                "state push FILE",
                "import --all",
                "state release",
            ],
        );
        assert!(!refused.stderr.contains("backup"), "{line}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{line}");
    }
    assert!(!exists(&session, STATE) && !exists(&session, "x.plan"));
    assert_eq!(roles_of_the_server(&mut session).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_state_is_restored_by_each_alternative() {
    // A copy.
    let mut session = managed().await;
    fs::remove_file(path(&session, STATE)).unwrap();
    assert_eq!(session.gaib("server state push copy.json").await.code, 0);
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    // The backup.
    session.write(
        "discord-server.yaml",
        &TWO_ROLES.replace("name: Naib", "name: Naib, hoist: true"),
    );
    session.gaib("server apply --auto-approve").await;
    fs::remove_file(path(&session, STATE)).unwrap();
    let refused = session.gaib("server apply --auto-approve").await;
    assert_refused(&refused, &[&format!("`gaib server state push {STATE}.backup`")]);
    assert_eq!(session.gaib(&format!("server state push {STATE}.backup")).await.code, 0);
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    // An import, after the folder of all states was deleted.
    fs::remove_dir_all(path(&session, ".gaib/workspaces")).unwrap();
    assert_refused(&session.gaib("server apply --auto-approve").await, &["is missing"]);
    let imported = session.gaib("server import --all").await;
    assert!(imported.stdout.contains("2 imported, 2 managed"), "{imported:?}");
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    assert_eq!(roles_of_the_server(&mut session).await, 2);
    // The end of the ownership, after a confirmation.
    fs::remove_file(path(&session, STATE)).unwrap();
    assert_refused(&session.gaib("server state release").await, &["--force", "is missing"]);
    let released = session.answering("server state release", Some("yes\n")).await;
    assert_eq!(released.code, 0, "{released:?}");
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    assert_eq!(roles_of_the_server(&mut session).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_state_of_a_single_file_is_an_error() {
    let mut session = Session::start().await;
    session.write("f.yaml", TWO_ROLES);
    let line = format!("apply f.yaml --guild {GUILD} --auto-approve");
    assert_eq!(session.gaib(&line).await.code, 0);
    fs::remove_dir_all(path(&session, ".gaib")).unwrap();
    assert_refused(
        &session.gaib(&line).await,
        &["is missing", &format!("--workspace guild-{GUILD}")],
    );
    assert_eq!(roles_of_the_server(&mut session).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_with_a_missing_or_damaged_state_owns_the_server() {
    let session = managed().await;
    let second = path(&session, "second");
    fs::create_dir_all(&second).unwrap();
    session.gaib_in(&second, &format!("server init --guild {GUILD}")).await;
    fs::write(second.join("discord-server.yaml"), TWO_ROLES).unwrap();
    for condition in ["is missing", "cannot be read"] {
        match condition {
            "is missing" => fs::remove_file(path(&session, STATE)).unwrap(),
            _ => fs::write(path(&session, STATE), "{").unwrap(),
        }
        for line in ["server plan", "server apply --auto-approve", "server import --all"] {
            let refused = session.gaib_in(&second, line).await;
            assert_refused(
                &refused,
                &[condition, "state push FILE", &format!("state release --guild {GUILD}")],
            );
        }
    }
    let released = session
        .gaib_in(&second, &format!("server state release --guild {GUILD} --force"))
        .await;
    assert_eq!(released.code, 0, "{released:?}");
    assert_eq!(session.gaib_in(&second, "server import --all").await.code, 0);
    assert_eq!(
        session.gaib_in(&second, "server plan --detailed-exitcode").await.code,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn release_is_refused_for_a_readable_state() {
    let mut session = managed().await;
    assert_refused(
        &session.gaib("server state release --force").await,
        &["can be read", "state rm --all"],
    );
    session.gaib("server state rm --all").await;
    assert_eq!(session.gaib("server state release --force").await.code, 0);
    let nothing = session.gaib("server state release --force").await;
    assert!(
        nothing.code == 0 && nothing.stderr.contains("No workspace is recorded"),
        "{nothing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_marker_is_an_error_with_advice() {
    let mut session = managed().await;
    let markers = session.state_home().join("gaib/servers");
    let discord = fs::read_dir(&markers).unwrap().next().unwrap().unwrap().path();
    let marker = discord.join(GUILD).join("owner.json");
    for damaged in ["", "{", "{\"version\": 99}", "[]"] {
        fs::write(&marker, damaged).unwrap();
        for line in ["server plan", "server apply --auto-approve", "server import --all"] {
            let refused = session.gaib(line).await;
            assert_refused(&refused, &["owner.json", &format!("state release --guild {GUILD}")]);
        }
    }
    let released = session
        .gaib(&format!("server state release --guild {GUILD} --force"))
        .await;
    assert_eq!(released.code, 0, "{released:?}");
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_lock_record_is_an_error_with_advice() {
    let mut session = managed().await;
    let record = path(&session, ".gaib/workspaces/default/lock.json");
    for damaged in ["", "{", "[]"] {
        fs::write(&record, damaged).unwrap();
        for line in [
            "server apply --auto-approve",
            "server lock",
            "server unlock",
            "server force-unlock x --force",
        ] {
            assert_refused(
                &session.gaib(line).await,
                &["lock.json", "what to do: delete this file"],
            );
        }
    }
    fs::remove_file(&record).unwrap();
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_or_cancelled_first_apply_leaves_no_missing_state() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", TWO_ROLES);
    assert_refused(&session.gaib("server apply --input=false").await, &["--auto-approve"]);
    assert_refused(&session.answering("server apply", Some("no\n")).await, &["Cancelled"]);
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_file_that_manages_nothing_may_be_deleted() {
    for end in ["server destroy --auto-approve", "server state rm --all"] {
        let mut session = managed().await;
        assert_eq!(session.gaib(end).await.code, 0, "{end}");
        fs::remove_file(path(&session, STATE)).unwrap();
        let planned = session.gaib("server plan").await;
        assert!(planned.stdout.contains("2 to add"), "{end}: {planned:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workspace_with_a_damaged_state_owns_the_server() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", TWO_ROLES);
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    session.gaib("server apply --workspace default --auto-approve").await;
    fs::write(path(&session, STATE), "{").unwrap();
    // Also without markers.
    for with_markers in [true, false] {
        if !with_markers {
            fs::remove_dir_all(session.state_home().join("gaib")).unwrap();
        }
        for line in ["server plan", "server apply --auto-approve", "server import --all"] {
            let refused = session.gaib(line).await;
            assert_refused(&refused, &["workspace default", "cannot be read", "state push FILE"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_state_is_the_newer_copy() {
    let mut session = managed().await;
    let second = path(&session, "second");
    fs::create_dir_all(&second).unwrap();
    session.gaib_in(&second, &format!("server init --guild {GUILD}")).await;
    fs::copy(path(&session, "copy.json"), second.join("moved.json")).unwrap();
    let pushed = session.gaib_in(&second, "server state push moved.json").await;
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    assert_refused(&session.gaib("server apply --auto-approve").await, &["old copy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workspace_with_a_missing_state_is_deleted_only_with_force() {
    let mut session = Session::start().await;
    session.gaib("server init").await;
    session.write("discord-server.yaml", TWO_ROLES);
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    session.gaib("server workspace select default").await;
    let state = path(&session, ".gaib/workspaces/staging/state.json");
    for gone in [false, true] {
        match gone {
            false => fs::write(&state, "{").unwrap(),
            true => fs::remove_file(&state).unwrap(),
        }
        assert_refused(&session.gaib("server workspace delete staging").await, &["--force"]);
    }
    assert_eq!(session.gaib("server workspace delete staging --force").await.code, 0);
    // A new workspace of this name has a new state.
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    assert_eq!(session.gaib("server plan").await.code, 0);
}

/// Two addresses with one id, as after a manual edit.
#[tokio::test(flavor = "multi_thread")]
async fn state_with_one_id_twice_is_refused() {
    let mut session = managed().await;
    let mut state: serde_json::Value = serde_json::from_str(&session.read("copy.json")).unwrap();
    state["resources"]["role.naib"]["id"] = state["resources"]["role.guard"]["id"].clone();
    state["serial"] = 90.into();
    let duplicate = serde_json::to_string_pretty(&state).unwrap();
    session.write("duplicate.json", &duplicate);
    let names = ["`role.guard` and `role.naib`"];
    assert_refused(&session.gaib("server state push duplicate.json").await, &names);
    fs::write(path(&session, STATE), &duplicate).unwrap();
    for line in [
        "server plan",
        "server apply --auto-approve",
        "server destroy --auto-approve",
        "server import --all",
        "server state mv role.naib role.chief",
    ] {
        let names: &[&str] = if line.contains(" mv ") {
            &["role.guard", "role.chief"]
        } else {
            &names
        };
        assert_refused(&session.gaib(line).await, names);
    }
    assert_eq!(session.gaib("server state rm role.naib").await.code, 0);
    // A managed id is not imported under another address, and @everyone has a fixed address.
    let id = state["resources"]["role.guard"]["id"].as_str().unwrap().to_owned();
    let refused = session.gaib(&format!("server import role.second {id}")).await;
    assert_refused(&refused, &["`role.second`", "`role.guard`", &id]);
    for line in [
        format!("server import role.all {GUILD}"),
        "server state mv role.guard role.everyone".to_owned(),
    ] {
        assert_refused(&session.gaib(&line).await, &["role of all members"]);
    }
}
