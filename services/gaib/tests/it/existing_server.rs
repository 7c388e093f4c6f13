//! Import of an existing server.

use reqwest::Method;
use serde_json::json;

use crate::session::{GUILD, Session};

#[tokio::test(flavor = "multi_thread")]
async fn existing_server_is_imported_changed_and_applied() {
    let mut session = Session::with(json!({ "name": "Carthag", "community": false })).await;
    session
        .by_hand(
            Method::POST,
            "roles",
            json!({ "name": "Baron", "color": "#112233", "permissions": ["MANAGE_MESSAGES"] }),
        )
        .await;
    session.by_hand(Method::POST, "roles", json!({ "name": "Guard" })).await;
    session
        .by_hand(Method::POST, "channels", json!({ "name": "KEEP", "kind": "category" }))
        .await;
    let private = json!({ "name": "Inner Gate", "parent": "KEEP", "topic": "Halt",
        "permission_overwrites": [{ "role": "@everyone", "deny": ["VIEW_CHANNEL"] }, { "role": "Guard", "allow": ["VIEW_CHANNEL"] }] });
    session.by_hand(Method::POST, "channels", private).await;
    session
        .by_hand(Method::POST, "channels", json!({ "name": "gate", "parent": "KEEP" }))
        .await;
    session
        .by_hand(Method::POST, "channels", json!({ "name": "gate", "parent": "KEEP" }))
        .await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.gaib("server import --all").await;
    let text = session.read("discord-server.yaml");
    session.note(&format!("# discord-server.yaml now reads:\n{text}\n"));
    let same = session.gaib("server plan --detailed-exitcode").await;
    assert_eq!(same.code, 0, "{}", same.stdout);
    let changed = text
        .replace("Halt", "Halt, who goes there?")
        .replace("#112233", "#445566");
    session.write("discord-server.yaml", &changed);
    session.gaib("server apply --auto-approve").await;
    assert_eq!(session.gaib("server plan --detailed-exitcode").await.code, 0);
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_resource_is_imported_by_its_id() {
    let mut session = Session::with(json!({
        "name": "Carthag", "roles": [{ "id": "1200000000000000778", "name": "Guard" }],
    }))
    .await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write(
        "discord-server.yaml",
        "roles:\n  watch: { name: Watch, color: \"#112233\" }\n",
    );
    session.gaib("server import role.watch 1200000000000000778").await;
    session.gaib("server import role.watch 1200000000000000778").await;
    session.gaib("server import role.other 1200000000000000778").await;
    session.gaib("server import role.other 1200000000000000779").await;
    session.gaib("server import role.other Guard").await;
    session.gaib("server plan").await;
    session.gaib("server state mv role.watch role.night-watch").await;
    session.gaib("server state rm role.night-watch").await;
    session.gaib("server state ls").await;
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_of_an_existing_server_without_a_state_proposes_the_import() {
    let mut session = Session::with(json!({ "name": "Carthag", "roles": [{ "name": "Guard" }] })).await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    let proposal = "has 1 resource that this workspace does not manage: `gaib server import --all`";
    let planned = session.gaib("server plan").await;
    assert!(
        planned.code == 0 && planned.stderr.matches(proposal).count() == 1,
        "{planned:?}"
    );
    assert!(!session.gaib("server diff").await.stderr.contains(proposal));
    assert_eq!(session.gaib("server import --all").await.code, 0);
    let planned = session.gaib("server plan").await;
    assert!(planned.code == 0 && !planned.stderr.contains(proposal), "{planned:?}");
}
