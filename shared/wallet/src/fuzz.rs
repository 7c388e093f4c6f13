//! Fuzz tests of what the wallet page sends: see `arrakis-fuzz`.

use arrakis_chain::{CallResult, ChainError};
use arrakis_domain::Address;
use arrakis_fuzz::Fuzz;
use async_trait::async_trait;
use time::macros::datetime;
use url::Url;
use uuid::Uuid;

use crate::{Account, AccountNetwork, ContractCalls, Origin, SignIn, Signature, SignatureError, check_signature};

#[test]
fn sign_in_messages() {
    let origin = Origin::of(&Url::parse("https://verify.arrakis.example").unwrap()).unwrap();
    let expected = SignIn {
        origin: &origin,
        session: Uuid::from_u128(0x0193_7c3e_0000_7000_8000_0000_0000_0001),
        account: Account {
            network: AccountNetwork::Discord,
            id: 1_300_000_000_000_000_001,
        },
        account_name: "Chaní",
        address: "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed".parse().unwrap(),
        chain_id: 80094,
        nonce: "k3Xw9ZpQ7aLm2RtB",
        issued_at: datetime!(2026-11-30 12:00:00 UTC),
        expires_at: datetime!(2026-11-30 12:15:00 UTC),
    };
    let text = expected.text().unwrap();
    let words = [
        "URI: ",
        "Version: 1",
        "Chain ID: ",
        "Nonce: ",
        "Not Before: ",
        "Request ID: ",
        "Resources:",
        "\n- ",
    ];
    let fuzz = Fuzz::target(env!("CARGO_MANIFEST_DIR"), "sign_in_messages")
        .dictionary(&words)
        .max_length(6 << 10)
        .cases(3_000);
    fuzz.run(|input| {
        let presented = String::from_utf8_lossy(input);
        let compared = expected.compare(&presented, datetime!(2026-11-30 12:05:00 UTC));
        assert_eq!(compared.is_ok(), presented == text, "only the text itself is accepted");
        compared.map_or_else(|refusal| refusal.code().to_owned(), |()| "accepted".to_owned())
    });
}

/// A chain on which no address has code.
struct EmptyChain;

#[async_trait]
impl ContractCalls for EmptyChain {
    async fn call(&self, _: Option<Address>, _: Vec<u8>) -> Result<CallResult, ChainError> {
        Ok(CallResult::Returned(Vec::new()))
    }
}

#[test]
fn signatures() {
    let fuzz = Fuzz::target(env!("CARGO_MANIFEST_DIR"), "signatures")
        .max_length(4 << 10)
        .cases(1_000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    fuzz.run(|input| {
        let signature: Signature = match String::from_utf8_lossy(input).parse() {
            Ok(signature) => signature,
            Err(refusal) => return format!("{refusal:?}"),
        };
        let address = Address::from_bytes([7; 20]);
        let checked = runtime.block_on(check_signature(Some(&EmptyChain), address, "text", &signature));
        match checked {
            Err(SignatureError::Refused(refusal)) => refusal.code().to_owned(),
            accepted => panic!("{accepted:?}"),
        }
    });
}
