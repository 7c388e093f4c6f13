//! All commands on one server, from its theme to its destruction.

use reqwest::Method;
use serde_json::json;

use crate::session::{GUILD, Session, exists};

#[tokio::test(flavor = "multi_thread")]
async fn server_from_theme_to_destroy() {
    let mut session = Session::start().await;
    session.gaib("server theme ls").await;
    session.gaib("server theme info sietch").await;
    session
        .gaib(&format!("server init --theme sietch --guild {GUILD}"))
        .await;
    session.gaib("server plan").await;
    let applied = session.answering("server apply", Some("yes\n")).await;
    assert_eq!(applied.code, 0);
    assert!(
        applied
            .stdout
            .contains("Apply complete: 47 added, 1 changed, 0 destroyed.")
    );
    session.gaib("server state ls").await;
    session.gaib("server state show channel.announcements").await;
    let settled = session.gaib("server diff --detailed-exitcode").await;
    assert_eq!(
        (settled.stdout.as_str(), settled.code),
        ("No changes. The server matches the configuration.\n", 0)
    );
    session
        .by_hand(Method::PATCH, "roles/Naib", json!({ "color": "#112233" }))
        .await;
    assert_eq!(session.gaib("server diff --detailed-exitcode").await.code, 2);
    session.write(
        "discord-server.yaml",
        "theme: sietch\nroles:\n  usul: { color: \"#1ABC9C\" }\nchannels:\n  door: { topic: Knock. }\n",
    );
    session.gaib("server diff").await;
    session.gaib("server apply --auto-approve").await;
    assert!(session.gaib("server diff").await.stdout.starts_with("No changes."));
    session.gaib("server export -o out.yaml --backup").await;
    assert!(exists(
        &session,
        &format!(".gaib/backups/exports/{GUILD}/config.latest.yaml")
    ));
    let again = session.gaib("server plan --file out.yaml --detailed-exitcode").await;
    assert_eq!(
        (again.stdout.as_str(), again.code),
        ("No changes. The server matches the configuration.\n", 0)
    );
    session.answering("server destroy", Some("no\n")).await;
    let destroyed = session.gaib("server destroy --auto-approve").await;
    assert!(
        destroyed
            .stdout
            .contains("Destroy complete: 0 added, 0 changed, 48 destroyed")
    );
    let left = session.gaib("server state ls").await;
    assert_eq!((left.stdout.as_str(), left.code), ("", 0));
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn single_file_apply_and_json_messages() {
    let mut session = Session::start().await;
    session.write(
        "server.yaml",
        "roles:\n  guard: { name: Guard, hoist: true }\nchannels:\n  gate: { topic: Halt. }\n",
    );
    session
        .gaib(&format!("apply server.yaml --guild {GUILD} --input=false"))
        .await;
    session
        .gaib(&format!("apply server.yaml --guild {GUILD} --auto-approve --json"))
        .await;
    session
        .gaib(&format!("apply server.yaml --guild {GUILD} --auto-approve"))
        .await;
    session.write(
        "server.yaml",
        "roles:\n  guard: { name: Guard, hoist: true }\nchannels:\n  gate: { kind: voice }\n",
    );
    let refused = session
        .gaib(&format!("apply server.yaml --guild {GUILD} --auto-approve"))
        .await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--allow-replace"), "{}", refused.stderr);
    let replaced = session
        .gaib(&format!(
            "apply server.yaml --guild {GUILD} --auto-approve --allow-replace"
        ))
        .await;
    assert_eq!(replaced.code, 0);
    insta::assert_snapshot!(session.transcript());
}
