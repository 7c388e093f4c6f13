use reqwest::Method;

use crate::support::TestApi;

#[tokio::test]
async fn page_is_the_same_for_every_token_and_has_a_strict_policy() {
    let api = TestApi::start().await;
    let page = api.get("/verify/some-token").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert_eq!(api.get("/verify/another").await.text, page.text);
    let policy = page.header("content-security-policy").unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "connect-src 'self'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin-allow-popups"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    assert_eq!(page.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn files_of_the_page_are_served_by_name() {
    let api = TestApi::start().await;
    let page = api.get("/verify/some-token").await.text;
    let names: Vec<_> = page
        .split("../assets/verify/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(names.contains(&"app.js") && names.contains(&"verify.css"), "{names:?}");
    for name in names {
        let file = api.get(&format!("/assets/verify/{name}")).await;
        assert_eq!(file.status, 200, "{name}");
        assert!(
            file.header("content-security-policy")
                .unwrap()
                .contains("script-src 'self'"),
            "{name}"
        );
        assert_eq!(file.header("cache-control"), Some("public, max-age=60"));
    }
    assert_eq!(
        api.get("/assets/verify/app.js").await.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    for name in ["other.js", "..%2FCargo.toml", "%2e%2e"] {
        api.get(&format!("/assets/verify/{name}"))
            .await
            .assert_problem(404, "unknown-route");
    }
    let answer = api.send(api.request(Method::POST, "/assets/verify/app.js")).await;
    answer.assert_problem(405, "method-not-allowed");
}
