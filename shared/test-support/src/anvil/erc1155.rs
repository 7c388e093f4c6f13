//! [`Erc1155`]: a contract with several kinds of tokens of a test.

use alloy::sol_types::SolCall as _;
use arrakis_domain::{Address, U256};

use super::contracts::abi::multi;
use super::contracts::{compiled, wire};
use super::erc20::zero;
use super::ledger::{Amount, Movement};
use super::node::Anvil;

/// A contract with several kinds of tokens on a chain of a test. Anyone may mint, move and burn; each action is one transaction.
#[derive(Debug, Clone)]
pub struct Erc1155 {
    anvil: Anvil,
    address: Address,
}

impl Anvil {
    /// Creates a contract with several kinds of tokens.
    pub async fn deploy_erc1155(&self) -> Erc1155 {
        let code = alloy::hex::decode(compiled("TestMultiToken").creation).unwrap_or_default();
        Erc1155 {
            anvil: self.clone(),
            address: self.deploy(&code).await,
        }
    }
}

impl Erc1155 {
    /// Address of the contract.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Mints tokens of one id.
    pub async fn mint(&self, to: Address, id: impl Amount, amount: impl Amount) {
        self.transfer(zero(), to, id, amount).await;
    }

    /// Burns tokens of one id.
    pub async fn burn(&self, from: Address, id: impl Amount, amount: impl Amount) {
        self.transfer(from, zero(), id, amount).await;
    }

    /// Moves tokens of one id: one `TransferSingle`.
    pub async fn transfer(&self, from: Address, to: Address, id: impl Amount, amount: impl Amount) {
        let (id, amount) = (id.units(), amount.units());
        let call = multi::moveCall { from: wire(from), to: wire(to), id, amount };
        self.anvil.send(self.address, &call.abi_encode()).await;
        self.record(from, to, &[(id, amount)]).await;
    }

    /// Moves tokens of several ids: one `TransferBatch`. The zero address as `from` mints, as `to` burns.
    pub async fn transfer_batch(&self, from: Address, to: Address, tokens: &[(U256, U256)]) {
        let call = multi::moveBatchCall {
            from: wire(from),
            to: wire(to),
            ids: tokens.iter().map(|(id, _)| *id).collect(),
            amounts: tokens.iter().map(|(_, amount)| *amount).collect(),
        };
        self.anvil.send(self.address, &call.abi_encode()).await;
        self.record(from, to, tokens).await;
    }

    async fn record(&self, from: Address, to: Address, tokens: &[(U256, U256)]) {
        let movement = |(id, amount): &(U256, U256)| Movement {
            contract: self.address,
            block: None,
            from,
            to,
            id: Some(*id),
            amount: *amount,
        };
        self.anvil.record(tokens.iter().map(movement)).await;
    }
}
