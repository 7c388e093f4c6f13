use arrakis_db::ApiKeyScope::UsersRead;
use serde_json::json;
use uuid::Uuid;

use crate::support::{TestApi, address};

#[tokio::test]
async fn user_has_wallets_and_history() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    let member = api.member(7, "Chani", address(1), &[]).await;
    let answer = api.get_as(&key, &format!("/admin/users/{}", member.identity)).await;
    let body = answer.ok();
    assert_eq!(
        (&body["name"], &body["discord_id"], &body["status"]),
        (&json!("Chani"), &json!("7"), &json!("active"))
    );
    assert_eq!(body["wallets"][0]["address"], address(1).to_string());
    let types: Vec<_> = body["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["WALLET_VERIFIED", "IDENTITY_CREATED"]);
    assert_eq!(body["history"][1]["data"]["display_name"], "Chani");
    assert_eq!(body["history"][0]["source"], "discord_verification");
    assert_eq!(body["history_before"], json!(null));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn unknown_user_is_404_and_a_malformed_id_400() {
    let api = TestApi::start().await;
    let key = api.key(None, &[UsersRead]).await;
    api.get_as(&key, &format!("/admin/users/{}", Uuid::now_v7()))
        .await
        .assert_problem(404, "unknown-user");
    api.get_as(&key, "/admin/users/7")
        .await
        .assert_problem(400, "invalid-parameter");
    api.get_as(&key, "/admin/users/%FF")
        .await
        .assert_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn user_of_another_community_does_not_exist_for_a_key_of_one() {
    let api = TestApi::start().await;
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    let member = api.member(7, "Chani", address(1), &[here]).await;
    let path = format!("/admin/users/{}", member.identity);
    let (own, other) = (
        api.key(Some(here), &[UsersRead]).await,
        api.key(Some(elsewhere), &[UsersRead]).await,
    );
    assert_eq!(api.get_as(&own, &path).await.ok()["name"], "Chani");
    let hidden = api.get_as(&other, &path).await;
    let missing = api.get_as(&other, &format!("/admin/users/{}", Uuid::now_v7())).await;
    let (hidden, missing) = (
        hidden.assert_problem(404, "unknown-user"),
        missing.assert_problem(404, "unknown-user"),
    );
    assert_eq!(hidden["detail"], missing["detail"]);
}
