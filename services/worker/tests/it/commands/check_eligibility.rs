//! `/check-eligibility`, with a real chain and a score service.

use arrakis_chain::{Chains, ChainsConfig};
use arrakis_config::{ScoreApi, Secret, parse_score_api_url};
use arrakis_domain::Address;
use arrakis_test_support::{Anvil, Erc20, tokens};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{CommandHarness, wallet};

const CHAIN: u64 = 80_094;
const OWN: u64 = 11;

fn named(address: &str) -> Value {
    json!([{"name": "wallet", "type": 3, "value": address}])
}

/// A chain with a token, and a ranking that reads it.
async fn with_chain(harness: &mut CommandHarness, score: Option<&ScoreApi>) -> (Anvil, Erc20) {
    let anvil = Anvil::start().await;
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    let chains = Chains::new(&ChainsConfig::of_chain(CHAIN, [anvil.url()]));
    harness.read_live(token.address(), chains, score).await;
    (anvil, token)
}

/// A score service that answers every request with rank 1, or with status 503.
async fn score_service(healthy: bool) -> ScoreApi {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = parse_score_api_url(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let path: Vec<&str> = request.split_whitespace().nth(1).unwrap().split('/').collect();
            let body = json!({"chain_id": CHAIN, "contract": path[5], "wallet": path[7], "rank": 1, "held": "5", "activity": 90,
                              "as_of": "2026-08-01T12:00:00Z"})
            .to_string();
            let status = if healthy { "200 OK" } else { "503 Service Unavailable" };
            let length = body.len();
            let response = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    });
    ScoreApi {
        base,
        key: Secret::new("key"),
    }
}

async fn harness() -> CommandHarness {
    let harness = CommandHarness::with_ranking(&["300", "200.5", "6.9"]).await;
    harness.join(harness.community.id(), [(OWN, Some(2)), (12, None)]).await;
    harness
}

#[tokio::test]
async fn own_wallet_is_read_from_the_chain() {
    let mut harness = harness().await;
    let (_anvil, token) = with_chain(&mut harness, None).await;
    token.mint(wallet(2), tokens(777_u64)).await;
    let reply = harness.run("check-eligibility", OWN, json!([])).await.unwrap();
    assert!(!reply.private);
    assert!(
        reply.description().starts_with("**Rank 2** · 👑 Naib\n"),
        "{}",
        reply.description()
    );
    assert_eq!(reply.field("Holding"), "777 BGT");
    assert_eq!(reply.field("Source"), "Read from the chain just now.");
    assert_eq!(
        reply.field("Since the last ranking"),
        "The ranking counted 200.5 BGT; now it is 777 BGT. Rank, place and roles follow with the next sync."
    );
    assert!(reply.field("What next").starts_with("`/position`"));
}

#[tokio::test]
async fn other_wallet_gets_the_tier_of_its_present_holding() {
    let mut harness = harness().await;
    let (_anvil, token) = with_chain(&mut harness, None).await;
    let stranger = Address::from_bytes([0x5a; 20]);
    token.mint(stranger, tokens(1_200_u64)).await;
    let reply = harness
        .run(
            "check-eligibility",
            OWN,
            named(&format!("  {}\n", stranger.checksummed())),
        )
        .await
        .unwrap();
    // 1,111 and more is Usul; the wallet is in no ranking yet.
    assert!(
        reply.description().starts_with("**Not ranked** · ") && reply.description().contains("Usul"),
        "{}",
        reply.description()
    );
    assert_eq!(reply.field("Holding"), "1,200 BGT");
    assert_eq!(reply.field("Entry"), "Takes a free place with the next sync.");
    assert_eq!(reply.message["embeds"][0]["title"], "Eligibility of 0x5a5a…5a5a");
}

#[tokio::test]
async fn score_is_shown_with_its_source() {
    let mut harness = harness().await;
    let score = score_service(true).await;
    let (_anvil, token) = with_chain(&mut harness, Some(&score)).await;
    token.mint(wallet(2), tokens(3_u64)).await;
    let reply = harness.run("check-eligibility", OWN, json!([])).await.unwrap();
    assert_eq!(
        reply.field("Score service"),
        "Rank 1 · activity 90 of 100 · <t:1785585600:R>"
    );
    assert_eq!(
        reply.field("Source"),
        "Score service; the holding is read from the chain just now."
    );
    assert_eq!(reply.field("Holding"), "3 BGT");
}

#[tokio::test]
async fn failing_score_service_is_no_error_for_the_member() {
    let mut harness = harness().await;
    let score = score_service(false).await;
    let (_anvil, token) = with_chain(&mut harness, Some(&score)).await;
    token.mint(wallet(2), tokens(3_u64)).await;
    let reply = harness.run("check-eligibility", OWN, json!([])).await.unwrap();
    assert_eq!(
        reply.field("Source"),
        "Score service unavailable: chain only, read just now."
    );
    assert_eq!(reply.field("Holding"), "3 BGT");
}

#[tokio::test]
async fn ranking_answers_without_an_endpoint_of_the_chain() {
    let harness = harness().await;
    let reply = harness.run("check-eligibility", OWN, json!([])).await.unwrap();
    assert_eq!(reply.field("Holding"), "200.5 BGT");
    assert!(
        reply.field("Source").starts_with("The last ranking only"),
        "{}",
        reply.field("Source")
    );
}

#[tokio::test]
async fn unusable_address_is_refused_with_the_reason() {
    let harness = harness().await;
    for (text, what) in [
        ("vitalik.eth", "That is not the address of a wallet."),
        (
            "0x656b95E550C07a9ffe548bd4085c72418Ceb1db",
            "That is not the address of a wallet.",
        ),
        (
            "0x656b95E550C07a9ffe548bd4085c72418Ceb1dbA",
            "The checksum of that address is wrong, so a character is probably mistyped.",
        ),
    ] {
        let refusal = harness.run("check-eligibility", OWN, named(text)).await.unwrap_err();
        assert_eq!(refusal.what, what, "{text}");
    }
    for text in [
        "0x656b95E550C07a9ffe548bd4085c72418Ceb1dba",
        "0x656b95e550c07a9ffe548bd4085c72418ceb1dba",
    ] {
        assert!(
            harness.run("check-eligibility", OWN, named(text)).await.is_ok(),
            "{text}"
        );
    }
    let refusal = harness.run("check-eligibility", 12, json!([])).await.unwrap_err();
    assert_eq!(refusal.what, "No verified wallet is linked to you here.");
}
