use futures_util::future::join_all;
use reqwest::Method;

use super::{ADMIN, OPERATOR, form_token, link, read, signed_in, submit};
use crate::support::TestApi;

#[tokio::test]
async fn link_signs_one_browser_in_and_its_preview_changes_nothing() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let link = link(&api, community, ADMIN).await;
    for _ in 0..2 {
        let page = api.browse(api.request(Method::GET, &link)).await;
        assert!(
            page.status == 200 && page.text.contains("<button>Sign in</button>"),
            "{}",
            page.text
        );
    }
    let answers = join_all((0..5).map(|_| submit(&api, &link, "", ""))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410, 410, 410, 410]);
    let signed = answers.iter().find(|answer| answer.status == 303).unwrap();
    let cookie = signed.header("set-cookie").unwrap();
    for attribute in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Secure",
        "; Path=/status",
        "; Max-Age=1800",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let mut tx = api.database.tenant(community).await.unwrap();
    let entries = tx.audit_entries(10).await.unwrap();
    let sign_ins: Vec<_> = entries
        .iter()
        .filter(|entry| entry.action == "status.sign_in")
        .collect();
    assert_eq!((sign_ins.len(), sign_ins[0].subject.as_str()), (1, "8"));
}

#[tokio::test]
async fn link_is_refused_for_another_secret_or_origin() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let valid = link(&api, community, ADMIN).await;
    let (id, secret) = valid.rsplit_once('.').unwrap();
    for other in [
        format!("{id}.{}", "A".repeat(43)),
        format!("{id}.{}", &secret[1..]),
        format!("{id}."),
        id.to_owned(),
        format!("/status/sign-in/{}.{secret}", "0".repeat(32)),
    ] {
        assert_eq!(submit(&api, &other, "", "").await.status, 410, "{other}");
    }
    for origin in [
        None,
        Some("null"),
        Some("https://evil.example.org"),
        Some("https://verify.example.org.evil.org"),
    ] {
        let mut request = api.request(Method::POST, &valid);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        assert_eq!(api.browse(request).await.status, 403, "{origin:?}");
    }
    // A refused request does not use the link up.
    assert_eq!(submit(&api, &valid, "", "").await.status, 303);
}

#[tokio::test]
async fn newer_link_replaces_the_earlier_one() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let (first, second) = (link(&api, community, ADMIN).await, link(&api, community, ADMIN).await);
    assert_eq!(submit(&api, &first, "", "").await.status, 410);
    assert_eq!(submit(&api, &second, "", "").await.status, 303);
}

#[tokio::test]
async fn pages_need_a_sign_in_and_end_with_it() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    for cookie in [
        "",
        "arrakis_status=x",
        "arrakis_status=00000000000000000000000000000000.x",
    ] {
        for path in ["/status", "/status/dead-letters"] {
            let refused = read(&api, path, cookie).await;
            assert!(
                refused.status == 401 && refused.text.contains("/admin-stats"),
                "{path}: {}",
                refused.text
            );
        }
    }
    let metrics = api.runtime.metrics.render();
    assert!(
        !metrics.contains("arrakis_api_wallet_page_refusals_total{code=\"signed-out\"}"),
        "{metrics}"
    );
    let cookie = signed_in(&api, community, ADMIN).await;
    let page = read(&api, "/status", &cookie).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    for directive in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(
        !policy.contains("script-src") && !page.text.contains("<script"),
        "{policy}"
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // A form without the text of this session's forms, then the right one.
    assert_eq!(
        submit(&api, "/status/sign-out", &cookie, "form_token=x").await.status,
        403
    );
    let form = format!("form_token={}", form_token(&page));
    let out = submit(&api, "/status/sign-out", &cookie, &form).await;
    assert!(
        out.status == 303 && out.header("set-cookie").unwrap().contains("Max-Age=0"),
        "{}",
        out.text
    );
    assert_eq!(read(&api, "/status", &cookie).await.status, 401);
}

/// What ends everything that a person can act by ends the sign-in, too.
#[tokio::test]
async fn revoked_sessions_end_the_sign_in() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let cookie = signed_in(&api, community, OPERATOR).await;
    assert_eq!(read(&api, "/status", &cookie).await.status, 200);
    let cache = arrakis_cache::Cache::new(
        &arrakis_config::Secret::new(api.redis_url()),
        arrakis_cache::CacheOptions::default(),
    )
    .unwrap();
    assert_eq!(cache.end_sessions_of(OPERATOR).await.unwrap(), 1);
    assert_eq!(read(&api, "/status", &cookie).await.status, 401);
}
