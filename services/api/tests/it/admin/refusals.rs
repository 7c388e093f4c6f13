//! Audit entries of refused requests.

use std::time::Duration;

use arrakis_cache::Bucket;
use arrakis_db::ApiKeyScope::{self, UsersExport, UsersRead};
use arrakis_db::{Actor, AuditEntry};
use arrakis_security::ApiKeySecret;
use arrakis_test_support::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApi, address};

async fn start() -> TestApi {
    TestApi::start_with(|config| {
        config.tuning.refusal_window = Duration::from_secs(1);
        config.trusted_proxies = "127.0.0.0/8".parse().unwrap();
    })
    .await
}

async fn platform_refusals(api: &TestApi) -> Vec<AuditEntry> {
    let mut tx = api.admin.database().global().await.unwrap();
    let mut entries = tx.platform_audit_entries(1_000).await.unwrap();
    entries.retain(|entry| entry.action == "api.refused");
    entries
}

/// Sum of the refused requests of these entries with this code.
fn count(entries: &[AuditEntry], code: &str) -> u64 {
    let requests = entries
        .iter()
        .flat_map(|entry| entry.detail["requests"].as_array().unwrap());
    requests
        .filter(|requests| requests["code"] == code)
        .map(|requests| requests["count"].as_u64().unwrap())
        .sum()
}

async fn with_address(api: &TestApi, address: &str, key: Option<&str>) -> u16 {
    let request = api
        .request(Method::GET, "/admin/users")
        .header("x-forwarded-for", address);
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    api.send(request).await.status
}

#[tokio::test]
async fn requests_without_a_valid_key_are_audited_by_address() {
    let api = start().await;
    let unknown = ApiKeySecret::generate().expose().to_owned();
    for _ in 0..3 {
        assert_eq!(with_address(&api, "2001:db8::7", None).await, 401);
        assert_eq!(with_address(&api, "2001:db8::8", Some(&unknown)).await, 401);
    }
    // No route of admins, and no refusal: not audited.
    api.get("/nowhere").await;
    let counted = async || count(&platform_refusals(&api).await, "invalid-key") == 3;
    eventually(counted, "the audit entry").await;
    let entries = platform_refusals(&api).await;
    assert_eq!(count(&entries, "key-required"), 3);
    assert!(entries.len() < 6, "{entries:?}");
    for entry in &entries {
        assert_eq!(entry.actor, Actor::System("api".to_owned()));
        assert_eq!(entry.subject, "2001:db8::/64");
        assert_eq!(entry.detail["requests"][0]["route"], "/admin/users");
        assert!(!entry.detail.to_string().contains(&unknown), "{entry:?}");
    }
}

#[tokio::test]
async fn refused_requests_with_a_key_are_in_the_log_of_its_community_or_the_platforms() {
    let api = start().await;
    let (here, elsewhere) = (api.community(100).await, api.community(200).await);
    let stranger = api.member(7, "Chani", address(1), &[elsewhere]).await;
    let own = api.key(Some(here), &[UsersRead]).await;
    api.get_as(&own, "/admin/users/export")
        .await
        .assert_problem(403, "missing-scope");
    api.get_as(&own, "/admin/users?telegram_id=1")
        .await
        .assert_problem(403, "all-communities-required");
    api.get_as(&own, &format!("/admin/users/{}", stranger.identity))
        .await
        .assert_problem(404, "unknown-user");
    api.get_as(&own, "/admin/users").await.ok();

    let (revoked_id, revoked) = api.key_until(None, &ApiKeyScope::ALL, time::Duration::days(1)).await;
    let mut tx = api.admin.database().global().await.unwrap();
    assert!(tx.revoke_platform_api_key(revoked_id, "stilgar").await.unwrap());
    tx.commit().await.unwrap();
    api.get_as(&revoked, "/admin/users")
        .await
        .assert_problem(401, "invalid-key");
    // There is no such user at all: nothing was refused.
    let platform = api.key(None, &[UsersRead]).await;
    api.get_as(&platform, &format!("/admin/users/{}", Uuid::now_v7()))
        .await
        .assert_problem(404, "unknown-user");

    let of_community = async || {
        let mut tx = api.database.tenant(here).await.unwrap();
        let mut entries = tx.audit_entries(100).await.unwrap();
        entries.retain(|entry| entry.action == "api.refused");
        entries
    };
    let codes = ["missing-scope", "all-communities-required", "unknown-user"];
    let counted = async || {
        let entries = of_community().await;
        codes.iter().all(|code| count(&entries, code) == 1) && count(&platform_refusals(&api).await, "invalid-key") == 1
    };
    eventually(counted, "the audit entries").await;
    let mut tx = api.database.tenant(here).await.unwrap();
    let id = tx.api_keys().await.unwrap()[0].id;
    for entry in of_community().await {
        assert_eq!(entry.actor, Actor::Operator(format!("api-key:{id}")));
    }
    let entries = platform_refusals(&api).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0].actor, Actor::Operator(format!("api-key:{revoked_id}")));
}

#[tokio::test]
async fn many_addresses_do_not_fill_the_log_and_limits_are_audited() {
    let api = TestApi::start_with(|config| {
        config.tuning.refusal_window = Duration::from_secs(3_600);
        config.tuning.per_key = Bucket {
            burst: 1,
            refill: Duration::from_secs(3_600),
        };
        config.trusted_proxies = "127.0.0.0/8".parse().unwrap();
    })
    .await;
    for number in 0..200 {
        assert_eq!(with_address(&api, &format!("192.0.2.{number}"), None).await, 401);
    }
    let key = api.key(None, &[UsersExport]).await;
    for expected in [403, 429, 429] {
        assert_eq!(with_address(&api, "198.51.100.7", Some(&key)).await, expected);
    }
    // No answer waited for the log, which is written at the end of the minute, or of the process.
    assert_eq!(platform_refusals(&api).await, []);
    api.runtime.shutdown.soft.cancel();
    eventually(async || !platform_refusals(&api).await.is_empty(), "the audit entries").await;
    let whole = async || count(&platform_refusals(&api).await, "key-required") == 200;
    eventually(whole, "all audit entries").await;
    eventually(
        async || count(&platform_refusals(&api).await, "rate-limited") == 2,
        "the key's entry",
    )
    .await;
    let entries = platform_refusals(&api).await;
    assert_eq!(entries.len(), 22, "20 addresses, all others, the key");
    let others: Vec<_> = entries
        .iter()
        .filter(|entry| entry.subject == "other addresses")
        .collect();
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].detail["count"], json!(180));
    let of_key = entries.iter().find(|entry| entry.detail["count"] == 3).unwrap();
    let codes: Vec<&Value> = of_key.detail["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|requests| &requests["code"])
        .collect();
    assert_eq!(codes, ["missing-scope", "rate-limited"]);
}
