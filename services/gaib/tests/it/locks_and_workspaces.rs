//! Locks, stale plans, pushed states and workspaces.

use reqwest::Method;
use serde_json::json;

use crate::session::{GUILD, Session};

const ONE_ROLE: &str = "roles:\n  guard: { name: Guard }\n";

#[tokio::test(flavor = "multi_thread")]
async fn stale_plan_is_refused() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    session.gaib("server plan --out first.plan").await;
    session.by_hand(Method::POST, "roles", json!({ "name": "Baron" })).await;
    session.gaib("server apply first.plan").await;
    session.gaib("server plan --out second.plan").await;
    let applied = session.gaib("server apply second.plan").await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let stale = session.gaib("server apply second.plan").await;
    assert_eq!(stale.code, 1);
    session.write(
        "second.plan",
        &session.read("second.plan").replace("Guard", "Baron").replace('\n', ""),
    );
    let text = session.transcript();
    let cut = text.find("# second.plan now reads").unwrap_or(text.len());
    let forged = session.gaib("server apply second.plan").await;
    assert_eq!(forged.code, 1);
    assert!(
        forged.stderr.contains("was changed after it was created"),
        "{}",
        forged.stderr
    );
    insta::assert_snapshot!(text[..cut].to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_command_reports_the_lock_holder() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    let locked = session.gaib("server lock --reason \"moving house\"").await;
    let id = locked.stdout.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 1);
    session
        .gaib("server force-unlock 00000000-0000-4000-8000-000000000000 --force")
        .await;
    session.gaib(&format!("server force-unlock {id} --input=false")).await;
    session
        .answering(&format!("server force-unlock {id}"), Some("yes\n"))
        .await;
    session.gaib("server unlock").await;
    assert_eq!(session.gaib("server apply --auto-approve").await.code, 0);
    session.gaib("server lock").await;
    session.gaib("server unlock").await;
    insta::assert_snapshot!(session.transcript());
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces_and_state_push() {
    let mut session = Session::start().await;
    session.gaib(&format!("server init --guild {GUILD}")).await;
    session.write("discord-server.yaml", ONE_ROLE);
    session.gaib("server state pull").await;
    session.gaib("server apply --auto-approve").await;
    let first = session.gaib("server state pull").await.stdout;
    session.gaib("server state rm role.guard").await;
    std::fs::write(session.folder.path().join("first.json"), &first).unwrap();
    session.gaib("server state push first.json").await;
    let later = first.replace("\"serial\": ", "\"serial\": 1");
    std::fs::write(session.folder.path().join("later.json"), later).unwrap();
    assert_eq!(session.gaib("server state push later.json").await.code, 0);
    session.gaib("server state ls").await;
    std::fs::write(session.folder.path().join("broken.json"), "{\"version\": 1,").unwrap();
    session.gaib("server state push broken.json").await;
    session
        .gaib("server workspace new staging --guild 1200000000000000999")
        .await;
    session.gaib("server state push first.json").await;
    let other = first.replace(GUILD, "1200000000000000999");
    std::fs::write(session.folder.path().join("other.json"), other).unwrap();
    session.gaib("server state push other.json").await;
    session.gaib("server plan").await;
    session.gaib("server workspace ls").await;
    session.gaib("server workspace delete staging").await;
    session.gaib("server workspace select default").await;
    session.gaib("server workspace delete staging").await;
    session.gaib("server workspace delete staging --force").await;
    session.gaib("server workspace select staging").await;
    session.gaib("server workspace ls --json").await;
    insta::assert_snapshot!(session.transcript());
}
