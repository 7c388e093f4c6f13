//! Text on stdout and stderr, and streams that cannot be written.

use std::fs::OpenOptions;
use std::process::Stdio;

use discord_emulator::faults::{Condition, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::session::{GUILD, Session};

const TWO_CHANNELS: &str = "channels:\n  one: { topic: First. }\n  two: { topic: Second. }\n";

#[tokio::test(flavor = "multi_thread")]
async fn apply_that_only_reorders_reports_the_reorder() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", TWO_CHANNELS);
    session.gaib("server apply --auto-approve").await;
    session.write(
        "discord-server.yaml",
        "channels:\n  two: { topic: Second. }\n  one: { topic: First. }\n",
    );
    let moved = session.gaib("server apply --auto-approve").await;
    assert!(
        moved
            .stdout
            .contains("Apply complete: 0 added, 0 changed, 0 destroyed, 1 reordered."),
        "{}",
        moved.stdout
    );
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_server_error_shows_status_and_body() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", TWO_CHANNELS);
    let always = Condition {
        method: Some("GET".to_owned()),
        route: Some("/guilds/{guild_id}".to_owned()),
        ..Condition::default()
    };
    let broken = FaultKind::RestStatus { status: 500 };
    session.emulator.app().faults.arm(broken, always);
    let failed = session.gaib("server plan").await;
    assert_eq!(failed.code, 1);
    assert!(
        failed.stderr.contains("status 500 Internal Server Error, body: "),
        "{}",
        failed.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_state_is_reported_on_stderr() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let nothing = session.gaib("server state ls").await;
    assert_eq!((nothing.stdout.as_str(), nothing.code), ("", 0));
    assert!(
        nothing.stderr.starts_with("Workspace default manages no resources."),
        "{}",
        nothing.stderr
    );
    session.write("discord-server.yaml", TWO_CHANNELS);
    session.gaib("server apply --auto-approve").await;
    let other = session.gaib("server state ls role").await;
    assert!(
        other.stdout.is_empty() && other.stderr.contains("begins with `role`"),
        "{other:?}"
    );
    let some = session.gaib("server state ls channel").await;
    assert_eq!(
        (some.stdout.as_str(), some.stderr.as_str()),
        ("channel.one\nchannel.two\n", "")
    );
    // An unknown address prevents the removal of the others.
    let refused = session.gaib("server state rm channel.one channel.three").await;
    assert!(refused.code == 1 && refused.stdout.is_empty(), "{refused:?}");
    assert_eq!(session.gaib("server state rm --all").await.stdout.lines().count(), 2);
}

/// Commands that cover every kind of output.
const WRITERS: [&str; 8] = [
    "--help",
    "man",
    "completions bash",
    "server theme info sietch",
    "server validate --file discord-server.yaml",
    "server plan",
    "server plan --json",
    "server export --include-unmanaged",
];

/// As `gaib … | head -1`, with a reader that has ended before the first byte.
#[tokio::test(flavor = "multi_thread")]
async fn closed_pipe_does_not_change_the_exit_code() {
    let mut session = Session::start().await;
    session
        .gaib(&format!("server init --theme sietch --guild {GUILD}"))
        .await;
    for line in WRITERS.into_iter().chain([
        "server apply nowhere.plan",
        "server bogus",
        "server apply --auto-approve",
    ]) {
        for (close_stdout, close_stderr) in [(true, false), (false, true), (true, true)] {
            let mut command = session.command(line);
            let closed = || {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                Stdio::from(writer)
            };
            if close_stdout {
                command.stdout(closed());
            }
            if close_stderr {
                command.stderr(closed());
            }
            let output = command.spawn().unwrap().wait_with_output().await.unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code();
            let expected = i32::from(line.ends_with("nowhere.plan") || line.ends_with("bogus"));
            assert_eq!(code, Some(expected), "{line}: {stderr}");
            assert!(
                !stderr.contains("panicked") && !stderr.contains("incomplete"),
                "{line}: {stderr}"
            );
        }
    }
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_on_stdout_is_an_error() {
    let mut session = Session::start().await;
    session
        .gaib(&format!("server init --theme basic --guild {GUILD}"))
        .await;
    for line in WRITERS.into_iter().filter(|line| *line != "--help") {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = session.command(line);
        command.stdout(Stdio::from(full));
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(stderr.contains("output is incomplete"), "{line}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_needs_neither_token_nor_network() {
    let mut session = Session::start().await;
    session.environment("DISCORD_TOKEN", None);
    session.environment("DISCORD_API_BASE", None);
    let none = session.gaib("server validate").await;
    assert_eq!(none.code, 1);
    session.write(
        "discord-server.yaml",
        "theme: sietch\nroles:\n  usul: { color: \"#1ABC9C\" }\n",
    );
    let valid = session.gaib("server validate").await;
    assert_eq!(
        (valid.stdout.as_str(), valid.code),
        (
            "discord-server.yaml is valid: 15 roles, 9 categories, 23 channels.\n",
            0
        ),
        "{}",
        valid.stderr
    );
    session.write("discord-server.yaml", "roles:\n  guard: { colour: red }\nchannel: {}\n");
    let broken = session.gaib("server validate").await;
    assert_eq!(broken.code, 1);
    assert!(
        broken.stdout.is_empty() && broken.stderr.contains("2 problems"),
        "{}",
        broken.stderr
    );
    let broken = session.gaib("server validate --json").await;
    let messages: Vec<Value> = broken
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| messages.iter().filter(|message| message["type"] == kind).count();
    assert_eq!(
        (of("version"), of("problem"), of("validated"), of("diagnostic")),
        (1, 2, 1, 1),
        "{messages:?}"
    );
    let verdict = messages.iter().find(|message| message["type"] == "validated").unwrap();
    assert_eq!(
        *verdict,
        json!({"type": "validated", "file": "discord-server.yaml", "valid": false})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn theme_announcement_channel_becomes_text_without_community() {
    let mut session = Session::with(json!({ "name": "Sietch Tabr", "community": false })).await;
    session
        .gaib(&format!("server init --theme sietch --guild {GUILD}"))
        .await;
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let warning = "warning: channel.announcements is a text channel here";
    let mut from_warning = applied.stderr.lines().skip_while(|line| !line.starts_with(warning));
    let advice = from_warning.nth(1).unwrap_or_default();
    assert!(
        advice.contains("`gaib server init --theme NAME --community` writes in an empty folder"),
        "{}",
        applied.stderr
    );
    // The warning is not repeated for the channel that exists.
    for line in [
        "server plan --detailed-exitcode",
        "server diff",
        "server apply --auto-approve",
    ] {
        let later = session.gaib(line).await;
        assert!(
            later.code == 0 && !later.stderr.contains("warning"),
            "{line}: {}",
            later.stderr
        );
    }
    // The section that the warning refers to enables Community.
    let empty = session.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let written = session.gaib_in(&empty, "server init --theme sietch --community").await;
    assert_eq!(written.code, 0, "{}", written.stderr);
    let section = section_server(&session.read("empty/discord-server.yaml"));
    assert!(
        section.contains("  community: true") && section.contains("  rules_channel: water-discipline"),
        "{section}"
    );
    let own = session.read("discord-server.yaml");
    session.write("discord-server.yaml", &own.replace(&section_server(&own), &section));
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let export = session.gaib("server export").await.stdout;
    assert!(
        export.contains("kind: announcement") && export.contains("community: true"),
        "{export}"
    );
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
}

/// The lines of the section `server`.
fn section_server(configuration: &str) -> String {
    let lines = configuration.lines().skip_while(|line| *line != "server:");
    let lines = lines.take_while(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_announcement_channel_is_refused_without_community() {
    let mut session = Session::with(json!({ "name": "Sietch Tabr", "community": false })).await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let own = "channels:\n  rules: {}\n  council: { overwrites: { everyone: { deny: [VIEW_CHANNEL] } } }\n  news: { kind: announcement }\n";
    session.write("discord-server.yaml", own);
    for line in ["server plan", "server apply --auto-approve"] {
        let refused = session.gaib(line).await;
        assert_eq!(refused.code, 1, "{line}");
        for lines in [
            "  rules_channel: channel.rules\n",
            "  public_updates_channel: channel.council\n",
        ] {
            assert!(refused.stderr.contains(lines), "{line}: {}", refused.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn init_with_community_enables_community() {
    for option in ["", " --link"] {
        let mut session = Session::with(json!({ "name": "Sietch Tabr", "community": false })).await;
        let alone = session.gaib("server init --community").await;
        assert_eq!(alone.code, 1);
        session
            .gaib(&format!(
                "server init --theme sietch --community --guild {GUILD}{option}"
            ))
            .await;
        let applied = session.gaib("server apply --auto-approve").await;
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        assert!(!applied.stderr.contains("warning"), "{}", applied.stderr);
        let export = session.gaib("server export").await.stdout;
        assert!(
            export.contains("kind: announcement") && export.contains("community: true"),
            "{export}"
        );
        assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn init_of_a_theme_names_what_changes_of_the_server_itself() {
    for (option, source) in [("", "The section `server`"), (" --link", "The theme")] {
        let mut session = Session::with(json!({ "name": "Carthag", "community": true })).await;
        let init = format!("server init --theme basic --guild {GUILD}{option}");
        let written = session.gaib(&format!("{init} --var community_name=Carthag")).await;
        let expected = format!(
            "{source} names the server \"Carthag\" and sets verification_level, default_notifications, explicit_content_filter:"
        );
        assert!(written.stderr.contains(&expected), "{}", written.stderr);
        let plan = session.gaib("server plan").await;
        assert!(!plan.stdout.contains("~ name"), "{}", plan.stdout);
        let renamed = session.gaib(&format!("{init} --force")).await;
        assert!(
            renamed.stderr.contains("names the server \"Community\""),
            "{}",
            renamed.stderr
        );
        let plan = session.gaib("server plan").await;
        assert!(plan.stdout.contains("\"Carthag\" -> \"Community\""), "{}", plan.stdout);
    }
    let mut session = Session::start().await;
    let written = session.gaib(&format!("server init --guild {GUILD}")).await;
    assert!(!written.stderr.contains("names the server"), "{}", written.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_of_the_state_are_one_line() {
    let mut session = Session::with(json!({ "name": "Sietch Tabr", "community": true })).await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let roles = |own: &str, color: &str| {
        format!(
            "roles:\n  naib: {{ name: Naib{own} }}\n  usul: {{ name: Usul{own} }}\n  hajra: {{ name: Hajra{own} }}\n  \
             qanat: {{ name: Qanat, color: \"{color}\" }}\n"
        )
    };
    session.write("discord-server.yaml", &roles("", "#111111"));
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    // The values that Discord has already: the state gets them without a request.
    session.write("discord-server.yaml", &roles(", hoist: false", "#222222"));
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    for expected in [
        "refresh 3 resources in the state: done",
        "change role.qanat (color): done",
    ] {
        assert!(applied.stderr.contains(expected), "{expected}: {}", applied.stderr);
    }
    assert!(!applied.stderr.contains("refresh role."), "{}", applied.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_states_why_everyone_is_not_managed_any_more() {
    let mut session = Session::with(json!({ "name": "Sietch Tabr", "community": true })).await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "roles:\n  everyone: { permissions: [VIEW_CHANNEL] }\n  naib: { name: Naib }\n",
    );
    let applied = session.gaib("server apply --auto-approve").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    session.write("discord-server.yaml", "roles:\n  naib: { name: Naib }\n");
    let plan = session.gaib("server plan").await;
    for expected in [
        "role.everyone is not in the configuration and will no longer be managed; Discord does not delete it",
        "0 to destroy, 1 to forget",
    ] {
        assert!(plan.stdout.contains(expected), "{expected}: {}", plan.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_read_permissions_are_reported_together() {
    let mut session = Session::with(json!({
        "name": "Carthag", "community": true, "bot": { "permissions": ["VIEW_CHANNEL", "MANAGE_ROLES"] },
    }))
    .await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "channels:\n  gate: {}\nwebhooks:\n  news: { channel: gate, name: News }\nautomod:\n  words: { trigger: { spam: true }, actions: [{ block_message: No. }] }\n",
    );
    let refused = session.gaib("server plan").await;
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .stderr
            .contains("webhooks, rules of auto moderation; grant: MANAGE_WEBHOOKS, MANAGE_GUILD"),
        "{}",
        refused.stderr
    );
    // An export contains the resources that the bot may read.
    let export = session.gaib("server export --include-unmanaged").await;
    assert_eq!(export.code, 0, "{}", export.stderr);
    let by_hand = session.by_hand(Method::POST, "roles", json!({ "name": "Baron" }));
    by_hand.await;
    assert!(
        session
            .gaib("server export --include-unmanaged")
            .await
            .stdout
            .contains("Baron")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_prints_the_warnings_of_the_plan_and_no_blocking_finding() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let absent_member =
        "channels:\n  gate:\n    overwrites:\n      member:1200000000000000111: { allow: [VIEW_CHANNEL] }\n";
    session.write("discord-server.yaml", absent_member);
    let plan = session.gaib("server plan").await;
    assert!(plan.code == 0 && plan.stderr.contains("warning: "), "{plan:?}");
    assert_eq!(session.gaib("server diff").await.stderr, plan.stderr);
    let too_long = format!("roles:\n  guard:\n    name: {}\n", "x".repeat(101));
    session.write("discord-server.yaml", &too_long);
    assert_eq!(session.gaib("server plan").await.code, 1);
    let diff = session.gaib("server diff").await;
    assert_eq!((diff.code, diff.stderr.as_str()), (0, ""));
}
