//! One workspace for a server: a second workspace, a second folder, a single file and a saved plan are refused with advice.

use std::path::{Path, PathBuf};

use crate::session::{GUILD, Outcome, Session};

const ONE_ROLE: &str = "roles:\n  guard: { name: Guard }\n";

/// The number of roles with this name on the server.
async fn count(session: &mut Session, name: &str) -> usize {
    let other = session.folder.path().join("folder-of-count");
    std::fs::create_dir_all(&other).unwrap();
    let export = session
        .gaib_in(&other, &format!("server export --include-unmanaged --guild {GUILD}"))
        .await;
    assert_eq!(export.code, 0, "{}", export.stderr);
    export.stdout.matches(&format!("name: {name}")).count()
}

#[track_caller]
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

/// Another folder with a project for the same server.
async fn second_folder(session: &Session) -> PathBuf {
    let folder = session.folder.path().join("second");
    std::fs::create_dir_all(&folder).unwrap();
    let made = session.gaib_in(&folder, &format!("server init --guild {GUILD}")).await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    std::fs::write(folder.join("discord-server.yaml"), ONE_ROLE).unwrap();
    folder
}

async fn applied(session: &mut Session) {
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_workspace_of_a_folder_is_refused() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    session.gaib("server workspace select default").await;
    applied(&mut session).await;
    let parts = ["managed by workspace default", "1 resource", "--workspace default"];
    assert_refused(&session.gaib("server plan --workspace staging").await, &parts);
    assert_refused(
        &session.gaib("server plan --workspace staging --out x.plan").await,
        &parts,
    );
    assert_refused(
        &session.gaib("server apply --workspace staging --auto-approve").await,
        &parts,
    );
    assert_refused(&session.gaib("server import --workspace staging --all").await, &parts);
    assert_refused(
        &session.gaib("server destroy --workspace staging --auto-approve").await,
        &parts,
    );
    assert_refused(
        &session
            .gaib(&format!("apply discord-server.yaml --guild {GUILD} --auto-approve"))
            .await,
        &parts,
    );
    assert_eq!(count(&mut session, "Guard").await, 1);
    // A comparison is allowed.
    assert_eq!(session.gaib("server diff --workspace staging").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_folder_is_refused_and_each_alternative_works() {
    let mut session = Session::start().await;
    applied(&mut session).await;
    let second = second_folder(&session).await;
    let first = session.folder.path().canonicalize().unwrap().display().to_string();
    for line in [
        "server plan",
        "server plan --out x.plan",
        "server apply --auto-approve",
        "server import --all",
        "server destroy --auto-approve",
        "apply discord-server.yaml --auto-approve",
    ] {
        let line = format!("{line} --guild {GUILD}");
        let refused = session.gaib_in(&second, &line).await;
        assert_refused(
            &refused,
            &[
                "managed by workspace default in",
                &first,
                "server state pull",
                "state rm --all",
            ],
        );
    }
    // First alternative: use the other workspace with the file of this folder.
    let there = format!(
        "-C {first} server apply --workspace default --file {}/discord-server.yaml --auto-approve",
        second.display()
    );
    let there = session.gaib_in(&second, &there).await;
    assert_eq!(there.code, 0, "{}", there.stderr);
    assert_eq!(count(&mut session, "Guard").await, 1);
    // Second alternative: move the state.
    let moved = session
        .gaib_in(&second, &format!("-C {first} server state pull --workspace default"))
        .await;
    std::fs::write(second.join("moved.json"), &moved.stdout).unwrap();
    let pushed = session
        .gaib_in(&second, "server state push moved.json --workspace default")
        .await;
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let plan = session.gaib_in(&second, "server plan --detailed-exitcode").await;
    assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
    std::fs::write(second.join("discord-server.yaml"), ONE_ROLE.replace("Guard", "Warden")).unwrap();
    assert_eq!(session.gaib_in(&second, "server apply --auto-approve").await.code, 0);
    // Now the first folder is refused, because its copy of the state is older.
    assert_refused(
        &session.gaib("server apply --auto-approve").await,
        &["old copy", "serial", "state push newer.json"],
    );
    assert_eq!(count(&mut session, "Warden").await, 1);
    // Third alternative: end the ownership.
    let released = session.gaib_in(&second, "server state rm --all").await;
    assert_eq!(released.code, 0, "{}", released.stderr);
    let taken = session.gaib("server plan").await;
    assert_eq!(taken.code, 0, "{}", taken.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn ownership_ends_when_nothing_is_managed() {
    let mut session = Session::start().await;
    applied(&mut session).await;
    let second = second_folder(&session).await;
    assert_eq!(session.gaib("server destroy --auto-approve").await.code, 0);
    let applied = session.gaib_in(&second, "server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_refused(&session.gaib("server apply --auto-approve").await, &["second"]);
    // A deleted folder manages no server.
    std::fs::remove_dir_all(&second).unwrap();
    let again = session.gaib("server apply --auto-approve").await;
    assert_eq!(again.code, 0, "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_applies_from_two_folders_create_each_resource_once() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    let second = second_folder(&session).await;
    let mut one = session.command("server apply --auto-approve").spawn().unwrap();
    let mut command = session.command("server apply --auto-approve");
    command.current_dir(&second);
    let mut two = command.spawn().unwrap();
    let (one, two) = (one.wait().await.unwrap(), two.wait().await.unwrap());
    let won = [one, two].iter().filter(|status| status.success()).count();
    assert_eq!(won, 1, "{one:?} {two:?}");
    assert_eq!(count(&mut session, "Guard").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_plan_is_refused_in_another_workspace_and_another_folder() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    let planned = session.gaib("server plan --out first.plan").await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    let refused = session.gaib("server apply first.plan").await;
    assert_refused(
        &refused,
        &["belongs to workspace default", GUILD, "staging", "nothing was changed"],
    );
    session
        .gaib("server workspace new other --guild 1200000000000000999")
        .await;
    assert_refused(
        &session.gaib("server apply first.plan").await,
        &["server 1200000000000000999"],
    );
    let second = second_folder(&session).await;
    let plan = session.folder.path().join("first.plan");
    let line = format!("server apply {}", plan.display());
    assert_refused(
        &session.gaib_in(&second, &line).await,
        &["which has no state", "lineage"],
    );
    session.gaib_in(&second, "server plan --out own.plan").await;
    assert_refused(&session.gaib_in(&second, &line).await, &["whose state has lineage"]);
    // In its own workspace it is applied.
    session.gaib("server workspace select default").await;
    let applied = session.gaib("server apply first.plan").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_refused(
        &session.gaib_in(&second, "server apply own.plan").await,
        &["managed by workspace default"],
    );
    assert_eq!(count(&mut session, "Guard").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_commands_find_the_state_of_a_single_file() {
    for with_project in [false, true] {
        let mut session = Session::start().await;
        if with_project {
            session.gaib("server init --guild 1200000000000000999").await;
        }
        session.write("f.yaml", ONE_ROLE);
        let applied = session
            .gaib(&format!("apply f.yaml --guild {GUILD} --auto-approve"))
            .await;
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        // `init` selected `default`, which manages nothing: the refusal names the workspace.
        let option = match with_project {
            true => format!(" --workspace guild-{GUILD}"),
            false => String::new(),
        };
        if with_project {
            let refused = session
                .gaib(&format!("server plan --file f.yaml --guild {GUILD}"))
                .await;
            assert_refused(&refused, &[&option, &format!("workspace select guild-{GUILD}")]);
        }
        let plan = session
            .gaib(&format!(
                "server plan --file f.yaml --guild {GUILD} --detailed-exitcode{option}"
            ))
            .await;
        assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
        let diff = session
            .gaib(&format!(
                "server diff --file f.yaml --guild {GUILD} --detailed-exitcode{option}"
            ))
            .await;
        assert_eq!(diff.code, 0, "{}", diff.stdout);
        let listed = session.gaib(&format!("server state ls{option}")).await;
        assert_eq!(listed.stdout, "role.guard\n", "{}", listed.stderr);
        let exported = session.gaib(&format!("server export --guild {GUILD}{option}")).await;
        assert!(exported.stdout.contains("guard:"), "{}", exported.stdout);
        if !with_project {
            let again = session.gaib("server apply --file f.yaml --auto-approve").await;
            assert!(
                again.stdout.starts_with("No changes."),
                "{}{}",
                again.stdout,
                again.stderr
            );
            assert_eq!(session.gaib("server lock").await.code, 0);
            assert_eq!(session.gaib("server unlock").await.code, 0);
        }
        let destroyed = session
            .gaib(&format!("server destroy --guild {GUILD} --auto-approve{option}"))
            .await;
        assert!(
            destroyed.stdout.contains("1 destroyed"),
            "{}{}",
            destroyed.stdout,
            destroyed.stderr
        );
        assert_eq!(count(&mut session, "Guard").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusal_names_the_state_beside_a_file_in_another_folder() {
    let mut session = Session::start().await;
    let there = session.folder.path().join("there");
    std::fs::create_dir_all(&there).unwrap();
    std::fs::write(there.join("f.yaml"), ONE_ROLE).unwrap();
    let line = format!("apply there/f.yaml --guild {GUILD} --auto-approve");
    assert_eq!(session.gaib(&line).await.code, 0);
    let there = there.canonicalize().unwrap().display().to_string();
    let line = format!("server destroy --guild {GUILD} --auto-approve");
    assert_refused(&session.gaib(&line).await, &[&there, &format!("guild-{GUILD}")]);
    let destroyed = session.gaib(&format!("-C {there} server destroy --auto-approve")).await;
    assert!(
        destroyed.stdout.contains("1 destroyed"),
        "{}{}",
        destroyed.stdout,
        destroyed.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritable_marker_folder_is_a_warning() {
    let mut session = Session::start().await;
    let file = session.folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    session.environment("XDG_STATE_HOME", Some(Path::new(&file).join("below").to_str().unwrap()));
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert!(
        applied.stderr.contains("warning:") && applied.stderr.contains("XDG_STATE_HOME"),
        "{}",
        applied.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_the_same_under_another_name_of_its_host() {
    let mut session = Session::start().await;
    applied(&mut session).await;
    let second = second_folder(&session).await;
    let base = session.emulator.addresses().rest.clone();
    let renamed = base.replace("127.0.0.1", "localhost");
    assert_ne!(renamed, base);
    session.environment("DISCORD_API_BASE", Some(&renamed));
    let refused = session.gaib_in(&second, "server apply --auto-approve").await;
    assert_refused(&refused, &["managed by workspace default"]);
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    assert_eq!(count(&mut session, "Guard").await, 1);
}
