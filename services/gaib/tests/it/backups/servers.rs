//! `gaib server snapshot`: whole servers, and the way back to them.

use arrakis_emulator_client::{GatewayChange, MemberEdit};
use discord_emulator::seed::{self, spec::GuildSpec};

use super::*;
use crate::session::exists;

const OTHER: &str = "1200000000000000999";

/// What a wrecked server has after a restore.
async fn assert_back(session: &mut Session, expected: &[String]) {
    assert_eq!(names(session).await, expected);
    assert_eq!(one(session, "channels", "council").await["topic"], "Naib only");
    let naib = one(session, "roles", "Naib").await;
    assert_eq!(naib["color"], 0x00FF_D700);
    let council = one(session, "channels", "council").await;
    let overwrites = council["permission_overwrites"].as_array().unwrap();
    assert!(
        overwrites.iter().any(|overwrite| overwrite["id"] == naib["id"]),
        "{overwrites:?}"
    );
    assert_eq!(council["parent_id"], one(session, "channels", "Rock").await["id"]);
    assert!(!exists(session, JOURNAL));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrecked_server_gets_back_with_its_roles_channels_emoji_and_members() {
    let mut session = managed().await;
    let (expected, addresses) = (names(&session).await, session.gaib("server state ls").await.stdout);
    let made = session.gaib("server snapshot create -m \"before the event\"").await;
    let id = created(&made);
    printed(
        &made,
        &["Reading server", "Downloading 1 image", "Reading the roles of members"],
    );
    printed(&session.gaib("server snapshot list").await, &[&id, "before the event"]);
    done(&session.gaib(&format!("server snapshot verify {id}")).await);
    wreck(&session).await;
    let later = json!({ "name": "later" });
    by_bot(&session, Method::POST, &format!("/guilds/{GUILD}/channels"), later).await;
    assert_eq!(roles_of(&session, STILGAR).await, Vec::<String>::new());

    let (restore, sent) = (format!("server snapshot restore {id} --apply"), writes(&session));
    let dry = session.gaib(&format!("{restore} --dry-run")).await;
    printed(&dry, &["role.naib", "Members get back 1 role assignment", "Dry run"]);
    refused(&session.answering(&restore, Some("no\n")).await, &["Cancelled"]);
    refused(
        &session.gaib(&format!("{restore} --input=false")).await,
        &["Nothing is deleted", "--auto-approve"],
    );
    assert_eq!(writes(&session), sent);
    assert!(!exists(&session, JOURNAL));

    let restored = session.answering(&restore, Some("yes\n")).await;
    printed(
        &restored,
        &["New ids", "role.naib", "Restored server", "Backed up the present state"],
    );
    let mut with_later = expected.clone();
    with_later.push("later".to_owned());
    with_later.sort();
    assert_back(&mut session, &with_later).await;
    assert_eq!(roles_of(&session, STILGAR).await, ["Old Guard"]);
    assert_eq!(roles_of(&session, JAMIS).await, Vec::<String>::new());
    // Unmanaged resources are restored, and stay unmanaged.
    assert_eq!(session.gaib("server state ls").await.stdout, addresses);
    done(&session.gaib("server plan --detailed-exitcode").await);
    let sent = writes(&session);
    printed(&session.gaib(&format!("{restore} -f")).await, &["nothing was changed"]);
    assert_eq!(writes(&session), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_server_without_its_state_gets_back() {
    let mut session = managed().await;
    let (expected, addresses) = (names(&session).await, session.gaib("server state ls").await.stdout);
    let id = created(&session.gaib("server snapshot create").await);
    wreck(&session).await;
    std::fs::remove_dir_all(session.folder.path().join(".gaib/workspaces/default")).unwrap();
    std::fs::remove_dir_all(session.state_home().join("gaib/servers")).unwrap();
    let restored = session
        .gaib(&format!("server snapshot restore {id} --apply -f --json"))
        .await;
    done(&restored);
    let summary = of_type(&restored, "restore_complete").remove(0);
    assert_eq!(
        (&summary["changed"], &summary["roles_given"]),
        (&json!(true), &json!(1))
    );
    assert!(!of_type(&restored, "mapped").is_empty());
    assert_back(&mut session, &expected).await;
    assert_eq!(session.gaib("server state ls").await.stdout, addresses);
    done(&session.gaib("server plan --detailed-exitcode").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_no_workspace_manages_gets_back_and_stays_unmanaged() {
    let mut session = unmanaged().await;
    let expected = names(&session).await;
    let made = session.gaib("server snapshot create").await;
    let id = created(&made);
    printed(&made, &["without a state"]);
    wreck(&session).await;
    let restore = format!("server snapshot restore {id}");
    refused(
        &session.gaib(&format!("{restore} -f")).await,
        &["has no state", "--apply"],
    );
    done(&session.gaib(&format!("{restore} --apply -f")).await);
    assert_eq!(names(&session).await, expected);
    assert_eq!(one(&session, "channels", "voices").await["user_limit"], 7);
    assert_eq!(roles_of(&session, STILGAR).await, ["Old Guard"]);
    assert!(!exists(&session, STATE) && !exists(&session, JOURNAL));
    assert_eq!(session.gaib("server state ls").await.stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_a_snapshot_is_restored_without_the_server() {
    let mut session = managed().await;
    let before = state(&session);
    let id = created(&session.gaib("server snapshot create").await);
    session.write("discord-server.yaml", CHANGED);
    done(&session.gaib("server apply --auto-approve").await);
    let sent = writes(&session);
    let restored = session.gaib(&format!("server snapshot restore {id} -f")).await;
    printed(
        &restored,
        &["Restored the state of workspace default", "was not changed"],
    );
    assert_eq!(
        (writes(&session), &state(&session)["resources"]),
        (sent, &before["resources"])
    );
    refused(
        &session
            .gaib(&format!("server snapshot restore {id} --no-members"))
            .await,
        &["--apply"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_of_the_state_alone_names_the_command_for_the_server_and_warns_of_former_ids() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    wreck(&session).await;
    let restore = format!("server snapshot restore {id}");
    let command = format!("`gaib server snapshot restore {id} --apply`");
    // The state still has what was deleted.
    for line in [format!("{restore} --dry-run"), format!("{restore} -f")] {
        let outcome = session.gaib(&line).await;
        printed(&outcome, &["No differences", "Only the state was compared", &command]);
        assert!(!outcome.stderr.contains("other ids"), "{line}: {}", outcome.stderr);
    }
    done(&session.gaib(&format!("{restore} --apply -f")).await);
    let (sent, after) = (writes(&session), state(&session));
    let question = session.answering(&restore, Some("no\n")).await;
    refused(
        &question,
        &[
            "the present state has other ids",
            "role.naib is",
            "keep the present state",
            &command,
        ],
    );
    printed(
        &session.gaib(&format!("{restore} --dry-run")).await,
        &["the present state has other ids", "Only the state was compared"],
    );
    assert_eq!((writes(&session), state(&session)), (sent, after));
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_changes_managed_resources_back_and_keeps_later_ones() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    session.write("discord-server.yaml", &format!("{CHANGED}  door: {{ name: door }}\n"));
    done(&session.gaib("server apply --auto-approve").await);
    let restored = session.gaib(&format!("server snapshot restore {id} --apply -f")).await;
    printed(
        &restored,
        &[
            "stay as they are: channel.door",
            "The configuration file was not changed",
        ],
    );
    assert_eq!(one(&session, "channels", "council").await["topic"], "Naib only");
    assert_eq!(one(&session, "roles", "Naib").await["color"], 0x00FF_D700);
    let listed = session.gaib("server state ls").await.stdout;
    assert!(listed.contains("channel.door"), "{listed}");
    one(&session, "channels", "door").await;
    // The next apply makes what the configuration contains.
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_snapshots_are_compared_by_attribute() {
    let mut session = managed().await;
    let before = created(&session.gaib("server snapshot create").await);
    let same = session
        .gaib(&format!(
            "server snapshot compare {before} {before} --detailed-exitcode"
        ))
        .await;
    printed(&same, &["No differences"]);
    session.write(
        "discord-server.yaml",
        &CHANGED.replace("  fedaykin: { name: Fedaykin }\n", ""),
    );
    done(&session.gaib("server apply --auto-approve").await);
    let edit = MemberEdit {
        remove_roles: vec!["Old Guard".to_owned()],
        ..MemberEdit::default()
    };
    session.control().edit_member(GUILD, STILGAR, &edit).await.unwrap();
    let after = created(&session.gaib("server snapshot create").await);
    let line = format!("server snapshot compare {before} {after}");
    printed(
        &session.gaib(&line).await,
        &[
            "role.fedaykin",
            "role.naib",
            "color",
            "#FFD700",
            "channel.council",
            "topic",
            "Roles: 0 added, 1 removed, 1 changed.",
            "Channels: 0 added, 0 removed, 1 changed.",
            STILGAR,
        ],
    );
    assert_eq!(session.gaib(&format!("{line} --detailed-exitcode")).await.code, 2);
    let json = session.gaib(&format!("{line} --json")).await;
    let differences = of_type(&json, "difference");
    let naib = differences.iter().find(|one| one["address"] == "role.naib").unwrap();
    assert_eq!(naib["fields"], json!(["color"]));
    assert_eq!(
        (&naib["before"]["color"], &naib["after"]["color"]),
        (&"#FFD700".into(), &"#112233".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn members_without_the_privileged_intent_are_noted() {
    let mut session = managed().await;
    let with_members = created(&session.gaib("server snapshot create").await);
    let change = GatewayChange {
        privileged_intents: Some(Vec::new()),
        ..GatewayChange::default()
    };
    session.control().change_gateway(&change).await.unwrap();
    let made = session.gaib("server snapshot create").await;
    printed(&made, &["warning", "no roles of members", "Server Members Intent"]);
    let without = created(&made);
    assert!(
        !objects(&session)
            .iter()
            .any(|path| path.contains(&without) && path.contains("members"))
    );
    let compared = session
        .gaib(&format!("server snapshot compare {with_members} {without}"))
        .await;
    printed(&compared, &["the roles of members were not compared"]);
    wreck(&session).await;
    done(
        &session
            .gaib(&format!("server snapshot restore {without} --apply -f"))
            .await,
    );
    assert_eq!(roles_of(&session, STILGAR).await, Vec::<String>::new());
    // A snapshot with members gives their roles back without the list, too.
    let restored = session
        .gaib(&format!("server snapshot restore {with_members} --apply -f"))
        .await;
    printed(&restored, &["Discord refuses the list of members"]);
    assert_eq!(roles_of(&session, STILGAR).await, ["Old Guard"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_who_left_and_roles_to_leave_alone_are_reported() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    wreck(&session).await;
    done(
        &session
            .gaib(&format!("server snapshot restore {id} --apply --no-members -f"))
            .await,
    );
    assert_eq!(roles_of(&session, STILGAR).await, Vec::<String>::new());
    session.control().leave(GUILD, STILGAR).await.unwrap();
    let restored = session
        .gaib(&format!("server snapshot restore {id} --apply -f --json"))
        .await;
    assert_eq!(of_type(&restored, "member_roles")[0]["absent_members"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn downloaded_snapshot_is_applied_to_another_server() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    let download = format!("server snapshot download {id} -o copy");
    printed(
        &session.gaib(&download).await,
        &[
            "Wrote the",
            "--drop-missing",
            "roles of members are in copy/members.json",
        ],
    );
    for file in [
        "manifest.json",
        "config.yaml",
        "state.json",
        "server.json",
        "members.json",
    ] {
        assert!(exists(&session, &format!("copy/{file}")), "{file}");
    }
    assert_eq!(visible(&session.folder.path().join("copy/images")).len(), 1);
    refused(&session.gaib(&download).await, &["is not empty", "--force"]);
    let force = format!("{download} --force");
    done(&session.gaib(&force).await);
    // A manifest states that the directory has all files: it does not stay where one cannot be replaced.
    let config = session.folder.path().join("copy/config.yaml");
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    refused(&session.gaib(&force).await, &["config.yaml"]);
    assert!(!exists(&session, "copy/manifest.json"));
    std::fs::remove_dir(&config).unwrap();
    done(&session.gaib(&force).await);
    assert!(exists(&session, "copy/manifest.json"));
    refused(
        &session
            .gaib(&format!("server snapshot download {id} -o discord-server.yaml"))
            .await,
        &["not a directory"],
    );

    let other: GuildSpec = serde_json::from_value(json!({ "id": OTHER, "name": "Copy", "community": true })).unwrap();
    let world = &session.emulator.app().world;
    world.write(|state| seed::build(state, &other)).unwrap();
    let apply = format!("apply copy/config.yaml --guild {OTHER} --drop-missing --auto-approve");
    let next = format!("copy server plan --file config.yaml --drop-missing --workspace guild-{OTHER}");
    printed(&session.gaib(&apply).await, &[&format!("Next: gaib -C {next}")]);
    done(&session.gaib(&format!("-C {next}")).await);
    let copy = session.control().guild(OTHER).await.unwrap();
    for (kind, name) in [
        ("roles", "Naib"),
        ("roles", "Old Guard"),
        ("channels", "council"),
        ("channels", "voices"),
    ] {
        assert!(id_of(&copy, kind, name).is_some(), "{name} of {copy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_deleted_after_a_confirmation_and_the_state_must_be_of_the_server() {
    let mut session = managed().await;
    let id = created(&session.gaib("server snapshot create").await);
    refused(
        &session.gaib(&format!("server backup show {id}")).await,
        &["there is no backup"],
    );
    let delete = format!("server snapshot delete {id}");
    refused(&session.gaib(&format!("{delete} --input=false")).await, &["--force"]);
    done(&session.answering(&delete, Some("yes\n")).await);
    assert!(objects(&session).iter().all(|path| !path.contains(&id)));
    refused(
        &session.gaib(&format!("server snapshot restore {id} --apply -f")).await,
        &["there is no snapshot"],
    );
    printed(&session.gaib("server snapshot list").await, &["has no snapshots"]);
    let of_another = session
        .gaib(&format!("server snapshot create --guild {OTHER} --workspace default"))
        .await;
    assert_eq!(of_another.code, 1, "{}", of_another.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_that_the_bot_may_not_make_changes_nothing() {
    let mut session = Session::with(json!({
        "name": "Sietch Tabr", "bot": { "permissions": ["VIEW_CHANNEL", "MANAGE_GUILD", "MANAGE_CHANNELS"] },
        "roles": [{ "name": "Old Guard" }], "channels": [{ "name": "hall" }],
    }))
    .await;
    done(&session.gaib(&format!("server init --guild {GUILD}")).await);
    let id = created(&session.gaib("server snapshot create").await);
    session.control().delete_role(GUILD, "Old%20Guard").await.unwrap();
    let sent = writes(&session);
    let restored = session.gaib(&format!("server snapshot restore {id} --apply -f")).await;
    refused(&restored, &["nothing was changed"]);
    assert_eq!(writes(&session), sent);
    assert!(!exists(&session, JOURNAL));
}
