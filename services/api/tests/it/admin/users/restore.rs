use arrakis_db::ApiKeyScope::{UsersRead, UsersWrite};
use serde_json::json;
use uuid::Uuid;

use super::suspend::tier_syncs;
use crate::support::{TestApi, address};

#[tokio::test]
async fn suspension_ends_and_roles_are_synced() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let member = api.member(7, "Chani", address(1), &[community]).await;
    let key = api.key(None, &[UsersRead, UsersWrite]).await;
    let path = format!("/admin/users/{}", member.identity);
    api.post_as(&key, &format!("{path}/suspend"), &json!({"reason": "a"}))
        .await
        .ok();
    let answer = api
        .post_as(&key, &format!("{path}/restore"), &json!({"reason": "a mistake"}))
        .await
        .ok();
    assert_eq!(
        (&answer["communities"], &answer["user"]["status"]),
        (&json!(1), &json!("active"))
    );
    assert_eq!(
        tier_syncs(&api, community).await.len(),
        2,
        "one for the suspension, one for its end"
    );
    let detail = api.get_as(&key, &path).await.ok();
    assert_eq!(detail["history"][0]["type"], "IDENTITY_RESTORED");
    assert_eq!(detail["history"][0]["data"]["reason"], "a mistake");
}

#[tokio::test]
async fn user_that_is_not_suspended_is_a_conflict() {
    let api = TestApi::start().await;
    let member = api.member(7, "Chani", address(1), &[]).await;
    let key = api.key(None, &[UsersWrite]).await;
    let path = format!("/admin/users/{}/restore", member.identity);
    api.post_as(&key, &path, &json!({"reason": "a"}))
        .await
        .assert_problem(409, "not-suspended");
    api.post_as(&key, &path, &json!({"reason": ""}))
        .await
        .assert_problem(400, "invalid-body");
    let unknown = format!("/admin/users/{}/restore", Uuid::now_v7());
    api.post_as(&key, &unknown, &json!({"reason": "a"}))
        .await
        .assert_problem(404, "unknown-user");
}
