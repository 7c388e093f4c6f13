use arrakis_contracts::JobKind;
use arrakis_db::ApiKeyScope::{UsersRead, UsersWrite};
use arrakis_db::CommunityId;
use arrakis_test_support::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApi, address};

/// Payloads of the tier syncs that are due in a community.
pub(super) async fn tier_syncs(api: &TestApi, community: CommunityId) -> Vec<Value> {
    let mut tx = api.database.tenant(community).await.unwrap();
    let now = time::OffsetDateTime::now_utc() + time::Duration::seconds(5);
    let due = tx.jobs().due(now, now, 10).await.unwrap();
    assert!(due.iter().all(|job| job.kind == JobKind::TierSync.name()));
    due.into_iter().map(|job| job.payload).collect()
}

#[tokio::test]
async fn suspension_is_recorded_and_roles_are_synced_in_every_community() {
    let api = TestApi::start().await;
    let (first, second, third) = (
        api.community(100).await,
        api.community(200).await,
        api.community(300).await,
    );
    let member = api.member(7, "Chani", address(1), &[first, second]).await;
    api.member(8, "Stilgar", address(2), &[third]).await;
    let key = api.key(None, &[UsersRead, UsersWrite]).await;
    let path = format!("/admin/users/{}", member.identity);
    let body = json!({"reason": "sold the sietch's water", "until": "2999-01-01T00:00:00Z"});
    let answer = api.post_as(&key, &format!("{path}/suspend"), &body).await.ok();
    assert_eq!(answer["communities"], 2);
    assert_eq!(answer["user"]["status"], "suspended");
    assert_eq!(answer["user"]["suspended_until"], "2999-01-01T00:00:00Z");
    for community in [first, second] {
        assert_eq!(tier_syncs(&api, community).await, [json!({"user": "7"})]);
    }
    assert_eq!(tier_syncs(&api, third).await, Vec::<Value>::new());
    let queue = JobKind::TierSync.queue();
    eventually(async || api.vhost.messages(&queue).await == 2, "two messages of jobs").await;
    let detail = api.get_as(&key, &path).await.ok();
    assert_eq!(detail["status"], "suspended");
    assert_eq!(detail["history"][0]["type"], "IDENTITY_SUSPENDED");
    assert_eq!(detail["history"][0]["data"]["reason"], "sold the sietch's water");
    assert!(
        detail["history"][0]["data"]["by"]
            .as_str()
            .unwrap()
            .starts_with("api-key:"),
        "{detail}"
    );
    assert_eq!(detail["history"][0]["source"], "admin");
}

#[tokio::test]
async fn second_suspension_replaces_reason_and_end() {
    let api = TestApi::start().await;
    let member = api.member(7, "Chani", address(1), &[]).await;
    let key = api.key(None, &[UsersWrite]).await;
    let path = format!("/admin/users/{}/suspend", member.identity);
    api.post_as(&key, &path, &json!({"reason": "a", "until": "2999-01-01T00:00:00Z"}))
        .await
        .ok();
    let answer = api.post_as(&key, &path, &json!({"reason": "b"})).await.ok();
    assert_eq!(
        (&answer["user"]["status"], &answer["user"]["suspended_until"]),
        (&json!("suspended"), &json!(null))
    );
    assert_eq!(answer["communities"], 0);
}

#[tokio::test]
async fn job_is_stored_while_the_broker_is_unavailable() {
    let api = TestApi::start_with(|config| {
        config.broker = arrakis_broker::BrokerSettings::new("amqp://guest:guest@127.0.0.1:1/%2f");
    })
    .await;
    let community = api.community(100).await;
    let member = api.member(7, "Chani", address(1), &[community]).await;
    let key = api.key(None, &[UsersWrite]).await;
    let path = format!("/admin/users/{}/suspend", member.identity);
    assert_eq!(
        api.post_as(&key, &path, &json!({"reason": "a"})).await.ok()["communities"],
        1
    );
    assert_eq!(tier_syncs(&api, community).await, [json!({"user": "7"})]);
    assert_eq!(api.metric("arrakis_api_unpublished_jobs_total"), 1.0);
}

#[tokio::test]
async fn invalid_request_changes_nothing() {
    let api = TestApi::start().await;
    let member = api.member(7, "Chani", address(1), &[]).await;
    let key = api.key(None, &[UsersRead, UsersWrite]).await;
    let user = format!("/admin/users/{}", member.identity);
    let path = format!("{user}/suspend");
    for (body, reason) in [
        (json!({}), "reason"),
        (json!({"reason": " "}), "1 to 500"),
        (json!({"reason": "x".repeat(501)}), "1 to 500"),
        (json!({"reason": "x", "until": "2001-01-01T00:00:00Z"}), "future"),
        (json!({"reason": "x", "until": "tomorrow"}), "until"),
        (
            json!({"reason": "x", "until": "9999-12-31T23:59:59-23:59"}),
            "at most 9999",
        ),
        (json!({"reason": "x", "untill": null}), "untill"),
        (json!([]), "the body is invalid"),
    ] {
        let problem = api
            .post_as(&key, &path, &body)
            .await
            .assert_problem(400, "invalid-body");
        assert!(
            problem["detail"].as_str().unwrap().contains(reason),
            "{body}: {problem}"
        );
    }
    let large = json!({"reason": "x".repeat(20_000)});
    api.post_as(&key, &path, &large)
        .await
        .assert_problem(413, "body-too-large");
    let request = || api.request(Method::POST, &path).bearer_auth(&key);
    api.send(request().body("reason=x"))
        .await
        .assert_problem(415, "unsupported-media-type");
    let form = request().header("content-type", "text/json").body("{}");
    api.send(form).await.assert_problem(415, "unsupported-media-type");
    for text in ["{\"reason\":", "{\"reason\":\"x\"} {}"] {
        let malformed = request().header("content-type", "application/json").body(text);
        api.send(malformed).await.assert_problem(400, "invalid-body");
    }
    let unknown = format!("/admin/users/{}/suspend", Uuid::now_v7());
    api.post_as(&key, &unknown, &json!({"reason": "x"}))
        .await
        .assert_problem(404, "unknown-user");
    api.post_as(&key, "/admin/users/7/suspend", &json!({"reason": "x"}))
        .await
        .assert_problem(400, "invalid-parameter");
    assert_eq!(
        api.get_as(&key, &user).await.ok()["history"].as_array().unwrap().len(),
        2
    );
}
