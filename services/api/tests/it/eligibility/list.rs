use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::support::{TestApi, holder};

#[tokio::test]
async fn eligible_wallets_are_those_up_to_rank_69_in_order() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let holdings: Vec<_> = (1..=80)
        .map(|number| holder(number, 1_000 - u64::from(number)))
        .collect();
    api.ranking("bgt", &holdings, Duration::minutes(1)).await;
    let answer = api.get("/eligibility").await;
    let body = answer.ok();
    let wallets: Vec<_> = holdings[..69].iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(body["wallets"], json!(wallets));
    assert_eq!((&body["profile"], &body["stale"]), (&json!("bgt"), &json!(false)));
    assert_eq!((&body["block"], &body["last_rank"]), (&json!(1_000), &json!(69)));
    assert!(body["as_of"].is_string());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
}

#[tokio::test]
async fn empty_list_is_an_answer() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let body = api.get("/eligibility").await.ok();
    assert_eq!((&body["wallets"], &body["as_of"]), (&json!([]), &json!(null)));
    assert_eq!(body["stale"], true, "it was never synced");
    api.ranking("bgt", &[], Duration::minutes(1)).await;
    let body = api.get("/eligibility").await.ok();
    assert_eq!((&body["wallets"], &body["stale"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn old_ranking_is_marked_as_stale() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    for (age, stale) in [(Duration::hours(6), false), (Duration::hours(8), true)] {
        api.ranking("bgt", &[holder(1, 5)], age).await;
        assert_eq!(api.get("/eligibility").await.ok()["stale"], stale, "{age}");
    }
}

#[tokio::test]
async fn profile_must_be_named_unless_there_is_one() {
    let api = TestApi::start().await;
    let problem = api.get("/eligibility").await.assert_problem(400, "profile-required");
    assert_eq!(problem["profiles"], json!([]));
    api.token_profile("honey").await;
    api.token_profile("bgt").await;
    api.ranking("honey", &[holder(3, 5)], Duration::ZERO).await;
    for path in [
        "/eligibility",
        "/eligibility/0x0303030303030303030303030303030303030303",
    ] {
        let problem = api.get(path).await.assert_problem(400, "profile-required");
        assert_eq!(problem["profiles"], json!(["bgt", "honey"]));
        assert_eq!(api.get(&format!("{path}?profile=honey")).await.ok()["profile"], "honey");
        let problem = api
            .get(&format!("{path}?profile=other"))
            .await
            .assert_problem(404, "unknown-profile");
        assert_eq!(problem["profiles"], json!(["bgt", "honey"]));
        api.get(&format!("{path}?profile=NO%20NAME"))
            .await
            .assert_problem(400, "invalid-parameter");
        let problem = api
            .get(&format!("{path}?profil=bgt"))
            .await
            .assert_problem(400, "invalid-parameter");
        assert!(problem["detail"].as_str().unwrap().contains("profil"), "{problem}");
    }
}

#[tokio::test]
async fn unchanged_answer_is_304_until_the_next_snapshot() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    api.ranking("bgt", &[holder(1, 5)], Duration::minutes(2)).await;
    let first = api.get("/eligibility").await;
    let etag = first.header("etag").unwrap().to_owned();
    let again = async |tag: &str| {
        let request = api.request(Method::GET, "/eligibility").header("if-none-match", tag);
        api.send(request).await
    };
    for tag in [etag.as_str(), &format!("W/{etag}"), &format!("\"other\", {etag}"), "*"] {
        let unchanged = again(tag).await;
        assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""), "{tag}");
        assert_eq!(unchanged.header("etag"), Some(etag.as_str()));
    }
    assert_eq!(again("\"other\"").await.status, 200);
    api.ranking("bgt", &[holder(2, 5)], Duration::minutes(1)).await;
    let changed = again(&etag).await;
    assert_eq!(changed.ok()["wallets"], json!([holder(2, 5).0]));
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let answer = api.send(api.request(Method::HEAD, "/eligibility")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert!(answer.header("etag").is_some());
}
