//! [`Erc721`]: a non-fungible token of a test.

use alloy::sol_types::{SolCall as _, SolValue as _};
use arrakis_domain::{Address, U256};

use super::contracts::abi::nft;
use super::contracts::{compiled, wire};
use super::erc20::zero;
use super::ledger::{Amount, Movement};
use super::node::Anvil;

/// A non-fungible token on a chain of a test. Anyone may mint, move and burn; each action is one transaction.
#[derive(Debug, Clone)]
pub struct Erc721 {
    anvil: Anvil,
    address: Address,
}

impl Anvil {
    /// Creates a collection.
    pub async fn deploy_erc721(&self, name: &str, symbol: &str) -> Erc721 {
        let mut code = alloy::hex::decode(compiled("TestNft").creation).unwrap_or_default();
        code.extend((name.to_owned(), symbol.to_owned()).abi_encode_params());
        Erc721 {
            anvil: self.clone(),
            address: self.deploy(&code).await,
        }
    }
}

impl Erc721 {
    /// Address of the contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Mints an id.
    pub async fn mint(&self, to: Address, id: impl Amount) {
        let id = id.units();
        self.anvil.send(self.address, &nft::mintCall { to: wire(to), id }.abi_encode()).await;
        self.record(zero(), to, [id]).await;
    }

    /// Mints the ids `first` to `last` with one ERC-2309 event.
    pub async fn mint_consecutive(&self, to: Address, first: u64, last: u64) {
        let call = nft::mintConsecutiveCall {
            to: wire(to),
            first: U256::from(first),
            last: U256::from(last),
        };
        self.anvil.send(self.address, &call.abi_encode()).await;
        self.record(zero(), to, (first..=last).map(U256::from)).await;
    }

    /// Emits an ERC-2309 event that no holding stands for, and which the ledger does not contain.
    pub async fn announce_consecutive(&self, to: Address, first: U256, last: U256) {
        let call = nft::announceConsecutiveCall { to: wire(to), first, last };
        self.anvil.send(self.address, &call.abi_encode()).await;
    }

    /// Moves an id from its owner, `from`.
    pub async fn transfer(&self, from: Address, to: Address, id: impl Amount) {
        let id = id.units();
        self.anvil.send(self.address, &nft::moveCall { to: wire(to), id }.abi_encode()).await;
        self.record(from, to, [id]).await;
    }

    /// Burns an id of its owner, `from`.
    pub async fn burn(&self, from: Address, id: impl Amount) {
        let id = id.units();
        self.anvil.send(self.address, &nft::burnCall { id }.abi_encode()).await;
        self.record(from, zero(), [id]).await;
    }

    async fn record(&self, from: Address, to: Address, ids: impl IntoIterator<Item = U256>) {
        let movement = |id| Movement {
            contract: self.address,
            block: None,
            from,
            to,
            id: Some(id),
            amount: U256::ONE,
        };
        self.anvil.record(ids.into_iter().map(movement)).await;
    }
}
