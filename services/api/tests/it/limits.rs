//! Rate limits of client addresses, and dependencies that are unavailable.

use std::time::Duration;

use arrakis_api::TrustedProxies;
use arrakis_cache::Bucket;
use arrakis_config::Secret;
use arrakis_db::ApiKeyScope::UsersRead;
use arrakis_test_support::{FaultProxy, required_variable};
use reqwest::Method;

use crate::support::{Answer, TestApi};

fn slow(burst: u32) -> Bucket {
    Bucket {
        burst,
        refill: Duration::from_secs(3_600),
    }
}

async fn from(api: &TestApi, address: &str) -> Answer {
    let request = api
        .request(Method::GET, "/eligibility")
        .header("x-forwarded-for", address);
    api.send(request).await
}

#[tokio::test]
async fn requests_of_one_address_are_limited_on_every_route() {
    // The request of the document, in the set-up, is the first one.
    let api = TestApi::start_with(|config| config.tuning.per_address = slow(3)).await;
    api.token_profile("bgt").await;
    let answer = api.get("/eligibility").await;
    answer.ok();
    assert_eq!(answer.header("ratelimit-policy"), Some("\"address\";q=3;w=10800"));
    assert!(
        answer.header("ratelimit").unwrap().starts_with("\"address\";r=1;t="),
        "{answer:?}"
    );
    api.get("/nowhere").await.assert_problem(404, "unknown-route");
    for path in [
        "/eligibility",
        "/eligibility/0x12",
        "/openapi.json",
        "/admin/users",
        "/nowhere",
    ] {
        let refused = api.get(path).await;
        if path != "/nowhere" {
            refused.assert_problem(429, "rate-limited");
        }
        assert_eq!(refused.status, 429);
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    }
    assert_eq!(api.metric("arrakis_api_rate_limited_total{limit=\"address\"}"), 5.0);
}

#[tokio::test]
async fn forwarded_address_counts_behind_a_trusted_proxy_only() {
    let trusting = TestApi::start_with(|config| {
        config.tuning.per_address = slow(1);
        config.trusted_proxies = "127.0.0.0/8".parse::<TrustedProxies>().unwrap();
    })
    .await;
    trusting.token_profile("bgt").await;
    from(&trusting, "198.51.100.7").await.ok();
    from(&trusting, "198.51.100.7")
        .await
        .assert_problem(429, "rate-limited");
    from(&trusting, "198.51.100.8").await.ok();
    // The client sent the first entry itself.
    from(&trusting, "198.51.100.9, 198.51.100.7")
        .await
        .assert_problem(429, "rate-limited");
    from(&trusting, "2001:db8::1").await.ok();
    from(&trusting, "2001:db8::2").await.assert_problem(429, "rate-limited");

    let direct = TestApi::start_with(|config| config.tuning.per_address = slow(2)).await;
    direct.token_profile("bgt").await;
    from(&direct, "198.51.100.7").await.ok();
    from(&direct, "198.51.100.8").await.assert_problem(429, "rate-limited");
}

#[tokio::test]
async fn networks_of_one_ipv6_site_share_a_second_limit() {
    let api = TestApi::start_with(|config| {
        config.tuning.per_address = slow(2);
        config.tuning.per_network = slow(4);
        config.trusted_proxies = "127.0.0.0/8".parse::<TrustedProxies>().unwrap();
    })
    .await;
    api.token_profile("bgt").await;
    // What the limit of one address refuses is not taken from its network.
    for expected in [200, 200, 429, 429, 429] {
        assert_eq!(from(&api, "2001:db8:1:1::1").await.status, expected);
    }
    let answer = from(&api, "2001:db8:1:2::1").await;
    answer.ok();
    let policies: Vec<_> = answer
        .headers
        .get_all("ratelimit-policy")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(policies, ["\"address\";q=2;w=7200", "\"network\";q=4;w=14400"]);
    from(&api, "2001:db8:1:3::1").await.ok();
    // Each has a limit of its own left, and the page has the same limits.
    for (address, path) in [
        ("2001:db8:1:4::1", "/eligibility"),
        ("2001:db8:1:ffff::1", "/verify/some-token/session"),
        ("2001:db8:1:5::1", "/verify/some-token"),
    ] {
        let request = api.request(Method::GET, path).header("x-forwarded-for", address);
        let problem = api.send(request).await.assert_problem(429, "rate-limited");
        assert!(problem["detail"].as_str().unwrap().contains("network"), "{problem}");
    }
    from(&api, "2001:db8:2::1").await.ok();
    from(&api, "198.51.100.7").await.ok();
    assert_eq!(api.metric("arrakis_api_rate_limited_total{limit=\"network\"}"), 3.0);
    assert_eq!(api.metric("arrakis_api_rate_limited_total{limit=\"address\"}"), 3.0);
}

#[tokio::test]
async fn requests_are_limited_by_this_replica_without_redis() {
    let api = TestApi::start_with(|config| {
        config.tuning.per_address = slow(3);
        config.redis_url = Secret::new("redis://127.0.0.1:1/0");
    })
    .await;
    api.token_profile("bgt").await;
    for _ in 0..2 {
        api.get("/eligibility").await.ok();
    }
    api.get("/eligibility").await.assert_problem(429, "rate-limited");
    assert_eq!(api.metric("arrakis_api_rate_limits_local_total"), 4.0);
    let health = api.runtime.health.document("test", "test");
    assert_eq!(health["status"], "degraded", "{health}");
}

/// An api whose connections to PostgreSQL pass this proxy.
async fn through(proxy: &FaultProxy, request_time: Duration) -> TestApi {
    TestApi::start_with(|config| {
        config.tuning.request_time = request_time;
        for url in [&mut config.database_url, &mut config.database_admin_url] {
            *url = Secret::new(proxy.proxied_url(url.expose()));
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_to_a_database_that_hangs_times_out() {
    let proxy = FaultProxy::start(&required_variable("DATABASE_URL")).await;
    let api = through(&proxy, Duration::from_secs(1)).await;
    let key = api.key(None, &[UsersRead]).await;
    api.token_profile("bgt").await;
    proxy.stall(true);
    for path in ["/eligibility", "/admin/users"] {
        let answer = api.get_as(&key, path).await;
        answer.assert_problem(503, "timed-out");
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_database_is_503_without_its_error() {
    let proxy = FaultProxy::start(&required_variable("DATABASE_URL")).await;
    let api = through(&proxy, Duration::from_secs(15)).await;
    let key = api.key(None, &[UsersRead]).await;
    api.token_profile("bgt").await;
    api.get_as(&key, "/admin/users").await.ok();
    proxy.refuse(true);
    proxy.close_connections();
    for path in ["/eligibility", "/admin/users"] {
        let answer = api.get_as(&key, path).await;
        answer.assert_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert!(!answer.text.contains("PostgreSQL"), "{}", answer.text);
    }
}
