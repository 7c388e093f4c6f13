use std::sync::Arc;

use arrakis_chain::{Chains, ChainsConfig};
use arrakis_config::Secret;
use arrakis_db::ApiKeyScope::UsersRead;
use arrakis_db::CommunityId;
use arrakis_domain::Address;
use arrakis_test_support::eventually;
use arrakis_verification::{Account, AccountNetwork, Interaction, NewSession, RegistryRecord, Started, Verification};
use k256::ecdsa::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use sha3::{Digest as _, Keccak256};
use time::OffsetDateTime;

use crate::support::{Answer, TestApi, address};

const CHAIN: u64 = 80094;

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

/// The address of a key: the last 20 bytes of the hash of its public key.
fn address_of(key: &SigningKey) -> Address {
    let point = key.verifying_key().to_encoded_point(false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    Address::from_bytes(hash[12..].try_into().unwrap())
}

/// A `personal_sign` signature (EIP-191).
fn sign(key: &SigningKey, text: &str) -> String {
    let prefixed = format!("\u{19}Ethereum Signed Message:\n{}{text}", text.len());
    let hash = Keccak256::digest(prefixed.as_bytes());
    let (signature, recovery) = key.sign_prehash_recoverable(&hash).unwrap();
    format!("0x{}{:02x}", hex::encode(signature.to_bytes()), 27 + recovery.to_byte())
}

impl TestApi {
    /// Begins a session of a Discord account; returns its token.
    pub(crate) async fn session(&self, community: CommunityId, user: u64) -> String {
        let chains = Chains::new(&ChainsConfig::of_chain(CHAIN, ["http://127.0.0.1:1"]));
        let base = "https://verify.example.org".parse().unwrap();
        let verification = Verification::new(self.database.clone(), chains, &base, Arc::new(RegistryRecord)).unwrap();
        let new = NewSession {
            account: Account {
                network: AccountNetwork::Discord,
                id: user,
            },
            account_name: format!("Member {user}"),
            community: Some(community),
            interaction: Some(Interaction {
                token: Secret::new("aW50ZXJhY3Rpb24"),
                created_at: OffsetDateTime::now_utc(),
            }),
            chain_id: CHAIN,
        };
        match verification.start(&new, OffsetDateTime::now_utc()).await.unwrap() {
            Started::Session { link, .. } => link.expose().rsplit('/').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    async fn sign_in(&self, token: &str, key: &SigningKey) -> Answer {
        let address = address_of(key);
        let request = json!({"address": address, "chain_id": CHAIN});
        let message = self.post(&format!("/verify/{token}/message"), &request).await.ok()["message"].clone();
        let signature = sign(key, message.as_str().unwrap());
        let body = json!({"address": address, "message": message, "signature": signature});
        self.post(&format!("/verify/{token}/signature"), &body).await
    }
}

#[track_caller]
fn assert_refusal(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["code"], code);
    assert!(
        body["message"].as_str().is_some_and(|message| !message.is_empty()),
        "{body}"
    );
}

#[tokio::test]
async fn signed_message_links_the_wallet_and_publishes_the_job() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let token = api.session(community, 7).await;
    let session = api.get(&format!("/verify/{token}/session")).await.ok();
    assert_eq!(
        (&session["state"], &session["account"]["id"]),
        (&json!("open"), &json!("7"))
    );
    let done = api.sign_in(&token, &key(1)).await;
    assert_eq!(done.ok(), json!({"state": "completed", "address": address_of(&key(1))}));
    assert_eq!(done.header("cache-control"), Some("no-store"));
    let session = api.get(&format!("/verify/{token}/session")).await.ok();
    assert_eq!(session["state"], "completed");
    eventually(
        async || api.vhost.messages("arrakis.jobs.verification").await == 1,
        "the message of the job",
    )
    .await;
    let admin = api.key(None, &[UsersRead]).await;
    let users = api.get_as(&admin, "/admin/users?discord_id=7").await.ok();
    assert_eq!(
        users["users"][0]["wallets"][0]["address"],
        address_of(&key(1)).to_string()
    );
    // The link accepts one signature.
    let request = json!({"address": address_of(&key(1)), "chain_id": CHAIN});
    let again = api.post(&format!("/verify/{token}/message"), &request).await;
    assert_refusal(&again, 409, "already_used");
}

#[tokio::test]
async fn wallet_of_another_member_needs_consent() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let first = api.session(community, 7).await;
    api.sign_in(&first, &key(1)).await.ok();
    let second = api.session(community, 8).await;
    let held = api.sign_in(&second, &key(1)).await;
    assert_eq!(held.ok()["state"], "signed");
    let asked = api.post(&format!("/verify/{second}/move"), &json!({})).await;
    assert_eq!(asked.ok()["state"], "awaiting_consent");
    eventually(
        async || api.vhost.messages("arrakis.jobs.verification").await == 2,
        "the messages of both jobs",
    )
    .await;
}

#[tokio::test]
async fn refusals_have_a_code_and_a_text_for_the_member() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let token = api.session(community, 7).await;
    for path in ["message", "signature", "move", "session"] {
        let path = format!("/verify/{}/{path}", "A".repeat(43));
        let body = json!({"address": address(1), "chain_id": CHAIN});
        let answer = match path.rsplit('/').next().unwrap() {
            "session" => api.get(&path).await,
            "signature" => {
                api.post(&path, &json!({"address": address(1), "signature": "0x00"}))
                    .await
            }
            "move" => api.post(&path, &json!({})).await,
            _ => api.post(&path, &body).await,
        };
        assert_refusal(&answer, 404, "unknown_session");
    }
    let message = format!("/verify/{token}/message");
    let answer = api.post(&message, &json!({"address": "0x12", "chain_id": CHAIN})).await;
    assert_refusal(&answer, 422, "invalid_address");
    let answer = api.post(&format!("/verify/{token}/move"), &json!({})).await;
    assert_refusal(&answer, 409, "nothing_to_move");
    let path = format!("/verify/{token}/signature");
    let answer = api
        .post(&path, &json!({"address": address(1), "signature": "not hex"}))
        .await;
    assert_eq!(answer.status, 422, "{}", answer.text);
}

/// A signature by the key of another wallet. Whether it is a contract's, the chain alone can tell.
async fn with_another_key(api: &TestApi) -> Answer {
    let community = api.community(100).await;
    let token = api.session(community, 7).await;
    let request = json!({"address": address_of(&key(1)), "chain_id": CHAIN});
    let message = api.post(&format!("/verify/{token}/message"), &request).await.ok()["message"].clone();
    let signature = sign(&key(2), message.as_str().unwrap());
    let body = json!({"address": address_of(&key(1)), "message": message, "signature": signature});
    let answer = api.post(&format!("/verify/{token}/signature"), &body).await;
    // The session accepts the right signature afterwards.
    assert_eq!(api.sign_in(&token, &key(1)).await.ok()["state"], "completed");
    answer
}

#[tokio::test]
async fn signature_of_another_key_is_refused_with_both_reasons_where_no_contract_can_be_checked() {
    let api = TestApi::start().await;
    let answer = with_another_key(&api).await;
    assert_refusal(&answer, 422, "contracts_not_checked");
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    for part in [
        "not from the key of this wallet",
        "another account by mistake",
        "sign again",
        "a contract, such as a Safe",
        "cannot be linked here",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn endpoint_that_is_down_or_hangs_is_a_reason_to_try_again() {
    // Accepts connections and never responds.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs_at = format!("http://{}", hanging.local_addr().unwrap());
    for url in ["http://127.0.0.1:1", &hangs_at] {
        let api = TestApi::start_with(|config| config.chains = ChainsConfig::of_chain(CHAIN, [url])).await;
        let answer = with_another_key(&api).await;
        assert_refusal(&answer, 503, "chain_unavailable");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("Try again in a moment"), "{message}");
    }
}

#[tokio::test]
async fn body_that_is_not_the_expected_json_is_a_problem() {
    let api = TestApi::start().await;
    for path in ["/verify/x/message", "/verify/x/signature", "/verify/x/move"] {
        api.post(path, &json!({"other": 1}))
            .await
            .assert_problem(400, "invalid-body");
        let form = api.request(Method::POST, path).body("address=0x1");
        api.send(form).await.assert_problem(415, "unsupported-media-type");
        let large = json!({"address": "x".repeat(200_000)});
        api.post(path, &large).await.assert_problem(413, "body-too-large");
    }
}

#[tokio::test]
async fn token_is_in_no_metric() {
    let api = TestApi::start().await;
    let community = api.community(100).await;
    let token = api.session(community, 7).await;
    api.get(&format!("/verify/{token}")).await;
    api.get(&format!("/verify/{token}/session")).await.ok();
    let metrics = api.runtime.metrics.render();
    assert!(
        metrics.contains("/verify/{token}/session") && !metrics.contains(&token),
        "{metrics}"
    );
}
