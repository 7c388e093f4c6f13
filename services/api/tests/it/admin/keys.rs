//! API keys at every admin route.

use arrakis_db::ApiKeyScope::{
    self, ApprovalsWrite, Emergency, PlansWrite, ServersRead, ServersWrite, UsersExport, UsersRead, UsersWrite,
};
use arrakis_security::ApiKeySecret;
use arrakis_test_support::eventually;
use reqwest::Method;
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use crate::support::TestApi;

/// Each route with its scope.
fn routes() -> [(Method, String, ApiKeyScope); 23] {
    let user = format!("/admin/users/{}", Uuid::now_v7());
    let server = "/admin/servers/100";
    let checkpoint = format!("{server}/checkpoints/{}", Uuid::now_v7());
    [
        (Method::GET, "/admin/users".to_owned(), UsersRead),
        (Method::GET, user.clone(), UsersRead),
        (Method::POST, format!("{user}/suspend"), UsersWrite),
        (Method::POST, format!("{user}/restore"), UsersWrite),
        (Method::GET, format!("{user}/sessions"), UsersWrite),
        (Method::POST, format!("{user}/sessions/revoke"), UsersWrite),
        (Method::GET, "/admin/users/export".to_owned(), UsersExport),
        (Method::GET, "/admin/kill-switch".to_owned(), Emergency),
        (Method::POST, "/admin/kill-switch".to_owned(), Emergency),
        (Method::POST, "/admin/kill-switch/off".to_owned(), Emergency),
        (Method::GET, format!("{server}/plan"), ServersRead),
        (Method::PUT, format!("{server}/plan"), PlansWrite),
        (Method::GET, format!("{server}/backup-usage"), ServersRead),
        (Method::POST, format!("{server}/backup-usage"), ServersWrite),
        (Method::POST, format!("{server}/mfa"), ServersWrite),
        (Method::POST, format!("{server}/mfa/use"), ServersWrite),
        (Method::GET, format!("{server}/checkpoints"), ServersRead),
        (Method::POST, format!("{server}/checkpoints"), ServersWrite),
        (Method::GET, checkpoint.clone(), ServersRead),
        (Method::POST, format!("{checkpoint}/preview"), ServersRead),
        (Method::POST, format!("{checkpoint}/restore"), ServersWrite),
        (Method::POST, "/admin/approvals".to_owned(), ApprovalsWrite),
        (
            Method::GET,
            format!("/admin/approvals/{}", Uuid::now_v7()),
            ApprovalsWrite,
        ),
    ]
}

#[tokio::test]
async fn request_without_a_valid_key_is_401_with_a_challenge() {
    let api = TestApi::start_with(|config| config.tuning.per_address.burst = 1_000).await;
    let (_, expired) = api.key_until(None, &ApiKeyScope::ALL, Duration::seconds(-1)).await;
    let (id, revoked) = api.key_until(None, &ApiKeyScope::ALL, Duration::days(1)).await;
    let mut tx = api.admin.database().global().await.unwrap();
    assert!(tx.revoke_platform_api_key(id, "stilgar").await.unwrap());
    tx.commit().await.unwrap();
    let unknown = ApiKeySecret::generate().expose().to_owned();
    for (method, path, _) in routes() {
        let request = || api.request(method.clone(), &path);
        let missing = api.send(request()).await;
        missing.assert_problem(401, "key-required");
        assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"arrakis\""));
        api.send(request().basic_auth("user", Some("x")))
            .await
            .assert_problem(401, "key-required");
        let twice = request().bearer_auth(&unknown).header("authorization", "Bearer x");
        api.send(twice).await.assert_problem(401, "key-required");
        for (key, reason) in [
            (expired.as_str(), "expired"),
            (&revoked, "revoked"),
            (&unknown, "no such API key"),
            ("x", "an API key is"),
        ] {
            let answer = api.send(request().bearer_auth(key)).await;
            let problem = answer.assert_problem(401, "invalid-key");
            assert!(problem["detail"].as_str().unwrap().contains(reason), "{problem}");
            assert!(
                !answer.text.contains(&key[key.len().saturating_sub(20)..]) || key == "x",
                "{}",
                answer.text
            );
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("invalid_token"), "{challenge}");
        }
    }
}

#[tokio::test]
async fn key_without_the_scope_is_403() {
    let api = TestApi::start().await;
    for (method, path, scope) in routes() {
        let others: Vec<_> = ApiKeyScope::ALL.into_iter().filter(|other| *other != scope).collect();
        let key = api.key(None, &others).await;
        let answer = api.send(api.request(method, &path).bearer_auth(&key)).await;
        let problem = answer.assert_problem(403, "missing-scope");
        assert_eq!(problem["scope"], scope.as_str());
        let detail = problem["detail"].as_str().unwrap();
        for option in ["--name NAME", "--by NAME", "--all-communities", "--scope"] {
            assert!(detail.contains(option), "{detail}");
        }
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .contains("insufficient_scope")
        );
    }
}

#[tokio::test]
async fn key_of_one_community_cannot_write() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let member = api.member(7, "Chani", crate::support::address(1), &[community]).await;
    let key = api.key(Some(community), &[UsersRead, UsersWrite, UsersExport]).await;
    for change in ["suspend", "restore"] {
        let path = format!("/admin/users/{}/{change}", member.identity);
        let answer = api.post_as(&key, &path, &json!({"reason": "x"})).await;
        let problem = answer.assert_problem(403, "missing-scope");
        assert!(
            problem["detail"].as_str().unwrap().contains("--all-communities"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn use_of_a_key_is_recorded_once_an_hour() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let platform = api.key(None, &[UsersRead]).await;
    let own = api.key(Some(community), &[UsersRead]).await;
    for key in [&platform, &own] {
        let hash = *ApiKeySecret::parse(key).unwrap().hash().as_bytes();
        let last_used = async || api.admin.api_key_by_hash(&hash).await.unwrap().unwrap().last_used_at;
        assert_eq!(last_used().await, None);
        api.get_as(key, "/admin/users").await.ok();
        let first = last_used().await.unwrap();
        api.get_as(key, "/admin/users").await.ok();
        assert_eq!(last_used().await, Some(first));
    }
}

#[tokio::test]
async fn requests_with_one_key_are_limited() {
    let api = TestApi::start_with(|config| config.tuning.per_key.burst = 2).await;
    let (first, second) = (api.key(None, &[UsersRead]).await, api.key(None, &[UsersRead]).await);
    for left in [1, 0] {
        let answer = api.get_as(&first, "/admin/users").await;
        answer.ok();
        let limits: Vec<_> = answer
            .headers
            .get_all("ratelimit")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        let expected = format!("\"key\";r={left};");
        assert!(limits.iter().any(|limit| limit.starts_with(&expected)), "{limits:?}");
    }
    let refused = api.get_as(&first, "/admin/users").await;
    refused.assert_problem(429, "rate-limited");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(api.metric("arrakis_api_rate_limited_total{limit=\"key\"}"), 1.0);
    api.get_as(&second, "/admin/users").await.ok();
    let again = async || api.get_as(&first, "/admin/users").await.status == 200;
    eventually(again, "the bucket to be refilled").await;
}
