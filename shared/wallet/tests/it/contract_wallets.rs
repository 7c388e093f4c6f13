//! ERC-1271, ERC-6492 and EIP-7702 on anvil.

use std::sync::Arc;

use alloy::primitives::{Address as WireAddress, B256, Bytes, U256, eip191_hash_message};
use alloy::sol_types::{SolCall as _, SolValue as _};
use arrakis_chain::{ChainClient, Chains, ChainsConfig};
use arrakis_domain::Address;
use arrakis_test_support::Anvil;
use arrakis_wallet::{Method, Signature, SignatureError, check_signature};
use k256::ecdsa::SigningKey;

alloy::sol! {
    function deploy(address owner, bytes32 salt) external returns (address);
    function addressOf(address owner, bytes32 salt) external view returns (address);
    function refuse() external pure;
    function migrate() external;
}

const TEXT: &str = "verify.arrakis.example wants you to sign in with your Ethereum account:";
const WALLET: &str = include_str!("../contracts/TestWallet.hex");
const FACTORY: &str = include_str!("../contracts/TestWalletFactory.hex");
const MIGRATING: &str = include_str!("../contracts/TestMigratingWallet.hex");
const HOSTILE: &str = include_str!("../contracts/TestHostileWallet.hex");

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn wire(key: &SigningKey) -> WireAddress {
    WireAddress::from_public_key(key.verifying_key())
}

fn ours(address: WireAddress) -> Address {
    Address::from_bytes(address.0.0)
}

fn theirs(address: Address) -> WireAddress {
    WireAddress::from(*address.as_bytes())
}

fn sign(key: &SigningKey, text: &str) -> Vec<u8> {
    let hash = eip191_hash_message(text);
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    [&signature.to_bytes()[..], &[27 + recovery.to_byte()]].concat()
}

/// A signature with the suffix of ERC-6492.
fn wrapped(factory: Address, call: &[u8], signature: &[u8]) -> Vec<u8> {
    let parts = (
        theirs(factory),
        Bytes::copy_from_slice(call),
        Bytes::copy_from_slice(signature),
    );
    [parts.abi_encode_params(), [0x64, 0x92].repeat(16)].concat()
}

struct Chain {
    anvil: Anvil,
    client: Arc<ChainClient>,
}

impl Chain {
    async fn start() -> Self {
        let anvil = Anvil::start().await;
        let chains = Chains::new(&ChainsConfig::of_chain(anvil.chain_id(), [anvil.url()]));
        let client = chains.get(anvil.chain_id()).cloned().unwrap();
        Self { anvil, client }
    }

    async fn deploy(&self, code: &str, argument: &[u8]) -> Address {
        let code = [&hex::decode(code.trim()).unwrap(), argument].concat();
        self.anvil.deploy(&code).await
    }

    async fn check(&self, address: Address, signature: &[u8]) -> Result<Method, String> {
        let signature: Signature = format!("0x{}", hex::encode(signature)).parse().unwrap();
        match check_signature(Some(self.client.as_ref()), address, TEXT, &signature).await {
            Ok(proven) => Ok(proven.method),
            Err(SignatureError::Refused(refusal)) => Err(refusal.code().to_owned()),
            Err(SignatureError::Unavailable(error)) => Err(error.to_string()),
        }
    }
}

fn refused() -> Result<Method, String> {
    Err("refused_by_contract".to_owned())
}

#[tokio::test]
async fn deployed_wallet_accepts_its_owners_signature_only() {
    let chain = Chain::start().await;
    let wallet = chain.deploy(WALLET, &wire(&key(1)).abi_encode()).await;
    assert_eq!(chain.check(wallet, &sign(&key(1), TEXT)).await, Ok(Method::Erc1271));
    assert_eq!(chain.check(wallet, &sign(&key(2), TEXT)).await, refused());
    assert_eq!(chain.check(wallet, &sign(&key(1), "another text")).await, refused());
    // It reverts for this length, as many wallets do.
    assert_eq!(chain.check(wallet, &[7; 64]).await, refused());
    // The owner's address is another account.
    assert_eq!(
        chain.check(ours(wire(&key(1))), &sign(&key(1), TEXT)).await,
        Ok(Method::Eip191)
    );
}

#[tokio::test]
async fn wallet_that_is_not_deployed_is_checked_without_deploying_it() {
    let chain = Chain::start().await;
    let factory = chain.deploy(FACTORY, &[]).await;
    let salt = B256::repeat_byte(7);
    let owner = wire(&key(1));
    let request = addressOfCall { owner, salt }.abi_encode();
    let returned = chain
        .client
        .call(Some(factory), request, None)
        .await
        .unwrap()
        .returned()
        .unwrap();
    let wallet = ours(WireAddress::abi_decode(&returned).unwrap());
    let deploy = deployCall { owner, salt }.abi_encode();
    let signed = |key: &SigningKey| wrapped(factory, &deploy, &sign(key, TEXT));

    assert_eq!(chain.check(wallet, &signed(&key(1))).await, Ok(Method::Erc6492));
    assert!(
        chain.client.code(wallet).await.unwrap().is_empty(),
        "nothing was deployed"
    );
    assert_eq!(chain.check(wallet, &signed(&key(2))).await, refused());
    // Without the suffix there is no contract to call.
    assert_eq!(
        chain.check(wallet, &sign(&key(1), TEXT)).await,
        Err("wrong_signer".to_owned())
    );
    // The factory deploys another wallet, refuses, or is no contract; the wrapping is broken.
    let other = deployCall {
        owner,
        salt: B256::ZERO,
    }
    .abi_encode();
    let refuses = refuseCall {}.abi_encode();
    let nowhere = ours(wire(&key(9)));
    let signature = sign(&key(1), TEXT);
    for broken in [
        wrapped(factory, &other, &signature),
        wrapped(factory, &refuses, &signature),
        wrapped(nowhere, &deploy, &signature),
        [0x64, 0x92].repeat(16),
        [&[0xff; 96][..], &[0x64, 0x92].repeat(16)].concat(),
    ] {
        assert_eq!(chain.check(wallet, &broken).await, refused(), "{}", hex::encode(broken));
    }
    // An account with a key cannot be taken by the suffix.
    let victim = ours(wire(&key(3)));
    assert_eq!(chain.check(victim, &signed(&key(1))).await, refused());

    // The same signature is valid after the deployment, and so is the plain one.
    chain.anvil.send(factory, &deploy).await;
    assert_eq!(chain.check(wallet, &signed(&key(1))).await, Ok(Method::Erc6492));
    assert_eq!(chain.check(wallet, &signature).await, Ok(Method::Erc1271));
}

#[tokio::test]
async fn deployed_wallet_that_needs_a_call_first_is_checked_after_it() {
    let chain = Chain::start().await;
    let wallet = chain.deploy(MIGRATING, &wire(&key(1)).abi_encode()).await;
    let signature = sign(&key(1), TEXT);
    assert_eq!(chain.check(wallet, &signature).await, refused());
    let migrate = migrateCall {}.abi_encode();
    assert_eq!(
        chain.check(wallet, &wrapped(wallet, &migrate, &signature)).await,
        Ok(Method::Erc6492)
    );
    assert_eq!(
        chain.check(wallet, &signature).await,
        refused(),
        "the call changed nothing on chain"
    );
}

#[tokio::test]
async fn hostile_contracts_are_refused() {
    let chain = Chain::start().await;
    for kind in 0..=4_u8 {
        let wallet = chain.deploy(HOSTILE, &U256::from(kind).abi_encode()).await;
        let signature = sign(&key(1), TEXT);
        assert_eq!(chain.check(wallet, &signature).await, refused(), "kind {kind}");
        let by_itself = wrapped(wallet, &[], &signature);
        assert_eq!(
            chain.check(wallet, &by_itself).await,
            refused(),
            "kind {kind}, by the validator"
        );
    }
}

#[tokio::test]
async fn account_with_delegated_code_signs_with_its_key() {
    let chain = Chain::start().await;
    // The delegate reverts every call: a check of the contract first would refuse the account.
    let delegate = chain.deploy(HOSTILE, &U256::ZERO.abi_encode()).await;
    let account = ours(wire(&key(1)));
    let code = format!("ef0100{}", hex::encode(delegate.as_bytes()));
    chain.anvil.set_code(account, &code).await;
    assert_eq!(chain.client.code(account).await.unwrap(), hex::decode(code).unwrap());
    assert_eq!(chain.check(account, &sign(&key(1), TEXT)).await, Ok(Method::Eip191));
    assert_eq!(chain.check(account, &sign(&key(2), TEXT)).await, refused());
}

#[tokio::test]
async fn chain_that_is_down_is_no_refusal() {
    let chain = Chain::start().await;
    let wallet = chain.deploy(WALLET, &wire(&key(1)).abi_encode()).await;
    let mut config = ChainsConfig::of_chain(80094, ["http://127.0.0.1:9"]);
    config.settings.call_patience = std::time::Duration::from_millis(300);
    let down = Chains::new(&config).get(80094).cloned().unwrap();
    let signature: Signature = format!("0x{}", hex::encode(sign(&key(1), TEXT))).parse().unwrap();
    let checked = check_signature(Some(down.as_ref()), wallet, TEXT, &signature).await;
    assert!(matches!(checked, Err(SignatureError::Unavailable(_))), "{checked:?}");
}
