//! Headers of every response.

use arrakis_config::PublicAddress;
use reqwest::Method;

use crate::support::TestApi;

const EVERY_PATH: [&str; 6] = [
    "/eligibility",
    "/eligibility/0x0101010101010101010101010101010101010101",
    "/eligibility/0x1",
    "/openapi.json",
    "/admin/users",
    "/nowhere",
];

#[tokio::test]
async fn every_response_has_security_headers() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    for path in EVERY_PATH {
        let answer = api.get(path).await;
        for (name, value) in [
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        let is_public = path == "/eligibility";
        assert_eq!(
            answer.header("access-control-allow-origin"),
            is_public.then_some("*"),
            "{path}"
        );
        let cached = answer.status == 200;
        assert_eq!(answer.header("cache-control") == Some("no-store"), !cached, "{path}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "{path}");
        assert_eq!(answer.header("server"), None);
    }
}

#[tokio::test]
async fn strict_transport_is_for_https_only() {
    let api = TestApi::start_with(|config| {
        config.public_address = "http://127.0.0.1:8070".parse::<PublicAddress>().unwrap();
    })
    .await;
    for path in EVERY_PATH {
        assert_eq!(api.get(path).await.header("strict-transport-security"), None, "{path}");
    }
}

#[tokio::test]
async fn request_id_is_taken_from_a_trusted_proxy_only() {
    let id = "0190b5a2-proxy.request_1";
    let trusting = TestApi::start_with(|config| config.trusted_proxies = "127.0.0.1".parse().unwrap()).await;
    let send = async |api: &TestApi, id: &str| {
        let request = api.request(Method::GET, "/nowhere").header("x-request-id", id);
        api.send(request).await.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(send(&trusting, id).await, id);
    for invalid in ["short", "with a space in it", "\"quoted-request\"", &"x".repeat(65)] {
        assert_ne!(send(&trusting, invalid).await, invalid);
    }
    let direct = TestApi::start().await;
    assert_ne!(send(&direct, id).await, id);
}
