//! Attributes after an import, and values that a plan cannot send.

use reqwest::Method;
use serde_json::{Value, json};

use crate::session::{GUILD, Session};

/// A manual change through Discord's API.
async fn by_api(session: &Session, method: Method, path: &str, body: Value) -> Value {
    let url = format!("{}{path}", session.emulator.addresses().rest);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .request(method, url)
        .header("Authorization", format!("Bot {}", session.emulator.token()));
    let response = request.json(&body).send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    response.json().await.unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn manual_change_of_a_default_is_detected_after_import() {
    let role = "1200000000000000778";
    let mut session = Session::with(json!({ "name": "Carthag", "roles": [{ "id": role, "name": "Guard" }] })).await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    assert_eq!(session.gaib("server import --all").await.code, 0);
    assert!(session.read("discord-server.yaml").contains("defaults: managed"));
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    let changes = [
        (
            format!("/guilds/{GUILD}/roles/{role}"),
            json!({ "mentionable": true }),
            "mentionable",
        ),
        (
            format!("/guilds/{GUILD}/roles/{role}"),
            json!({ "hoist": true }),
            "hoist",
        ),
        (
            format!("/guilds/{GUILD}"),
            json!({ "verification_level": 3 }),
            "verification_level",
        ),
    ];
    for (path, body, field) in changes {
        by_api(&session, Method::PATCH, &path, body).await;
        let detected = session.gaib("server plan --detailed-exitcode").await;
        assert_eq!(detected.code, 2, "{field}: {}", detected.stdout);
        assert!(detected.stdout.contains(field), "{}", detected.stdout);
        assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
        assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_server_are_reported_together() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "defaults: managed\nchannels:\n  gate:\n    category: 4711\n    overwrites:\n      role:4712: { deny: [VIEW_CHANNEL] }\n      \
         member:4713: { allow: [VIEW_CHANNEL] }\n",
    );
    let refused = session.gaib("server apply --auto-approve").await;
    assert_eq!(refused.code, 1);
    let message = &refused.stderr;
    assert!(
        message.contains("4711") && message.contains("4712") && message.contains("--drop-missing"),
        "{message}"
    );
    assert!(message.contains("member:4713"), "{message}");
    let copied = session.gaib("server apply --auto-approve --drop-missing").await;
    assert_eq!(copied.code, 0, "{}", copied.stderr);
    assert_eq!(
        session
            .gaib("server plan --detailed-exitcode --drop-missing")
            .await
            .code,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn value_beyond_a_limit_is_refused_with_its_position() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        &format!("roles:\n  guard:\n    name: {}\n", "x".repeat(101)),
    );
    let invalid = session.gaib("server validate").await;
    assert_eq!(invalid.code, 1);
    let message = &invalid.stderr;
    assert!(
        message.contains("3:11: role.guard: the text has 101 characters"),
        "{message}"
    );
    let refused = session.gaib("server plan").await;
    assert_eq!(refused.code, 1);
    assert!(
        refused
            .stderr
            .contains("discord-server.yaml:3:11: role.guard: the text has 101 characters"),
        "{}",
        refused.stderr
    );
}
