//! Clients with short times, and the comparison of transfers with a ledger.

mod rpc_proxy;

use std::sync::Arc;
use std::time::Duration;

use arrakis_chain::{
    ChainClient, ChainError, ChainSettings, Chains, ChainsConfig, TokenStandard, Transfer, TransferBatch, TransferFilter,
    TransferReader,
};
use arrakis_domain::{Address, U256};
use arrakis_test_support::{Anvil, Ledger};

pub(crate) use rpc_proxy::{Answer, Faults, RpcProxy, Tamper};

/// Chain id of the tests.
pub(crate) const CHAIN: u64 = 80094;

/// Settings with which failures take milliseconds.
pub(crate) fn settings() -> ChainSettings {
    ChainSettings {
        connect_timeout: Duration::from_millis(500),
        call_timeout: Duration::from_secs(2),
        logs_timeout: Duration::from_secs(4),
        call_patience: Duration::from_secs(3),
        logs_patience: Duration::from_secs(5),
        first_cooldown: Duration::from_millis(50),
        max_cooldown: Duration::from_secs(60),
        ..ChainSettings::default()
    }
}

pub(crate) fn client(urls: &[&str]) -> Arc<ChainClient> {
    client_with(urls, settings())
}

pub(crate) fn client_with(urls: &[&str], settings: ChainSettings) -> Arc<ChainClient> {
    let config = ChainsConfig {
        settings,
        ..ChainsConfig::of_chain(CHAIN, urls.iter().copied())
    };
    Arc::clone(Chains::new(&config).get(CHAIN).unwrap())
}

pub(crate) fn of(contract: Address, standard: TokenStandard) -> TransferFilter {
    TransferFilter {
        contract,
        standard,
        from: None,
        to: None,
    }
}

/// All batches. They must follow each other without gaps.
pub(crate) async fn batches(mut reader: TransferReader, from: u64) -> Result<Vec<TransferBatch>, ChainError> {
    let (mut batches, mut next) = (Vec::new(), from);
    while let Some(batch) = reader.next().await? {
        assert_eq!(batch.from_block, next);
        next = batch.to.number + 1;
        batches.push(batch);
    }
    Ok(batches)
}

/// All transfers up to the finalised block.
pub(crate) async fn all(client: &ChainClient, filter: TransferFilter) -> Vec<Transfer> {
    let to = client.finalized().await.unwrap().number;
    transfers(client, filter, 0, to).await.unwrap()
}

pub(crate) async fn transfers(
    client: &ChainClient,
    filter: TransferFilter,
    from: u64,
    to: u64,
) -> Result<Vec<Transfer>, ChainError> {
    let batches = batches(client.transfers(filter, from, to), from).await?;
    Ok(batches.into_iter().flat_map(|batch| batch.transfers).collect())
}

/// A transfer without its hashes.
type Plain = (u64, Address, Address, Option<U256>, U256);

/// The transfers must be the ledger's movements of the contract, in their order.
#[track_caller]
pub(crate) fn assert_equals_ledger(read: &[Transfer], ledger: &Ledger, contract: Address) {
    let read: Vec<Plain> = read.iter().map(|t| (t.block_number, t.from, t.to, t.token_id, t.amount)).collect();
    let played: Vec<Plain> = ledger.of(contract).map(|m| (m.block.unwrap(), m.from, m.to, m.id, m.amount)).collect();
    assert_eq!(read.len(), played.len(), "number of transfers");
    assert!(read == played, "transfers differ from the ledger");
}

/// A token with claims, burns and transfers in `blocks` blocks of `per_block` claims each; all of them are final.
pub(crate) async fn played_token(anvil: &Anvil, blocks: u64, per_block: u64) -> arrakis_test_support::Erc20 {
    let token = anvil.deploy_erc20("Bera Governance Token", "BGT", 18).await;
    for block in 0..blocks {
        let holder = |index: u64| arrakis_test_support::address_of(5_000 + (block * 7 + index) % 97);
        let claims: Vec<_> = (0..per_block).map(|index| (holder(index), U256::from(1 + block + index))).collect();
        token.claim_many(&claims).await;
        if block % 5 == 2 {
            token.transfer(holder(0), holder(1), 1).await;
            token.burn(holder(0), 1_u64.min(block)).await;
        }
        anvil.mine(block % 3).await;
    }
    anvil.finalize().await;
    token
}
