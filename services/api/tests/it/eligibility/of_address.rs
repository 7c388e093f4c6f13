use arrakis_domain::Address;
use reqwest::Method;
use serde_json::json;
use time::Duration;

use crate::support::{TestApi, address, holder};

const BGT: &str = "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba";

#[tokio::test]
async fn wallet_has_rank_holding_and_zone() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let mut holdings: Vec<_> = (1..=110)
        .map(|number| holder(number, 1_000 - u64::from(number)))
        .collect();
    holdings[7].1 = "992.000000000000000001".parse().unwrap();
    api.ranking("bgt", &holdings, Duration::minutes(1)).await;
    for (rank, zone, eligible) in [
        (1_u8, "council", true),
        (7, "council", true),
        (8, "eligible", true),
        (69, "eligible", true),
        (70, "waitlist", false),
        (100, "waitlist", false),
        (101, "outside", false),
    ] {
        let body = api.get(&format!("/eligibility/{}", address(rank))).await.ok();
        assert_eq!(
            (&body["rank"], &body["zone"], &body["eligible"]),
            (&json!(rank), &json!(zone), &json!(eligible))
        );
    }
    let body = api.get(&format!("/eligibility/{}", address(8))).await.ok();
    assert_eq!(body["held"], "992.000000000000000001");
    assert_eq!(body["held_units"], "992000000000000000001");
    assert_eq!((&body["profile"], &body["stale"]), (&json!("bgt"), &json!(false)));
}

#[tokio::test]
async fn unknown_wallet_is_an_answer_with_rank_null() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let answer = api.get(&format!("/eligibility/{}", address(9))).await;
    let body = answer.ok();
    assert_eq!(
        (&body["rank"], &body["held"], &body["zone"]),
        (&json!(null), &json!("0"), &json!("outside"))
    );
    assert_eq!(body["eligible"], false);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn address_is_accepted_in_one_case_or_with_its_checksum() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    let bgt: Address = BGT.parse().unwrap();
    let lower = bgt.to_string();
    api.ranking("bgt", &[(bgt, arrakis_domain::Balance::from_tokens(7))], Duration::ZERO)
        .await;
    for text in [BGT, &lower, &format!("0x{}", lower[2..].to_uppercase())] {
        let body = api.get(&format!("/eligibility/{text}")).await.ok();
        assert_eq!((&body["address"], &body["rank"]), (&json!(lower), &json!(1)), "{text}");
    }
    let wrong = BGT.replace("656b95E5", "656b95e5");
    let problem = api
        .get(&format!("/eligibility/{wrong}"))
        .await
        .assert_problem(400, "wrong-checksum");
    assert!(problem["detail"].as_str().unwrap().contains("EIP-55"), "{problem}");
    for text in [
        "0x12",
        "vitalik.eth",
        "656b95E550C07a9ffe548bd4085c72418Ceb1dba",
        "%C3%BC",
    ] {
        api.get(&format!("/eligibility/{text}"))
            .await
            .assert_problem(400, "invalid-address");
    }
    api.get("/eligibility/%FF")
        .await
        .assert_problem(400, "invalid-parameter");
}

#[tokio::test]
async fn unchanged_standing_is_304() {
    let api = TestApi::start().await;
    api.token_profile("bgt").await;
    api.ranking("bgt", &[holder(1, 5)], Duration::minutes(2)).await;
    let path = format!("/eligibility/{}", address(1));
    let etag = api.get(&path).await.header("etag").unwrap().to_owned();
    let again = api.request(Method::GET, &path).header("if-none-match", &etag);
    assert_eq!(api.send(again).await.status, 304);
}
