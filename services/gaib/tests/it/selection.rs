//! Selection of the workspace: a command works in the workspace of `--workspace`, else in the selected one, and in no other.

use crate::session::{GUILD, Outcome, Session, exists};

const ONE_ROLE: &str = "roles:\n  guard: { name: Guard }\n";
const OTHER_GUILD: &str = "1200000000000000999";

#[track_caller]
fn assert_refused(outcome: &Outcome, parts: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert_eq!(outcome.stdout, "", "{outcome:?}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "no {part:?} in {}", outcome.stderr);
    }
}

/// `default` manages the server; `staging`, which manages nothing, is selected.
async fn with_empty_selection(guild_of_staging: &str) -> Session {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    let made = session
        .gaib(&format!("server workspace new staging{guild_of_staging}"))
        .await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let applied = session.gaib("server apply --workspace default --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_workspace_that_manages_nothing_is_not_replaced_by_another() {
    for guild_of_staging in [format!(" --guild {GUILD}"), String::new()] {
        let mut session = with_empty_selection(&guild_of_staging).await;
        let parts = ["workspace default", "--workspace default", "workspace select default"];
        for line in [
            "server plan",
            "server plan --out x.plan",
            "server plan --refresh-only",
            "server apply --auto-approve",
            "server apply --refresh-only --auto-approve",
            "server apply --destroy --auto-approve",
            "server destroy --auto-approve",
            "server import --all",
            "server import role.guard 1200000000000000111",
        ] {
            assert_refused(&session.gaib(line).await, &parts);
            let named = session.gaib(&format!("{line} --guild {GUILD}")).await;
            assert_refused(&named, &parts);
        }
        for line in [
            "server state pull",
            "server state rm role.guard",
            "server state mv role.guard role.other",
        ] {
            assert_refused(
                &session.gaib(line).await,
                &["workspace staging has no state yet", "--workspace default"],
            );
        }
        let listed = session.gaib("server state ls").await;
        assert!(listed.stdout.is_empty(), "{listed:?}");
        assert!(listed.stderr.contains("--workspace default"), "{}", listed.stderr);
        let diff = session.gaib(&format!("server diff --guild {GUILD}")).await;
        assert_eq!(diff.code, 0, "{}", diff.stderr);
        assert!(diff.stderr.contains("--workspace default"), "{}", diff.stderr);
        assert!(!exists(&session, "x.plan") && !exists(&session, ".gaib/workspaces/staging/state.json"));
        // The advice works, and no command has deleted anything.
        assert_eq!(
            session
                .gaib("server plan --workspace default --detailed-exitcode")
                .await
                .code,
            0
        );
        session.gaib("server workspace select default").await;
        let destroyed = session.gaib("server destroy --auto-approve").await;
        assert!(destroyed.stdout.contains("1 destroyed"), "{destroyed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_plan_is_refused_outside_its_workspace() {
    let mut session = with_empty_selection(&format!(" --guild {GUILD}")).await;
    session.write("discord-server.yaml", &ONE_ROLE.replace("Guard", "Warden"));
    let planned = session.gaib("server plan --workspace default --out x.plan").await;
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let refused = session.gaib("server apply x.plan").await;
    assert_refused(
        &refused,
        &[
            "belongs to workspace default",
            "server apply x.plan --workspace default",
        ],
    );
    let applied = session.gaib("server apply x.plan --workspace default").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_selection_names_the_managing_workspace() {
    let mut session = Session::start().await;
    session.write("f.yaml", ONE_ROLE);
    session
        .gaib(&format!("apply f.yaml --guild {GUILD} --auto-approve"))
        .await;
    // As in a clone: the selection is not committed.
    std::fs::remove_file(session.folder.path().join(".gaib/workspace")).unwrap();
    let option = format!("--workspace guild-{GUILD}");
    for line in [
        "server destroy --auto-approve",
        "server apply --file f.yaml --auto-approve",
        "server plan --file f.yaml",
    ] {
        assert_refused(&session.gaib(line).await, &[&option]);
        assert_refused(&session.gaib(&format!("{line} --guild {GUILD}")).await, &[&option]);
    }
    for line in [
        "server state ls".to_owned(),
        format!("server diff --file f.yaml --guild {GUILD}"),
    ] {
        let read = session.gaib(&line).await;
        assert!(read.code == 0 && read.stderr.contains(&option), "{line}: {read:?}");
    }
    let destroyed = session.gaib(&format!("server destroy {option} --auto-approve")).await;
    assert!(destroyed.stdout.contains("1 destroyed"), "{destroyed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guild_option_uses_the_workspace_of_its_single_file() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {OTHER_GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    session.write("f.yaml", ONE_ROLE);
    // The selected workspace manages another server.
    std::fs::write(
        session.folder.path().join(".gaib/workspaces/default/state.json"),
        format!(
            "{{\"version\": 1, \"serial\": 3, \"lineage\": \"a\", \"guild_id\": \"{OTHER_GUILD}\", \"resources\": {{\"role.a\": \
             {{\"id\": \"1200000000000000998\", \"attributes\": {{\"resource\": \"role\", \"name\": \"A\"}}}}}}}}"
        ),
    )
    .unwrap();
    let applied = session
        .gaib(&format!("apply f.yaml --guild {GUILD} --auto-approve"))
        .await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert!(
        applied.stderr.contains(&format!("--workspace guild-{GUILD}")),
        "{}",
        applied.stderr
    );
    let plan = session
        .gaib(&format!(
            "server plan --file f.yaml --guild {GUILD} --detailed-exitcode"
        ))
        .await;
    assert_eq!(plan.code, 0, "{plan:?}");
    assert!(
        plan.stderr.contains(&format!("Using workspace guild-{GUILD}")),
        "{}",
        plan.stderr
    );
    let destroyed = session
        .gaib(&format!("server destroy --guild {GUILD} --auto-approve"))
        .await;
    assert!(destroyed.stdout.contains("1 destroyed"), "{destroyed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_workspace_for_a_managed_server_is_refused() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    session.gaib("server apply --auto-approve").await;
    let refused = session
        .gaib(&format!("server workspace new staging --guild {GUILD}"))
        .await;
    assert_refused(
        &refused,
        &[
            "managed by workspace default",
            "workspace select default",
            "without --guild",
        ],
    );
    assert!(!exists(&session, ".gaib/workspaces/staging"));
    assert!(session.gaib("server workspace ls").await.stdout.contains("* default"));
    // Another folder is refused, too, and `init` prints a warning there.
    let second = session.folder.path().join("second");
    std::fs::create_dir_all(&second).unwrap();
    let made = session.gaib_in(&second, &format!("server init --guild {GUILD}")).await;
    assert!(
        made.code == 0 && made.stderr.contains("managed by workspace default in"),
        "{made:?}"
    );
    let refused = session
        .gaib_in(&second, &format!("server workspace new staging --guild {GUILD}"))
        .await;
    assert_refused(&refused, &["managed by workspace default in"]);
    // The advice works.
    assert_eq!(session.gaib("server workspace new staging").await.code, 0);
    let state = session.gaib("server state pull --workspace default").await.stdout;
    std::fs::write(session.folder.path().join("moved.json"), state).unwrap();
    let pushed = session.gaib("server state push moved.json --workspace staging").await;
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    let plan = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(plan.code, 0, "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_selection_is_an_error_with_advice() {
    let mut session = with_empty_selection("").await;
    for damaged in ["", "../up", "two words", "\u{0}"] {
        std::fs::write(session.folder.path().join(".gaib/workspace"), damaged).unwrap();
        for line in [
            "server destroy --auto-approve",
            "server state ls",
            "server workspace ls",
        ] {
            assert_refused(&session.gaib(line).await, &[".gaib/workspace", "workspace select NAME"]);
        }
        assert_eq!(session.gaib("server workspace select default").await.code, 0);
        assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn selection_of_a_deleted_workspace_is_an_error() {
    let mut session = with_empty_selection("").await;
    std::fs::remove_dir_all(session.folder.path().join(".gaib/workspaces/staging")).unwrap();
    for line in ["server destroy --auto-approve", "server state ls", "server lock"] {
        assert_refused(
            &session.gaib(line).await,
            &["staging, does not exist", "workspace select"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn init_records_the_server_of_an_existing_configuration() {
    let mut session = Session::start().await;
    let line = format!("server init --guild {GUILD}");
    let first = session.gaib("server init --theme basic").await;
    assert!(
        first.stderr.contains("`gaib server init --guild ID`"),
        "{}",
        first.stderr
    );
    let configuration = session.read("discord-server.yaml");
    let recorded = session.gaib(&line).await;
    assert!(
        recorded.code == 0 && recorded.stdout.contains("Recorded"),
        "{recorded:?}"
    );
    assert_eq!(session.read("discord-server.yaml"), configuration);
    assert_eq!(session.gaib("server plan").await.code, 0);
    // A selected workspace stays selected, and the record is for it.
    session.gaib("server workspace new staging").await;
    let refused = session.gaib("server plan").await;
    assert!(
        refused
            .stderr
            .contains("record the server with `gaib server init --guild ID`"),
        "{}",
        refused.stderr
    );
    assert_eq!(session.gaib(&line).await.code, 0);
    assert_eq!(session.gaib("server plan").await.code, 0);
    assert!(session.gaib(&line).await.stdout.contains("workspace staging"));
    session.gaib("server workspace new other").await;
    session.gaib("server workspace select default").await;
    let refused = session.gaib("server plan --workspace other").await;
    assert!(
        refused
            .stderr
            .contains("`gaib server workspace select other` and `gaib server init --guild ID`"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn init_with_force_keeps_the_former_configuration() {
    let mut session = Session::start().await;
    session.write("discord-server.yaml", ONE_ROLE);
    let line = format!("server init --theme basic --guild {GUILD}");
    assert_eq!(session.gaib(&line).await.code, 1);
    assert_eq!(session.read("discord-server.yaml"), ONE_ROLE);
    assert_eq!(session.gaib(&format!("{line} --force")).await.code, 0);
    assert_eq!(session.read("discord-server.yaml.bak"), ONE_ROLE);
    // The same configuration again needs no copy, and another one does not replace the copy.
    let themed = session.read("discord-server.yaml");
    assert_eq!(session.gaib(&format!("{line} --force")).await.code, 0);
    let refused = session.gaib("server init --force").await;
    assert!(
        refused.code == 1 && refused.stderr.contains("discord-server.yaml.bak already exists"),
        "{refused:?}"
    );
    assert_eq!(session.read("discord-server.yaml"), themed);
    assert_eq!(session.read("discord-server.yaml.bak"), ONE_ROLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_apply_of_a_file_leaves_no_workspace() {
    let mut session = Session::start().await;
    session.write("f.yaml", ONE_ROLE);
    let line = format!("apply f.yaml --guild {GUILD} --auto-approve");
    let workspace = format!(".gaib/workspaces/guild-{GUILD}");
    let token = session.emulator.token();
    session.environment("DISCORD_TOKEN", Some("wrong"));
    assert_eq!(session.gaib(&line).await.code, 1);
    assert!(!exists(&session, ".gaib"));
    session.gaib(&format!("server init --guild {OTHER_GUILD}")).await;
    assert_eq!(session.gaib(&line).await.code, 1);
    assert!(!exists(&session, &workspace) && exists(&session, ".gaib/config.yaml"));
    session.environment("DISCORD_TOKEN", Some(&token));
    let unconfirmed = format!("apply f.yaml --guild {GUILD} --input=false");
    assert_eq!(session.gaib(&unconfirmed).await.code, 1);
    assert!(!exists(&session, &workspace));
    assert_eq!(session.gaib(&line).await.code, 0);
    // A workspace with a state stays after a refusal.
    session.write("f.yaml", &ONE_ROLE.replace("Guard", "Warden"));
    assert_eq!(session.gaib(&unconfirmed).await.code, 1);
    assert!(exists(&session, &format!("{workspace}/state.json")));
}

#[tokio::test]
async fn init_with_force_records_the_server_of_the_selected_workspace() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session
        .gaib("server workspace new staging --guild 1200000000000000999")
        .await;
    let again = session.gaib("server init --guild 1200000000000000888 --force").await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stdout.contains("workspace staging"), "{}", again.stdout);
    let listed = session.gaib("server workspace ls").await.stdout;
    let of = |name: &str| listed.lines().find(|line| line.contains(name)).unwrap_or_default();
    assert!(of("default").contains(GUILD), "{listed}");
    assert!(of("staging").contains("1200000000000000888"), "{listed}");
}
