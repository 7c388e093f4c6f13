//! States that are damaged or gone: never a new beginning by accident, and every way on that is named works.

use std::fs;
use std::path::PathBuf;

use crate::session::{GUILD, Outcome, Session, exists};

const TWO_ROLES: &str = "roles:\n  guard: { name: Guard }\n  naib: { name: Naib }\n";
const STATE: &str = ".gaib/workspaces/default/state.json";

#[track_caller]
fn assert_refused(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in {}", outcome.stderr);
    }
}

fn path(session: &Session, name: &str) -> PathBuf {
    session.folder.path().join(name)
}

/// Two managed roles; a copy of the state in `copy.json`.
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
const USERS: [&str; 12] = [
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
async fn damaged_state_is_an_error_that_names_what_there_is() {
    let mut session = managed().await;
    for (what, bytes) in damages() {
        fs::write(path(&session, STATE), &bytes).unwrap();
        for line in USERS {
            let refused = session.gaib(line).await;
            assert_refused(&refused, &["state.json", "server state push FILE", "import --all"]);
            // There is no backup after one operation.
            assert!(!refused.stderr.contains("backup"), "{what}, {line}: {}", refused.stderr);
        }
        assert_eq!(fs::read(path(&session, STATE)).unwrap(), bytes, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn push_replaces_a_damaged_state_and_keeps_it_aside() {
    for (what, bytes) in damages() {
        let mut session = managed().await;
        fs::write(path(&session, STATE), &bytes).unwrap();
        let asked = session.gaib("server state push copy.json").await;
        assert_refused(&asked, &["--force"]);
        assert_eq!(fs::read(path(&session, STATE)).unwrap(), bytes, "{what}");
        let pushed = match what.len() % 2 {
            0 => session.gaib("server state push copy.json --force").await,
            _ => session.answering("server state push copy.json", Some("yes\n")).await,
        };
        assert_eq!(pushed.code, 0, "{what}: {}", pushed.stderr);
        let kept = pushed
            .stderr
            .lines()
            .find(|line| line.starts_with("Kept the damaged state as "));
        let kept = kept
            .unwrap_or_default()
            .trim_start_matches("Kept the damaged state as ");
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
async fn backup_is_named_where_it_can_be_read_and_a_push_of_it_keeps_it() {
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
    // A damaged backup is not named.
    fs::write(path(&session, STATE), "").unwrap();
    fs::write(path(&session, &backup), "").unwrap();
    assert!(!session.gaib("server plan").await.stderr.contains("backup"));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_is_a_folder_is_replaced_as_well() {
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
async fn lost_state_is_an_error_for_every_command_that_needs_it() {
    let mut session = managed().await;
    fs::remove_file(path(&session, STATE)).unwrap();
    for line in USERS {
        let refused = session.gaib(line).await;
        assert_refused(
            &refused,
            &[
                "the state of workspace default is gone",
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
async fn lost_state_comes_back_by_each_way_that_is_named() {
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
    // The server itself, with the whole folder of states gone.
    fs::remove_dir_all(path(&session, ".gaib/workspaces")).unwrap();
    assert_refused(&session.gaib("server apply --auto-approve").await, &["is gone"]);
    let imported = session.gaib("server import --all").await;
    assert!(imported.stdout.contains("2 imported, 2 managed"), "{imported:?}");
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    assert_eq!(roles_of_the_server(&mut session).await, 2);
    // The end of the ownership, which asks.
    fs::remove_file(path(&session, STATE)).unwrap();
    assert_refused(&session.gaib("server state release").await, &["--force", "is gone"]);
    let released = session.answering("server state release", Some("yes\n")).await;
    assert_eq!(released.code, 0, "{released:?}");
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    assert_eq!(roles_of_the_server(&mut session).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_state_of_a_single_file_is_an_error() {
    let mut session = Session::start().await;
    session.write("f.yaml", TWO_ROLES);
    let line = format!("apply f.yaml --guild {GUILD} --auto-approve");
    assert_eq!(session.gaib(&line).await.code, 0);
    fs::remove_dir_all(path(&session, ".gaib")).unwrap();
    assert_refused(
        &session.gaib(&line).await,
        &["is gone", &format!("--workspace guild-{GUILD}")],
    );
    assert_eq!(roles_of_the_server(&mut session).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_folder_with_a_lost_or_damaged_state_still_owns_the_server() {
    let session = managed().await;
    let second = path(&session, "second");
    fs::create_dir_all(&second).unwrap();
    session.gaib_in(&second, &format!("server init --guild {GUILD}")).await;
    fs::write(second.join("discord-server.yaml"), TWO_ROLES).unwrap();
    for how in ["gone", "cannot be read"] {
        match how {
            "gone" => fs::remove_file(path(&session, STATE)).unwrap(),
            _ => fs::write(path(&session, STATE), "{").unwrap(),
        }
        for line in ["server plan", "server apply --auto-approve", "server import --all"] {
            let refused = session.gaib_in(&second, line).await;
            assert_refused(
                &refused,
                &[how, "state push FILE", &format!("state release --guild {GUILD}")],
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
async fn release_is_refused_where_the_state_can_be_read() {
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
async fn marker_that_is_damaged_is_named_with_the_command_that_removes_it() {
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
async fn lock_record_that_is_damaged_is_named() {
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
async fn refused_and_cancelled_first_applies_leave_no_lost_state() {
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
async fn other_workspace_with_a_damaged_state_still_owns_the_server() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", TWO_ROLES);
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    session.gaib("server apply --workspace default --auto-approve").await;
    fs::write(path(&session, STATE), "{").unwrap();
    // Also on a machine that has no markers.
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
async fn pushed_state_is_the_newer_copy_at_once() {
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
async fn workspace_with_a_lost_state_is_deleted_with_force_alone() {
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
    // Another one of this name is a beginning.
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    assert_eq!(session.gaib("server plan").await.code, 0);
}

/// Two addresses with one id: a state that was edited by hand.
#[tokio::test(flavor = "multi_thread")]
async fn two_addresses_with_one_id_are_refused_and_named() {
    let mut session = managed().await;
    let mut state: serde_json::Value = serde_json::from_str(&session.read("copy.json")).unwrap();
    state["resources"]["role.naib"]["id"] = state["resources"]["role.guard"]["id"].clone();
    state["serial"] = 90.into();
    let doubled = serde_json::to_string_pretty(&state).unwrap();
    session.write("doubled.json", &doubled);
    let names = ["`role.guard` and `role.naib`"];
    assert_refused(&session.gaib("server state push doubled.json").await, &names);
    fs::write(path(&session, STATE), &doubled).unwrap();
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
    // An id that is managed is not taken in under another address, and @everyone has one.
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
