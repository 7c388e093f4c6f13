//! The OpenAPI document: it is complete, and every documented answer is given and has the documented form. The other tests compare each of
//! their answers with it, too.

use arrakis_config::Secret;
use arrakis_db::{ApiKeyScope, CommunityId, UserId};
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;
use uuid::Uuid;

use crate::admin::servers::{alter_checkpoints, lists};
use crate::approvals::{configure, plan};
use crate::support::slack::{SlackDouble, click};
use crate::support::{TestApi, address, holder};

#[tokio::test]
async fn document_describes_every_route_and_its_key() {
    let api = TestApi::start().await;
    let document = api.document().value();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    assert_eq!(document["servers"][0]["url"], "https://verify.example.org");
    let paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "/admin/approvals",
        "/admin/approvals/{id}",
        "/admin/kill-switch",
        "/admin/kill-switch/off",
        "/admin/servers/{guild}/backup-usage",
        "/admin/servers/{guild}/checkpoints",
        "/admin/servers/{guild}/checkpoints/{id}",
        "/admin/servers/{guild}/checkpoints/{id}/preview",
        "/admin/servers/{guild}/checkpoints/{id}/restore",
        "/admin/servers/{guild}/mfa",
        "/admin/servers/{guild}/mfa/use",
        "/admin/servers/{guild}/plan",
        "/admin/users",
        "/admin/users/export",
        "/admin/users/{id}",
        "/admin/users/{id}/restore",
        "/admin/users/{id}/sessions",
        "/admin/users/{id}/sessions/revoke",
        "/admin/users/{id}/suspend",
        "/assets/verify/{file}",
        "/eligibility",
        "/eligibility/{address}",
        "/internal/telegram/accounts/{id}",
        "/internal/telegram/accounts/{id}/separate",
        "/internal/telegram/accounts/{id}/wallets/{address}",
        "/internal/telegram/notices/take",
        "/internal/telegram/notices/{id}",
        "/internal/telegram/sessions",
        "/internal/telegram/sessions/{id}/answer",
        "/openapi.json",
        "/verify/{token}",
        "/verify/{token}/message",
        "/verify/{token}/move",
        "/verify/{token}/session",
        "/verify/{token}/signature",
        "/webhooks/slack",
    ];
    assert_eq!(paths, expected);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let needs_key = path.starts_with("/admin") || path.starts_with("/internal");
            assert_eq!(
                operation["security"] == json!([{"api_key": []}]),
                needs_key,
                "{method} {path}"
            );
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            for status in ["429", "500", "503"] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{method} {path} lacks {status}"
                );
            }
        }
    }
    assert_references(document, document);
}

/// Every `$ref` names a part of the document.
fn assert_references(document: &Value, value: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} does not exist");
            }
            object.values().for_each(|value| assert_references(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| assert_references(document, value)),
        _ => {}
    }
}

/// Makes requests with every documented answer but those of limits, defects and unavailable dependencies.
async fn call_every_route(api: &TestApi) {
    let community = api.community(100).await;
    api.ranking("bgt", &[holder(1, 5)], Duration::ZERO).await;
    let member = api.member(7, "Chani", address(1), &[community]).await;
    let key = api.key(None, &ApiKeyScope::ALL).await;
    for path in ["/eligibility".to_owned(), format!("/eligibility/{}", address(1))] {
        let etag = api.get(&path).await.header("etag").unwrap().to_owned();
        api.send(api.request(Method::GET, &path).header("if-none-match", etag))
            .await;
        api.get(&format!("{path}?profile=other")).await;
        api.get(&format!("{path}?x=y")).await;
    }
    api.get("/openapi.json").await;
    let user = format!("/admin/users/{}", member.identity);
    let unknown = format!("/admin/users/{}", Uuid::now_v7());
    let none = api.key(Some(community), &[ApiKeyScope::UsersWrite]).await;
    for path in ["/admin/users", &user, "/admin/users/export"] {
        for request in [path.to_owned(), format!("{path}?x=y")] {
            api.get_as(&key, &request).await;
        }
        api.get(path).await;
        api.get_as(&none, path).await;
    }
    api.get_as(&key, &unknown).await;
    let export = api.request(Method::GET, "/admin/users/export").bearer_auth(&key);
    api.send(export.header("accept", "image/png")).await;
    api.get_as(&key, "/admin/users/export?format=csv").await;
    let sessions = format!("{user}/sessions");
    api.get_as(&key, &sessions).await.ok();
    api.get(&sessions).await;
    api.get_as(&none, &sessions).await;
    api.get_as(&key, &format!("{unknown}/sessions")).await;
    api.get_as(&key, "/admin/users/x/sessions").await;
    for change in ["suspend", "restore", "restore", "sessions/revoke"] {
        let (path, unknown) = (format!("{user}/{change}"), format!("{unknown}/{change}"));
        let reason = json!({"reason": "a reason"});
        api.post_as(&key, &path, &reason).await;
        api.post_as(&key, &unknown, &reason).await;
        api.post_as(&none, &path, &reason).await;
        api.post_as(&key, &path, &json!({})).await;
        api.post_as(&key, &path, &json!({"reason": "x".repeat(20_000)})).await;
        let request = || api.request(Method::POST, &path);
        api.send(request().bearer_auth(&key)).await;
        api.send(request()).await;
    }
    call_routes_of_telegram(api, &key, &none).await;
    call_routes_of_servers(api, community, &key, &none).await;
    call_routes_of_mfa(api, &none).await;
    call_routes_of_the_kill_switch(api, &none).await;
    call_routes_of_approvals(api, &key, &none).await;
}

async fn call_routes_of_mfa(api: &TestApi, none: &str) {
    let chani = UserId::new(7).unwrap();
    let (_, key) = api
        .key_of(None, &[ApiKeyScope::ServersWrite], Duration::days(1), Some(chani))
        .await;
    let (_, codes) = api.enrol(chani).await;
    let mut request = json!({"operation": "teardown", "plan_digest": "ab".repeat(32), "code": codes[0].expose()});
    let granted = api.post_as(&key, "/admin/servers/100/mfa", &request).await.ok();
    request["code"] = json!("000000");
    let mut used = request.clone();
    used.as_object_mut().unwrap().remove("code");
    used["grant"] = granted["grant"].clone();
    api.post_as(&key, "/admin/servers/100/mfa/use", &used).await.ok();
    for (path, body) in [("mfa", request), ("mfa/use", used)] {
        let at = |guild: &str| format!("/admin/servers/{guild}/{path}");
        for (guild, status) in [("100", 403), ("101", 404), ("x", 400)] {
            assert_eq!(
                api.post_as(&key, &at(guild), &body).await.status,
                status,
                "{path} {guild}"
            );
        }
        assert_eq!(api.post_as(none, &at("100"), &body).await.status, 403, "{path}");
        let request = || api.request(Method::POST, &at("100"));
        assert_eq!(api.send(request()).await.status, 401, "{path}");
        let large = json!({"x": "x".repeat(20_000)});
        assert_eq!(api.post_as(&key, &at("100"), &large).await.status, 413, "{path}");
        assert_eq!(api.send(request().bearer_auth(&key)).await.status, 415, "{path}");
    }
}

async fn call_routes_of_the_kill_switch(api: &TestApi, none: &str) {
    let path = "/admin/kill-switch";
    let operator = UserId::new(9).unwrap();
    let scopes = [ApiKeyScope::Emergency];
    let (_, key) = api.key_of(None, &scopes, Duration::days(1), Some(operator)).await;
    let (_, codes) = api.enrol(operator).await;
    api.get_as(&key, path).await.ok();
    api.get_as(none, path).await.assert_problem(403, "missing-scope");
    api.get(path).await.assert_problem(401, "key-required");
    let off = format!("{path}/off");
    for (path, body) in [
        (path, json!({"reason": "a test"})),
        (off.as_str(), json!({"reason": "a test", "code": codes[0].expose()})),
    ] {
        api.post_as(&key, path, &body).await.ok();
        api.post_as(none, path, &body)
            .await
            .assert_problem(403, "missing-scope");
        assert_eq!(api.post_as(&key, path, &json!({})).await.status, 400, "{path}");
        let large = json!({"x": "x".repeat(20_000)});
        assert_eq!(api.post_as(&key, path, &large).await.status, 413, "{path}");
        let request = || api.request(Method::POST, path);
        assert_eq!(api.send(request().bearer_auth(&key)).await.status, 415, "{path}");
        assert_eq!(api.send(request()).await.status, 401, "{path}");
    }
}

async fn call_routes_of_approvals(api: &TestApi, key: &str, none: &str) {
    let path = "/admin/approvals";
    let body = plan(5);
    let mut blocked = plan(5);
    blocked["verdict"] = json!("rejected");
    api.post_as(key, path, &body).await.ok();
    for (body, status) in [
        (blocked, 409),
        (json!({}), 400),
        (json!({"x": "x".repeat(200_000)}), 413),
    ] {
        assert_eq!(api.post_as(key, path, &body).await.status, status);
    }
    let request = || api.request(Method::POST, path);
    assert_eq!(api.send(request().bearer_auth(key)).await.status, 415);
    assert_eq!(api.send(request()).await.status, 401);
    assert_eq!(api.post_as(none, path, &body).await.status, 403);
    let stored = format!("{path}/{}", body["request_id"].as_str().unwrap());
    for (path, status) in [
        (stored.clone(), 200),
        (format!("{path}/{}", Uuid::now_v7()), 404),
        (format!("{path}/x"), 400),
    ] {
        assert_eq!(api.get_as(key, &path).await.status, status, "{path}");
    }
    assert_eq!(api.get(&stored).await.status, 401);
    assert_eq!(api.get_as(none, &stored).await.status, 403);
    api.slack(&click("USTILGAR", "another_button", "x", "1.1")).await.ok();
    api.slack(&click("USTILGAR", "approval_approve", "x", "1.1"))
        .await
        .assert_problem(400, "invalid-body");
    for (body, status) in [(String::new(), 401), ("x".repeat(2 << 20), 413)] {
        assert_eq!(api.slack_raw("1", "v0=00", body).await.status, status);
    }
}

async fn call_routes_of_servers(api: &TestApi, community: CommunityId, key: &str, none: &str) {
    let created = json!({"request_id": Uuid::now_v7(), "purpose": "manual", "server": lists(&[])});
    let created = api.post_as(key, "/admin/servers/100/checkpoints", &created).await.ok();
    let checkpoint = format!("checkpoints/{}", created["checkpoint"]["id"].as_str().unwrap());
    let restore = json!({"request_id": Uuid::now_v7(), "server": lists(&[])});
    let calls = [
        (Method::GET, "plan".to_owned(), Value::Null),
        (Method::PUT, "plan".to_owned(), json!({"plan": "premium"})),
        (Method::GET, "backup-usage".to_owned(), Value::Null),
        (
            Method::POST,
            "backup-usage".to_owned(),
            json!({"kind": "backup", "request_id": Uuid::now_v7()}),
        ),
        (Method::GET, "checkpoints".to_owned(), Value::Null),
        (
            Method::POST,
            "checkpoints".to_owned(),
            json!({"request_id": Uuid::now_v7(), "purpose": "manual"}),
        ),
        (Method::GET, checkpoint.clone(), Value::Null),
        (
            Method::POST,
            format!("{checkpoint}/preview"),
            json!({"server": lists(&[])}),
        ),
        (Method::POST, format!("{checkpoint}/restore"), restore.clone()),
    ];
    for (method, path, body) in &calls {
        let request = |guild: &str| api.request(method.clone(), &format!("/admin/servers/{guild}/{path}"));
        let with_body = |guild: &str| match body {
            Value::Null => request(guild).bearer_auth(key),
            body => request(guild).bearer_auth(key).json(body),
        };
        for (guild, status) in [("100", 200), ("101", 404), ("x", 400)] {
            assert_eq!(
                api.send(with_body(guild)).await.status,
                status,
                "{method} {path} {guild}"
            );
        }
        assert_eq!(api.send(request("100")).await.status, 401, "{method} {path}");
        let refused = api.send(request("100").bearer_auth(none)).await;
        assert_eq!(refused.status, 403, "{method} {path}");
        if !body.is_null() {
            let large = json!({"x": "x".repeat(600_000)});
            let large = request("100").bearer_auth(key).json(&large);
            assert_eq!(api.send(large).await.status, 413, "{method} {path}");
            assert_eq!(
                api.send(request("100").bearer_auth(key)).await.status,
                415,
                "{method} {path}"
            );
        }
    }
    // An id that has stored a checkpoint for another purpose.
    let mut other = calls[5].2.clone();
    other["purpose"] = json!("teardown");
    api.post_as(key, "/admin/servers/100/checkpoints", &other)
        .await
        .assert_problem(409, "request-conflict");
    // An altered checkpoint.
    alter_checkpoints(api, community).await;
    for (method, path, body) in &calls[6..] {
        let request = api.request(method.clone(), &format!("/admin/servers/100/{path}"));
        let mut body = body.clone();
        if !body["request_id"].is_null() {
            body["request_id"] = json!(Uuid::now_v7());
        }
        let answer = api.send(request.bearer_auth(key).json(&body)).await;
        answer.assert_problem(409, "damaged-checkpoint");
    }
}

async fn call_routes_of_telegram(api: &TestApi, key: &str, none: &str) {
    let id = Uuid::now_v7();
    let answer = format!("/internal/telegram/sessions/{id}/answer");
    for (path, body) in [
        (
            "/internal/telegram/sessions",
            json!({"telegram_user_id": 42, "name": "Chani"}),
        ),
        (&answer, json!({"telegram_user_id": 42, "consents": true})),
        ("/internal/telegram/notices/take", json!({"wait_seconds": 0})),
    ] {
        api.post_as(key, path, &body).await.ok();
        api.post_as(none, path, &body)
            .await
            .assert_problem(403, "missing-scope");
        api.post_as(key, path, &json!({})).await;
        api.post_as(key, path, &json!({"x": "x".repeat(20_000)})).await;
        let request = || api.request(Method::POST, path);
        api.send(request().bearer_auth(key)).await;
        api.send(request()).await;
    }
    let account = "/internal/telegram/accounts";
    let wallet = format!("wallets/{}", address(1));
    for (method, path, malformed) in [
        (Method::GET, format!("{account}/42"), format!("{account}/x")),
        (
            Method::DELETE,
            format!("{account}/42/{wallet}"),
            format!("{account}/42/wallets/0x12"),
        ),
        (
            Method::POST,
            format!("{account}/42/separate"),
            format!("{account}/0/separate"),
        ),
        (
            Method::DELETE,
            format!("/internal/telegram/notices/{id}"),
            "/internal/telegram/notices/1".to_owned(),
        ),
    ] {
        let request = |path: &str| api.request(method.clone(), path);
        assert!(api.send(request(&path).bearer_auth(key)).await.status < 300);
        assert_eq!(api.send(request(&malformed).bearer_auth(key)).await.status, 400);
        assert_eq!(api.send(request(&path).bearer_auth(none)).await.status, 403);
        assert_eq!(api.send(request(&path)).await.status, 401);
    }
}

#[tokio::test]
async fn every_documented_answer_is_given_in_the_documented_form() {
    arrakis_runtime::install_crypto_provider();
    let slack = SlackDouble::start().await;
    let api = TestApi::start_with(|config| {
        configure(config, Some(&slack));
        config.kill_switch.operators = vec![9];
        // No replica: the credential proves the end.
        config.kill_switch.proxies = Some((Vec::new(), Secret::new("credential-of-the-kill-switch")));
    })
    .await;
    call_every_route(&api).await;
    // The requests of the wallet page have tests of their own.
    let is_page = |answer: &String| answer.contains("/verify/");
    let not_called =
        |answer: &String| !["429", "500", "503"].iter().any(|status| answer.ends_with(status)) && !is_page(answer);
    let missing: Vec<_> = api
        .document()
        .answers()
        .difference(&api.document().seen())
        .filter(|answer| not_called(answer))
        .cloned()
        .collect();
    assert!(
        missing.is_empty(),
        "documented, and given by no request of this test: {missing:#?}"
    );
}

#[tokio::test]
async fn path_and_method_without_a_route_are_problems() {
    let api = TestApi::start().await;
    for path in ["/", "/admin", "/eligibility/", "/admin/users/1/2/3"] {
        api.get(path).await.assert_problem(404, "unknown-route");
    }
    let answer = api.send(api.request(Method::DELETE, "/eligibility")).await;
    answer.assert_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    assert_eq!(
        api.metric("arrakis_api_requests_total{method=\"GET\",route=\"none\",status=\"404\"}"),
        4.0
    );
}
