use arrakis_chain::{CallResult, ChainId};
use arrakis_domain::U256;
use async_trait::async_trait;
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

use super::*;

const TEXT: &str = "verify.arrakis.example wants you to sign in with your Ethereum account:\n…";

/// A chain of which every call has the same result.
struct Chain(Option<CallResult>);

#[async_trait]
impl ContractCalls for Chain {
    async fn call(&self, _: Option<Address>, _: Vec<u8>) -> Result<CallResult, ChainError> {
        self.0.clone().ok_or(ChainError::Unavailable {
            chain: ChainId(80094),
            method: "eth_call",
            failures: Vec::new(),
        })
    }
}

/// No contract at any address.
fn empty_chain() -> Chain {
    Chain(Some(CallResult::Returned(Vec::new())))
}

fn chain_down() -> Chain {
    Chain(None)
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn address_of(key: &SigningKey) -> Address {
    Address::from_bytes(alloy::primitives::Address::from_public_key(key.verifying_key()).0.0)
}

fn sign(key: &SigningKey, text: &str) -> [u8; 65] {
    let (signature, recovery) = key
        .sign_prehash_recoverable(eip191_hash_message(text).as_slice())
        .unwrap();
    let mut bytes = [0; 65];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    bytes[64] = 27 + recovery.to_byte();
    bytes
}

async fn check(chain: &Chain, address: Address, signature: &[u8]) -> Result<Method, String> {
    check_with(Some(chain), address, signature).await
}

async fn check_with(chain: Option<&dyn ContractCalls>, address: Address, signature: &[u8]) -> Result<Method, String> {
    match check_signature(chain, address, TEXT, &Signature(signature.to_vec())).await {
        Ok(proven) => {
            assert_eq!(proven.digest, Signature(signature.to_vec()).digest());
            Ok(proven.method)
        }
        Err(SignatureError::Refused(refusal)) => Err(refusal.code().to_owned()),
        Err(SignatureError::Unavailable(_)) => Err("unavailable".to_owned()),
    }
}

fn refused(refusal: SignatureRefusal) -> Result<Method, String> {
    Err(refusal.code().to_owned())
}

#[tokio::test]
async fn signature_of_the_wallets_key_is_accepted_without_the_chain() {
    let signature = sign(&key(1), TEXT);
    let address = address_of(&key(1));
    assert_eq!(check(&chain_down(), address, &signature).await, Ok(Method::Eip191));
    // Some wallets write the recovery code as 0 or 1.
    let mut other_form = signature;
    other_form[64] -= 27;
    assert_eq!(check(&chain_down(), address, &other_form).await, Ok(Method::Eip191));
}

#[tokio::test]
async fn signature_of_another_key_or_text_is_refused() {
    let address = address_of(&key(1));
    let wrong = refused(SignatureRefusal::WrongSigner);
    assert_eq!(check(&empty_chain(), address, &sign(&key(2), TEXT)).await, wrong);
    assert_eq!(
        check(&empty_chain(), address, &sign(&key(1), "another text")).await,
        wrong
    );
}

#[tokio::test]
async fn without_a_chain_only_keys_are_checked() {
    let address = address_of(&key(1));
    let valid = sign(&key(1), TEXT);
    assert_eq!(check_with(None, address, &valid).await, Ok(Method::Eip191));
    assert_eq!(
        check_with(None, address, &high_s(valid)).await,
        refused(SignatureRefusal::HighS)
    );
    // It may be a contract's: nothing shows that it is not.
    let suffix = hex::decode("6492".repeat(16)).unwrap();
    for signature in [
        &sign(&key(2), TEXT)[..],
        &[7; 130],
        &[],
        &[&valid[..], &suffix].concat(),
    ] {
        assert_eq!(
            check_with(None, address, signature).await,
            refused(SignatureRefusal::ContractsNotChecked)
        );
    }
}

/// The other valid form of a signature: `n - s` and the other recovery code.
fn high_s(signature: [u8; 65]) -> [u8; 65] {
    let order =
        U256::from_be_slice(&hex::decode("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap());
    let s = U256::from_be_slice(&signature[32..64]);
    let mut other = signature;
    other[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    other[64] = if signature[64] == 27 { 28 } else { 27 };
    other
}

#[tokio::test]
async fn high_s_form_is_refused_even_when_a_contract_would_accept_it() {
    let signature = high_s(sign(&key(1), TEXT));
    let mut word = [0; 32];
    word[..4].copy_from_slice(&[0x16, 0x26, 0xba, 0x7e]);
    for chain in [
        empty_chain(),
        chain_down(),
        Chain(Some(CallResult::Returned(word.to_vec()))),
    ] {
        assert_eq!(
            check(&chain, address_of(&key(1)), &signature).await,
            refused(SignatureRefusal::HighS)
        );
    }
}

#[tokio::test]
async fn malformed_signature_of_a_wallet_without_code_is_refused() {
    let valid = sign(&key(1), TEXT);
    let address = address_of(&key(1));
    for code in [2, 26, 29, 31, 54, 55, 255] {
        let mut signature = valid;
        signature[64] = code;
        assert_eq!(
            check(&empty_chain(), address, &signature).await,
            refused(SignatureRefusal::WrongRecoveryCode),
            "{code}"
        );
    }
    let zero = [[0; 64].as_slice(), &[27]].concat();
    for signature in [&[][..], &[1], &valid[..64], &[&valid[..], &[0]].concat(), &zero] {
        assert_eq!(
            check(&empty_chain(), address, signature).await,
            refused(SignatureRefusal::Malformed),
            "{}",
            hex::encode(signature)
        );
    }
}

#[tokio::test]
async fn contract_decides_what_no_key_signed() {
    let address = address_of(&key(1));
    let signature = [7; 130];
    let mut word = [0; 32];
    word[..4].copy_from_slice(&[0x16, 0x26, 0xba, 0x7e]);
    let returned = |bytes: &[u8]| Chain(Some(CallResult::Returned(bytes.to_vec())));
    let by_contract = refused(SignatureRefusal::RefusedByContract);
    assert_eq!(check(&returned(&word), address, &signature).await, Ok(Method::Erc1271));
    assert_eq!(check(&returned(&word), address, &[]).await, Ok(Method::Erc1271));
    assert_eq!(check(&returned(&[0xff; 32]), address, &signature).await, by_contract);
    assert_eq!(check(&returned(&[1]), address, &signature).await, by_contract);
    let reverted = Chain(Some(CallResult::Reverted(vec![8, 0xc3, 0x79, 0xa0])));
    assert_eq!(check(&reverted, address, &signature).await, by_contract);
    assert_eq!(
        check(&chain_down(), address, &signature).await,
        Err("unavailable".to_owned())
    );
}

#[tokio::test]
async fn validator_decides_a_signature_with_the_erc6492_suffix() {
    let address = address_of(&key(1));
    let suffix = hex::decode("6492".repeat(16)).unwrap();
    // A valid signature of the key before the suffix changes nothing: the validator goes first.
    let signature = [&sign(&key(1), TEXT)[..], &suffix].concat();
    let returned = |bytes: &[u8]| Chain(Some(CallResult::Returned(bytes.to_vec())));
    let by_contract = refused(SignatureRefusal::RefusedByContract);
    assert_eq!(check(&returned(&[1]), address, &signature).await, Ok(Method::Erc6492));
    for bytes in [&[0][..], &[], &[2], &[1, 1], &[0; 32]] {
        assert_eq!(
            check(&returned(bytes), address, &signature).await,
            by_contract,
            "{bytes:?}"
        );
    }
    let reverted = Chain(Some(CallResult::Reverted(Vec::new())));
    assert_eq!(check(&reverted, address, &signature).await, by_contract);
    assert_eq!(
        check(&chain_down(), address, &signature).await,
        Err("unavailable".to_owned())
    );
}

#[test]
fn signature_is_read_from_hexadecimal_up_to_a_length() {
    assert_eq!("0x".parse(), Ok(Signature(Vec::new())));
    assert_eq!("0x0aFF".parse(), Ok(Signature(vec![10, 255])));
    for text in ["", "0", "0aff", "0x0", "0xzz", " 0x00", "0x 00"] {
        assert_eq!(text.parse::<Signature>(), Err(SignatureRefusal::Malformed), "{text}");
    }
    let longest = format!("0x{}", "00".repeat(MAX_SIGNATURE_BYTES));
    assert!(longest.parse::<Signature>().is_ok());
    assert_eq!(
        format!("{longest}00").parse::<Signature>(),
        Err(SignatureRefusal::TooLong)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_signature_is_accepted(at in 0..65_usize, bits in 1..=255_u8) {
        let valid = sign(&key(1), TEXT);
        let mut changed = valid;
        changed[at] ^= bits;
        // 0 and 1 are other names of 27 and 28.
        prop_assume!(at < 64 || changed[64] != valid[64] - 27);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let checked = runtime.block_on(check(&empty_chain(), address_of(&key(1)), &changed));
        prop_assert!(checked.is_err(), "{}", hex::encode(changed));
    }
}
